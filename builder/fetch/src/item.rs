use crate::location::Location;
use imgbuild_base::Digest;

/// A file that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is, for people: "libc6 2.41-12 (arm64)".
    pub what: String,
    /// Where it may be had, tried in this order.
    pub candidates: Vec<Location>,
    /// Its SHA-256.
    pub digest: Digest,
    /// Its length in bytes, when it is known: then a longer body is cut off at once.
    pub size: Option<u64>,
}
