//! What a build says.

use schemars::JsonSchema;
use serde::Serialize;
use std::net::IpAddr;
use std::path::PathBuf;

/// A finished build.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Build {
    /// The recipe's name.
    pub(crate) recipe: String,
    /// The output directory.
    pub(crate) out: PathBuf,
    /// The directory with what reaches the cluster: CA, client certificate and key.
    pub(crate) admin: PathBuf,
    /// The file with the cluster's secret.
    pub(crate) secret: PathBuf,
    /// Whether this build made the secret.
    pub(crate) secret_is_new: bool,
    /// The files that were asked for: by format, in the order of the recipe's nodes.
    pub(crate) images: Vec<Image>,
    /// What there was to do.
    pub(crate) steps: StepCount,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
    /// How many members the cluster has.
    pub(crate) members: usize,
    /// How many of them may fail.
    pub(crate) tolerates: usize,
    /// When the first certificate ends, in seconds since 1970.
    pub(crate) certificates_until: u64,
    /// Whether everything was built a second time and was the same to the bit (`--check`).
    pub(crate) checked: bool,
}

/// A file of a build.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Image {
    /// The node whose it is; null for a file that is for all.
    pub(crate) node: Option<String>,
    /// The node's address; null for a file that is for all.
    #[schemars(with = "Option<String>")]
    pub(crate) address: Option<IpAddr>,
    /// What it is, in the words of `--format`.
    pub(crate) format: &'static str,
    /// The file.
    pub(crate) path: PathBuf,
    /// Its SHA-256, in hexadecimal.
    pub(crate) sha256: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// How much of it is not a hole, in bytes.
    pub(crate) content: u64,
    /// Its block map for bmaptool; null where it has none.
    pub(crate) block_map: Option<PathBuf>,
    /// Whether it was there already.
    pub(crate) unchanged: bool,
}

/// How many steps a build had.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StepCount {
    /// Steps that were run, or files that were fetched.
    pub(crate) done: usize,
    /// Steps whose results were at hand.
    pub(crate) cached: usize,
}
