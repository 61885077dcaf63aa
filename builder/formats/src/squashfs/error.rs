//! What can go wrong.

#[cfg(doc)]
use super::Limits;
use std::io;

/// Why a tree cannot be written as squashfs.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The block size is not one of squashfs's.
    #[error("{0} is no block size: squashfs takes a power of two from 4096 to 1048576")]
    BlockSize(u32),
    /// The level is not one of zstd's.
    #[error("{0} is no zstd level: expected 1 to 22")]
    Level(u8),
    /// An entry's directory is not in the tree.
    #[error("/{0} has no directory to stand in: put its parent into the tree")]
    NoParent(String),
    /// A symbolic link that Linux could not follow.
    #[error("/{path} links to a target of {length} bytes: expected 1 to 4095")]
    Target {
        /// The link.
        path: String,
        /// Bytes in its target.
        length: usize,
    },
    /// A device number that does not fit.
    #[error("/{path} is device {major}:{minor}: squashfs holds at most 4095:1048575")]
    Device {
        /// The device node.
        path: String,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// The format's fields are too narrow for the tree.
    #[error("the tree has too many {what} for squashfs: at most {limit}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The most that fit.
        limit: u64,
    },
    /// The compressor failed.
    #[error("compressing a block: {0}")]
    Compress(String),
    /// The image could not be stored.
    #[error("writing the squashfs image: {0}")]
    Io(#[from] io::Error),
}

/// Why bytes are not a squashfs image that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The magic number is another one.
    #[error("not a squashfs image: it starts with {found:#010x}, not with \"hsqs\"")]
    NotSquashfs {
        /// The first four bytes as a little-endian number.
        found: u32,
    },
    /// A squashfs image of a kind that imgbuild does not write.
    #[error("cannot read this squashfs image: its {what} is {found}, expected {expected}")]
    Unsupported {
        /// The property.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The value that can be read.
        expected: u64,
    },
    /// An inode of a kind that a tree cannot hold.
    #[error(
        "cannot read this squashfs image: it has an inode of type {kind}; expected \
         directories, files, symbolic links and character devices"
    )]
    Kind {
        /// The type's number.
        kind: u16,
    },
    /// Bytes are missing.
    #[error("the squashfs image is cut off or damaged: bytes are missing in {what}")]
    Truncated {
        /// The structure that is incomplete.
        what: &'static str,
    },
    /// The medium does not give its bytes.
    #[error("the squashfs image cannot be read at byte {at}: {reason}")]
    Medium {
        /// The position in the image.
        at: u64,
        /// What the system says.
        reason: String,
    },
    /// A reference to where nothing is.
    #[error("the squashfs image is damaged: {what} at {at} is not where it should be")]
    Astray {
        /// What was looked for.
        what: &'static str,
        /// The reference.
        at: u64,
    },
    /// A block does not decompress to what it should be.
    #[error("the squashfs image is damaged: {what} at byte {at} does not decompress: {reason}")]
    Block {
        /// The kind of block.
        what: &'static str,
        /// Its position in the image.
        at: u64,
        /// zstd's words.
        reason: String,
    },
    /// More than the [`Limits`] allow.
    #[error("the squashfs image is too large: more than {limit} bytes or entries of {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A directory that holds itself, or lies in two directories.
    #[error("the squashfs image is damaged: directory /{path} appears twice")]
    Loop {
        /// Where it was met again.
        path: String,
    },
    /// A name that cannot be in a directory.
    #[error("the squashfs image has an entry {name:?} in /{directory}, which is no file's name")]
    Name {
        /// The directory.
        directory: String,
        /// The name, made readable.
        name: String,
    },
    /// A link's target is not UTF-8.
    #[error("the squashfs image has a symbolic link /{path} whose target is not UTF-8")]
    Target {
        /// The link.
        path: String,
    },
}
