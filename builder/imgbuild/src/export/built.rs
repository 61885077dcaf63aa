//! A finished file.

use imgbuild_base::{Digest, NodeName};
use imgbuild_recipe::resolved::Format;
use std::net::IpAddr;
use std::path::PathBuf;

/// A finished image, or another file in one of the formats.
#[derive(Clone, Debug)]
pub(crate) struct BuiltImage {
    /// Whose it is, if it is one node's.
    pub(crate) owner: Option<Owner>,
    /// What it is written as.
    pub(crate) format: Format,
    /// The file's name in the output directory.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Its SHA-256.
    pub(crate) sha256: Digest,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// How much of it is not a hole, in bytes.
    pub(crate) content: u64,
    /// Its block map, if it is an image that has one.
    pub(crate) block_map: Option<PathBuf>,
    /// Whether it was there already.
    pub(crate) unchanged: bool,
}

/// The node that a file is for.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// Its name.
    pub(crate) node: NodeName,
    /// Its address.
    pub(crate) address: IpAddr,
}

impl BuiltImage {
    /// Whether it is this node's.
    pub(crate) fn is_of(&self, node: &NodeName) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.node == *node)
    }
}
