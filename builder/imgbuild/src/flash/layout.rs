//! What a flash does to a medium besides writing the content.

use super::content::{Content, Head};
use super::far;
use imgbuild_formats::partitions::{Partitions, PartitionsError};
use std::io;
use std::ops::Range;

const MIB: u64 = 1 << 20;

/// Why a disk's layout is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayoutError {
    /// The content cannot be read.
    #[error("the image cannot be read")]
    Read(#[from] io::Error),
    /// It has no table.
    #[error("the image has no partition table")]
    Partitions(#[from] PartitionsError),
    /// Nothing boots from it.
    #[error("the image has no partition: expected the boot partition first")]
    NoPartition,
}

/// The places of a medium that need a thought.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The first piece, written last.
    pub(crate) head: Head,
    /// Ranges that must not keep what an earlier use left there.
    pub(crate) stale: Vec<Range<u64>>,
    /// Where marks are written, to see whether the medium is as large as it says.
    pub(crate) marks: Vec<u64>,
}

impl Layout {
    /// The layout for a medium of `size` bytes.
    pub(crate) fn new(content: &dyn Content, size: u64) -> Result<Self, LayoutError> {
        let head = Head::of(content)?;
        let partitions = Partitions::primary(&head)?.ranges();
        let boot = partitions.first().ok_or(LayoutError::NoPartition)?;
        // The node makes its state partition here, and looks for an ext4 by its superblocks:
        // the first, and the spare one in block group 1. It clears these places itself, too.
        let state = boot.end.next_multiple_of(MIB);
        let ends = [state, state + 128 * MIB, size.saturating_sub(MIB)];
        let stale = ends.into_iter().filter(|&at| at >= MIB && at < size);
        let marks = far::places(content.size().get().max(state + MIB), size, content.total());
        Ok(Self {
            head,
            stale: stale.map(|at| at..(at + MIB).min(size)).collect(),
            marks,
        })
    }
}
