//! What the commands about releases say.

use schemars::JsonSchema;
use serde::Serialize;
use std::path::PathBuf;

/// A release that was made.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Release {
    /// Its name.
    pub(crate) name: String,
    /// Its directory.
    pub(crate) path: PathBuf,
    /// Every file but the sums and their signature.
    pub(crate) files: Vec<File>,
    /// The public key that checks it, as minisign has it; null when it is not signed.
    pub(crate) key: Option<String>,
}

/// A file of a release.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct File {
    /// Its path in the release.
    pub(crate) path: String,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// Its SHA-256.
    pub(crate) sha256: String,
}

/// A release that is what it says.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Verify {
    /// Its name.
    pub(crate) name: String,
    /// How many files it has.
    pub(crate) files: usize,
    /// How many of them are images.
    pub(crate) images: usize,
    /// The number of the key that signed; null when no key was given to check with.
    pub(crate) signed_by: Option<String>,
    /// Whether the same came out when it was built again.
    pub(crate) rebuilt: bool,
}

/// Upstream's release of etcd against one that was built as upstream builds it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Reproduce {
    /// etcd's version.
    pub(crate) version: String,
    /// The file name of upstream's archive.
    pub(crate) archive: String,
    /// The archive's SHA-256, as upstream's SHA256SUMS has it.
    pub(crate) sha256: String,
    /// The version of Go that upstream's programs were built by, and those here.
    pub(crate) go: String,
    /// The commit that upstream's programs are stamped with; null when they are not.
    pub(crate) commit: Option<String>,
    /// The flags of `go build`.
    pub(crate) flags: Vec<String>,
    /// Whether every program is the same to the bit.
    pub(crate) identical: bool,
    /// What could not be done as upstream did it.
    pub(crate) limits: Vec<String>,
    /// The programs.
    pub(crate) programs: Vec<Program>,
}

/// A program of upstream's and the one built here.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Program {
    /// Its name.
    pub(crate) name: String,
    /// Whether both are the same to the bit.
    pub(crate) identical: bool,
    /// The SHA-256 of upstream's.
    pub(crate) upstream_sha256: String,
    /// The SHA-256 of the one built here.
    pub(crate) sha256: String,
    /// The first byte of the file that differs, counted from 0; null when none does.
    pub(crate) offset: Option<u64>,
    /// The section of upstream's program that has this byte; null when none has.
    pub(crate) section: Option<String>,
    /// Every section that differs.
    pub(crate) sections: Vec<String>,
    /// What was not alike when the two were built, as far as programs tell.
    pub(crate) differences: Vec<BuiltOtherwise>,
}

/// Something that two programs were not built alike in.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BuiltOtherwise {
    /// What: `Go`, `main module`, `module PATH`, or a flag or variable by its name.
    pub(crate) what: String,
    /// What it is for upstream's program; null when nothing.
    pub(crate) upstream: Option<String>,
    /// What it is for the one built here; null when nothing.
    pub(crate) here: Option<String>,
}
