//! Options of `release` and `verify`.

use super::{AuthorityArgs, complete};
use clap::{Args, ValueEnum};
use imgbuild_release::manifest::Packing;
use std::path::PathBuf;

/// Options of `release`.
#[derive(Args, Debug, Clone)]
pub(crate) struct ReleaseArgs {
    /// The recipe.
    #[arg(add = complete::recipes())]
    pub(crate) name: String,

    /// Where the release goes [default: releases/NAME]; an older release there is replaced.
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// How images are packed.
    #[arg(long, value_enum, default_value_t = PackingArg::Zst, value_name = "HOW")]
    pub(crate) packing: PackingArg,

    /// Sign with this minisign secret key.
    #[arg(long, value_name = "FILE")]
    pub(crate) sign_key: Option<PathBuf>,

    /// The file with the signing key's passphrase [default: $IMGBUILD_SIGN_PASSPHRASE].
    #[arg(long, value_name = "FILE", requires = "sign_key")]
    pub(crate) sign_passphrase: Option<PathBuf>,

    /// Release each node's own image too, with its private keys, as NODE.SECRET.img….
    #[arg(long)]
    pub(crate) with_secrets: bool,

    /// The cluster's secret, for --with-secrets [default: NAME.secret beside the recipe; made
    /// when missing].
    #[arg(long, value_name = "FILE", requires = "with_secrets")]
    pub(crate) secret: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) authority: AuthorityArgs,
}

/// How images are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PackingArg {
    /// By zstd.
    Zst,
    /// By xz.
    Xz,
    /// Not at all.
    Raw,
}

impl From<PackingArg> for Packing {
    fn from(arg: PackingArg) -> Self {
        match arg {
            PackingArg::Zst => Self::Zstd,
            PackingArg::Xz => Self::Xz,
            PackingArg::Raw => Self::Raw,
        }
    }
}

/// Options of `verify`.
#[derive(Args, Debug, Clone)]
pub(crate) struct VerifyArgs {
    /// The release: a directory, or an address (http, https) below which its files are.
    #[arg(value_name = "DIR|URL")]
    pub(crate) place: String,

    /// Who must have signed: a minisign public key, or the file with it.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,

    /// Build from the recipe and lock in the release, too, and compare.
    #[arg(long)]
    pub(crate) rebuild: bool,
}
