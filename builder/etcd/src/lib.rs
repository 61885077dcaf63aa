//! Where etcd's binaries come from: upstream's release, our own cross-compilation, or
//! Debian's packages.
//!
//! [`EtcdSource`] names the three; each ends in the same [`EtcdBinaries`]: etcd, etcdctl and
//! etcdutl for one architecture, checked to be programs of that architecture, with an
//! [`Origin`] that says what they were made from. [`EtcdBinaries::layer_tree`] lays them out.
//!
//! - [`release`]: upstream's archives, at two locations, pinned by SHA-256.
//! - [`build`]: what to ask of [`imgbuild_golang`] for a given [`EtcdVersion`].
//! - [`reproduce`]: upstream's programs held against ones built as upstream builds them.
//! - [`debian`]: the names of Debian's packages and what must be in them.

mod binaries;
pub mod build;
pub mod container;
pub mod debian;
pub mod elf;
pub mod release;
pub mod reproduce;
mod version;

pub use binaries::{BinariesError, EtcdBinaries, NOTE, Origin, PROGRAMS};
pub use build::BuildLock;
pub use release::{Locations, ReleaseError, ReleaseLock};
pub use version::{EtcdVersion, VersionError};

use serde::{Deserialize, Serialize};

/// Which of the three sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EtcdSource {
    /// Upstream's release archive.
    Release,
    /// Cross-compiled from the Go modules of a release.
    Build,
    /// The distribution's packages.
    Debian,
}
