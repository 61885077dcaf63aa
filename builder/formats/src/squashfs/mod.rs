//! Squashfs 4.0 images with zstd: what a layer is.
//!
//! [`write`] turns a [`Tree`] into an image, [`read`] turns an image back into a tree. Both
//! speak through `layout` and `inode`, where each on-disk structure is described once; `data` compresses
//! the bodies of files on all processors, `metadata` packs inodes and directories.
//!
//! What the writer promises:
//! - the image depends on the tree and the [`Options`] only, not on the number of threads;
//! - equal bodies are stored once, tails shorter than a block share fragment blocks;
//! - no more than 64 blocks are in flight, however large the tree.
//!
//! Left out, because nothing here needs it: extended attributes, hard links as such (entries
//! share their data instead), the NFS export table and directory indexes.
//!
//! Source: the Linux kernel's `Documentation/filesystems/squashfs.rst` and
//! `fs/squashfs/squashfs_fs.h`.

mod codec;
mod data;
mod error;
mod inode;
mod layout;
mod metadata;
mod read;
mod write;

#[cfg(test)]
mod tests;

use imgbuild_base::{ByteSize, Epoch};

pub use error::{ReadError, WriteError};
pub use read::{Limits, read, read_where, read_with};
pub use write::write;

#[cfg(doc)]
use imgbuild_base::Tree;

/// How an image is written. Every field changes the bytes of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Size of a data block.
    pub block_size: BlockSize,
    /// How hard zstd tries.
    pub level: Level,
    /// The time the image claims to be made at; also the root directory's.
    pub epoch: Epoch,
}

impl Options {
    /// Blocks of 256 KiB at zstd level 9, which on a Debian root is six times as fast as
    /// level 15 and 4 % larger.
    #[must_use]
    pub const fn new(epoch: Epoch) -> Self {
        Self {
            block_size: BlockSize(18),
            level: Level(9),
            epoch,
        }
    }
}

/// A size of data blocks that squashfs knows: a power of two from 4 KiB to 1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockSize(u8);

impl BlockSize {
    /// Takes a size in bytes.
    ///
    /// # Errors
    /// [`WriteError::BlockSize`] when it is no power of two from 4 KiB to 1 MiB.
    pub fn new(bytes: u32) -> Result<Self, WriteError> {
        (12..=20)
            .find(|&log| 1_u32 << log == bytes)
            .map(Self)
            .ok_or(WriteError::BlockSize(bytes))
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        1 << self.0
    }

    /// The size as a power of two.
    const fn log(self) -> u8 {
        self.0
    }
}

/// A zstd level from 1 (fast) to 22 (small).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Level(u8);

impl Level {
    /// Takes a level.
    ///
    /// # Errors
    /// [`WriteError::Level`] when it is not from 1 to 22.
    pub fn new(level: u8) -> Result<Self, WriteError> {
        (1..=22)
            .contains(&level)
            .then_some(Self(level))
            .ok_or(WriteError::Level(level))
    }

    /// The level as zstd takes it.
    const fn get(self) -> i32 {
        self.0 as i32
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Length of the image with its padding to 4096 bytes.
    pub size: ByteSize,
    /// Sum of the lengths of all regular files.
    pub content: ByteSize,
    /// Inodes, the root included.
    pub inodes: u32,
    /// Regular files that share another one's data.
    pub duplicates: u32,
    /// Fragment blocks: each holds the ends of many files.
    pub fragments: u32,
}
