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
