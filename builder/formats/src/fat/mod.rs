//! FAT32 volumes (Microsoft's FAT specification 1.03), the file system firmware reads.
//!
//! [`layout`] places a tree: boot sector and its backup, two file allocation tables, all
//! directories, then each file in one piece, in path order. Chosen ones lie at the very end,
//! behind the free clusters, so that volumes which differ only in those share all that comes
//! before. The result is a list of [`Extent`]s: bodies are referred to, never copied.
//! [`read`] takes a volume apart again.
//!
//! - [`name`]: long names and their deterministic 8.3 aliases;
//! - `geometry`: how many clusters of which size;
//! - `write`, `read`: the two directions.
//!
//! FAT has no owners and modes: those of the tree are not stored.

mod geometry;
mod name;
mod read;
mod time;
mod write;

pub use read::{Info, Listed, ListedKind, ReadError, Stretches, info, list, read};

use crate::disk::Extent;
use geometry::Geometry;
use imgbuild_base::{ByteSize, Epoch, Tree, TreePath};
use std::fmt;
use std::str::FromStr;

/// The smallest volume that is FAT32 beyond doubt: firmware takes fewer than 65525 clusters
/// for FAT16.
pub const SMALLEST: ByteSize = ByteSize::mib(33);

/// A volume's name: 1 to 11 characters out of `A-Z`, `0-9`, `-`, `_` and inner spaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label(String);

/// The text cannot name a FAT volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name a FAT volume: expected 1 to 11 of A-Z, 0-9, '-', '_' and inner spaces")]
pub struct LabelError(pub String);

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let allowed =
            |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_' | b' ');
        if (1..=11).contains(&text.len()) && text.bytes().all(allowed) && text.trim() == text {
            return Ok(Self(text.to_owned()));
        }
        Err(LabelError(text.to_owned()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Label {
    fn padded(&self) -> [u8; 11] {
        let mut bytes = [b' '; 11];
        bytes[..self.0.len()].copy_from_slice(self.0.as_bytes());
        bytes
    }
}

/// What a volume is besides its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The serial number; tools show it as `ABCD-1234`, udev and findfs as UUID.
    pub volume_id: u32,
    /// The volume's name.
    pub label: Label,
    /// The whole size: a multiple of 512 bytes from [`SMALLEST`] up.
    pub size: ByteSize,
    /// The time of everything on it; before 1980, FAT's first year, it is 1980.
    pub epoch: Epoch,
    /// How many sectors lie before the volume on the disk: the partition's start.
    pub hidden_sectors: u32,
    /// Files, and directories' own listings, that are to lie at the end of the volume, behind
    /// what is free, in this order.
    pub last: Vec<TreePath>,
}

/// A volume laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatVolume {
    /// Where its bytes are, from the start of the volume.
    pub extents: Vec<Extent>,
    /// Its size.
    pub size: ByteSize,
    /// Bytes in a cluster.
    pub cluster: ByteSize,
    /// What is still free, in whole clusters.
    pub free: ByteSize,
    /// Where that begins which [`Options::last`] names, in bytes from the volume's start.
    pub last: u64,
}

/// Why a tree cannot become a FAT volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FatError {
    /// Not a possible size.
    #[error(
        "a FAT32 volume cannot have {0} bytes: expected a multiple of 512 from 33 MiB up, below 2 TiB"
    )]
    Size(u64),
    /// The files do not fit.
    #[error("the files need {needed} but the volume holds {available}: make it larger")]
    Full {
        /// What the files and directories take in whole clusters.
        needed: ByteSize,
        /// What there is.
        available: ByteSize,
    },
    /// A file of 4 GiB or more.
    #[error("/{path} is {size} large: a file on FAT must be smaller than 4 GiB")]
    FileTooLarge {
        /// The file.
        path: TreePath,
        /// Its size.
        size: ByteSize,
    },
    /// A name FAT cannot hold.
    #[error("/{path} cannot be named so on FAT: {why}")]
    Name {
        /// The file or directory.
        path: TreePath,
        /// What is wrong.
        why: &'static str,
    },
    /// Two names that FAT takes for one.
    #[error("/{first} and /{second} are the same to FAT, which ignores case: rename one")]
    Case {
        /// The first in path order.
        first: TreePath,
        /// The second.
        second: TreePath,
    },
    /// More than 65536 directory entries.
    #[error("/{0} has too many entries: a directory on FAT is at most 2 MiB large")]
    DirectoryTooLarge(String),
    /// A link or device.
    #[error("/{path} is {what}: FAT holds directories and files only")]
    Kind {
        /// The entry.
        path: TreePath,
        /// What it is.
        what: &'static str,
    },
    /// The directory it lies in is missing or no directory.
    #[error("/{0} lies in no directory of the tree")]
    Orphan(TreePath),
    /// Something to be put last that is not there.
    #[error("/{0} is to be put last, but there is no such file or directory")]
    NoSuchEntry(TreePath),
}

/// Lays out a volume with the files of `tree`.
///
/// # Errors
/// [`FatError`] when the tree cannot be represented or does not fit.
pub fn layout(tree: &Tree, options: &Options) -> Result<FatVolume, FatError> {
    let geometry = Geometry::new(options.size)?;
    write::Plan::new(tree, &options.last)?.emit(&geometry, options)
}

/// The smallest volume, in whole MiB, that holds the files of `tree` and has `reserve` left.
///
/// # Errors
/// [`FatError`] when the tree cannot be represented on any volume.
pub fn min_size(tree: &Tree, reserve: ByteSize) -> Result<ByteSize, FatError> {
    const MIB: u64 = 1 << 20;
    let plan = write::Plan::new(tree, &[])?;
    let mut size = SMALLEST;
    loop {
        let geometry = Geometry::new(size)?;
        let cluster = geometry.cluster_bytes();
        let needed = plan.clusters(cluster) + reserve.get().div_ceil(cluster);
        let missing = needed.saturating_sub(u64::from(geometry.clusters));
        if missing == 0 {
            return Ok(size);
        }
        let grown = size.get() + (missing * cluster).max(1);
        size = ByteSize::bytes(grown.next_multiple_of(MIB));
    }
}

#[cfg(test)]
mod tests;
