//! QEMU's disk images, qcow2 version 3, with deflated clusters.
//!
//! [`write()`] writes a whole disk; [`write_thin`] only what sets a disk apart from another one,
//! which the file then names as its backing file. Every QEMU since 1.1 reads both.
//!
//! What the file holds, in clusters of 64 KiB:
//!
//! | where | what |
//! |---|---|
//! | 0 | header, the backing file's format and name |
//! | then, in the disk's order | data: a cluster as it is, or several deflated ones, each beginning where the last one ended |
//! | after the data of each 512 MiB | the L2 table that says where those clusters lie |
//! | then | the L1 table: where the L2 tables lie |
//! | at the end | refcount blocks and the refcount table: what is in use, and how often |
//!
//! A cluster that no extent touches, or that is all zero, takes no space. One is stored as it
//! is unless deflating saves an eighth of it: so a run of clusters that do not shrink lies in
//! one piece and is read without inflating, and a file is never larger than the disk and its
//! tables. The header is written last: what a broken run leaves behind is not taken for an
//! image.
//!
//! Besides the clusters in flight (at most 32 MiB), 2 bytes per cluster of the file are kept
//! in memory, and 8 bytes per 512 MiB of the disk.
//!
//! Source: QEMU's `docs/interop/qcow2.txt`. That inflating must need no more than 4 KiB of
//! history is from QEMU's `block/qcow2-threads.c`.

mod layout;
mod write;

use std::io;

pub use write::{write, write_thin};

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk is larger than QEMU opens.
    #[error("a disk of {0} bytes is too large for qcow2: expected at most 2 PiB")]
    TooLarge(u64),
    /// The image could not be stored.
    #[error("writing the qcow2 image: {0}")]
    Io(#[from] io::Error),
}
