//! What `pki` says.

use schemars::JsonSchema;
use serde::Serialize;
use std::path::PathBuf;

/// A certificate.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Certificate {
    /// Where it is: `CA`, `admin` or a node.
    pub(crate) place: String,
    /// Its file there; empty for the CA.
    pub(crate) file: String,
    /// Whose it is.
    pub(crate) subject: String,
    /// When it begins to hold, in seconds since 1970.
    pub(crate) from: u64,
    /// When it ends, in seconds since 1970.
    pub(crate) until: u64,
    /// Whole days until it ends, by this machine's clock; negative when it has ended.
    pub(crate) days_left: i64,
}

/// A client certificate that was issued.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Client {
    /// Whose it is.
    pub(crate) subject: String,
    /// When it ends, in seconds since 1970.
    pub(crate) until: u64,
    /// The CA's certificate.
    pub(crate) ca: PathBuf,
    /// The certificate.
    pub(crate) cert: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}
