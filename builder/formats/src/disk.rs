//! A disk image as a value: its size and the few places where it is not zero.
//!
//! Everything that lays out bytes on a disk ([`crate::fat`], [`crate::gpt`], [`crate::mbr`])
//! describes them once, as [`Extent`]s; a [`DiskImage`] checks that they fit together and
//! emits them as often as wanted: to a sparse file ([`DiskImage::write_sparse`]), as a digest
//! ([`DiskImage::digest`]; [`digests`] for many that begin alike), as a stream
//! ([`DiskImage::reader`]), or piece by piece ([`DiskImage::window`]). Contents are never copied: an extent holds a [`Bytes`] window,
//! which may be a part of a memory-mapped object of the store.

mod cell;
mod digest;
mod direct;
mod emit;
mod reader;
mod window;

pub use cell::is_zero;
pub(crate) use cell::joined;
pub use digest::{Head, digests};
pub use reader::DiskReader;
pub use window::Window;

use bytes::Bytes;
use imgbuild_base::{Body, ByteSize, Digest};
use std::fmt;
use std::ops::Range;

/// Bytes in a sector, the unit of partition tables. Every medium we write for has 512.
pub const SECTOR: u64 = 512;

/// Partitions start at multiples of this many bytes (1 MiB), as every current tool has it.
pub const ALIGNMENT: u64 = 1 << 20;

/// Bytes at a place.
#[derive(Clone, PartialEq, Eq)]
pub struct Extent {
    /// Distance in bytes from the start of the disk (or of the volume, before
    /// [`Extent::shifted`]).
    pub offset: u64,
    /// The content.
    pub bytes: Bytes,
    /// The content's digest, where it is known.
    known: Option<Digest>,
}

impl Extent {
    /// `bytes` at `offset`.
    #[must_use]
    pub fn new(offset: u64, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            offset,
            bytes,
            known: None,
        }
    }

    /// A file's content at `offset`.
    #[must_use]
    pub fn of(offset: u64, body: &Body) -> Self {
        Self {
            offset,
            bytes: body.bytes().clone(),
            known: Some(body.digest()),
        }
    }

    /// The SHA-256 of the content, computed only if nobody did before.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.known.unwrap_or_else(|| Digest::of(&self.bytes))
    }

    /// The same bytes, `by` bytes later: from a place in a volume to one on the disk.
    /// A place beyond 2^64 becomes the last one, which [`DiskImage::new`] then refuses.
    #[must_use]
    pub fn shifted(self, by: u64) -> Self {
        Self {
            offset: self.offset.saturating_add(by),
            ..self
        }
    }

    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The first byte after it; only called on checked extents.
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.length())
    }
}

impl fmt::Debug for Extent {
    /// Never shows content: it may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extent({} bytes at {})", self.bytes.len(), self.offset)
    }
}

/// Why extents do not make a disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// An extent reaches beyond the end.
    #[error(
        "{length} bytes at offset {offset} do not fit on a disk of {size} bytes: make the disk larger"
    )]
    Outside {
        /// Where the extent starts.
        offset: u64,
        /// How long it is.
        length: u64,
        /// The disk's size in bytes.
        size: u64,
    },
    /// Two extents claim the same bytes.
    #[error(
        "the bytes from offset {first} on reach to {first_end}, but others start at {second} already"
    )]
    Overlap {
        /// Where the first extent starts.
        first: u64,
        /// The first byte after it.
        first_end: u64,
        /// Where the second starts.
        second: u64,
    },
}

/// A disk: a size and extents in rising order that neither overlap nor leave it. All that no
/// extent covers is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskImage {
    size: ByteSize,
    extents: Vec<Extent>,
}

impl DiskImage {
    /// Sorts the extents and checks them; empty ones are dropped.
    ///
    /// # Errors
    /// [`DiskError`] when extents overlap or one leaves the disk.
    pub fn new(
        size: ByteSize,
        extents: impl IntoIterator<Item = Extent>,
    ) -> Result<Self, DiskError> {
        let mut extents: Vec<Extent> = extents
            .into_iter()
            .filter(|extent| !extent.bytes.is_empty())
            .collect();
        extents.sort_by_key(|extent| extent.offset);
        for extent in &extents {
            let end = extent.offset.checked_add(extent.length());
            if end.is_none_or(|end| end > size.get()) {
                return Err(DiskError::Outside {
                    offset: extent.offset,
                    length: extent.length(),
                    size: size.get(),
                });
            }
        }
        for pair in extents.windows(2) {
            if pair[0].end() > pair[1].offset {
                return Err(DiskError::Overlap {
                    first: pair[0].offset,
                    first_end: pair[0].end(),
                    second: pair[1].offset,
                });
            }
        }
        Ok(Self { size, extents })
    }

    /// The whole size, holes included.
    #[must_use]
    pub const fn size(&self) -> ByteSize {
        self.size
    }

    /// The extents in rising order.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// How many bytes the extents hold together: what writing will cost at most.
    #[must_use]
    pub fn content(&self) -> ByteSize {
        ByteSize::bytes(self.extents.iter().map(Extent::length).sum())
    }

    /// The ranges of `block`-sized blocks (counted from 0, ends exclusive) that must be
    /// copied to reproduce the disk, joined where they touch: a block map. Zeros inside an
    /// extent count as content.
    #[must_use]
    pub fn mapped_blocks(&self, block: std::num::NonZeroU32) -> Vec<Range<u64>> {
        let block = u64::from(block.get());
        let touched = |extent: &Extent| extent.offset / block..extent.end().div_ceil(block);
        joined(self.extents.iter().map(touched).collect())
    }

    /// A reader over the whole disk, from its first byte.
    #[must_use]
    pub fn reader(&self) -> DiskReader<'_> {
        DiskReader::new(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(size: u64, extents: &[(u64, &'static str)]) -> Result<DiskImage, DiskError> {
        let extents = extents
            .iter()
            .map(|&(offset, text)| Extent::new(offset, text));
        DiskImage::new(ByteSize::bytes(size), extents)
    }

    #[test]
    fn extents_are_sorted_and_empty_ones_dropped() {
        let image = image(10, &[(6, "cd"), (5, ""), (1, "ab"), (3, "x")]).unwrap();
        let offsets: Vec<u64> = image.extents().iter().map(|extent| extent.offset).collect();
        assert_eq!(offsets, [1, 3, 6]);
        assert_eq!(image.content(), ByteSize::bytes(5));
    }

    #[test]
    fn overlap_and_overrun_are_refused() {
        assert_eq!(
            image(10, &[(1, "abc"), (3, "x")]),
            Err(DiskError::Overlap {
                first: 1,
                first_end: 4,
                second: 3
            })
        );
        let far = Extent::new(u64::MAX - 1, "abc");
        assert!(matches!(
            DiskImage::new(ByteSize::bytes(10), [far]),
            Err(DiskError::Outside { length: 3, .. })
        ));
        assert!(matches!(
            image(10, &[(8, "abc")]),
            Err(DiskError::Outside {
                offset: 8,
                length: 3,
                size: 10
            })
        ));
    }

    #[test]
    fn block_map_joins_neighbours() {
        let image = image(40, &[(1, "a"), (5, "b"), (14, "abc"), (30, "x")]).unwrap();
        let blocks = image.mapped_blocks(std::num::NonZeroU32::new(4).unwrap());
        assert_eq!(blocks, [0..2, 3..5, 7..8]);
    }
}
