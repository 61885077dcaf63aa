//! Where a reader takes bytes from: whole disks are looked into, never loaded.

use crate::disk::DiskImage;
use imgbuild_base::ByteSize;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Bytes that can be had from any place: a disk in memory, an image file, a card.
pub trait Source {
    /// How many bytes there are.
    fn size(&self) -> ByteSize;

    /// Fills `buffer` with the bytes from `at` on.
    ///
    /// # Errors
    /// What the medium reports; [`io::ErrorKind::UnexpectedEof`] beyond the end.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The `length` bytes from `at` on.
    ///
    /// # Errors
    /// As [`Source::read_at`].
    fn bytes(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        within(self.size(), at, length)?;
        let mut bytes = vec![0; length];
        self.read_at(at, &mut bytes)?;
        Ok(bytes)
    }
}

/// An error unless `length` bytes from `at` on are there: checked before memory is taken.
fn within(size: ByteSize, at: u64, length: usize) -> io::Result<()> {
    match at.checked_add(length as u64) {
        Some(end) if end <= size.get() => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("expected {length} bytes at offset {at}, but it ends at {size}"),
        )),
    }
}

impl Source for [u8] {
    fn size(&self) -> ByteSize {
        ByteSize::bytes(self.len() as u64)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        within(self.size(), at, buffer.len())?;
        let at = usize::try_from(at).map_err(io::Error::other)?;
        buffer.copy_from_slice(&self[at..at + buffer.len()]);
        Ok(())
    }
}

impl Source for DiskImage {
    fn size(&self) -> ByteSize {
        Self::size(self)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut reader = self.reader();
        reader.seek(SeekFrom::Start(at))?;
        reader.read_exact(buffer)
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn size(&self) -> ByteSize {
        (**self).size()
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(at, buffer)
    }
}

/// A part of a source, as a partition of a disk.
#[derive(Clone, Copy, Debug)]
pub struct Part<S> {
    whole: S,
    start: u64,
    size: ByteSize,
}

impl<S: Source> Part<S> {
    /// The bytes in `range`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the source does not have them all.
    pub fn new(whole: S, range: Range<u64>) -> io::Result<Self> {
        let size = ByteSize::bytes(range.end.saturating_sub(range.start));
        if range.end > whole.size().get() {
            let text = format!(
                "the part from {} to {} leaves the {} that are there",
                range.start,
                range.end,
                whole.size()
            );
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        let start = range.start;
        Ok(Self { whole, start, size })
    }
}

impl<S: Source> Source for Part<S> {
    fn size(&self) -> ByteSize {
        self.size
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        within(self.size, at, buffer.len())?;
        self.whole.read_at(self.start + at, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Extent;

    #[test]
    fn a_part_ends_where_it_ends() {
        let bytes: &[u8] = b"0123456789";
        let part = Part::new(bytes, 2..6).unwrap();
        assert_eq!(part.size(), ByteSize::bytes(4));
        assert_eq!(part.bytes(1, 3).unwrap(), b"345");
        for (at, length) in [(1, 4), (5, 0), (u64::MAX, 2)] {
            let error = part.bytes(at, length).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{at} {length}");
        }
        assert!(Part::new(bytes, 2..11).is_err());
    }

    #[test]
    fn a_disk_in_memory_is_a_source() {
        let disk = DiskImage::new(ByteSize::bytes(8), [Extent::new(3, "ab")]).unwrap();
        assert_eq!(Source::size(&disk), ByteSize::bytes(8));
        assert_eq!(disk.bytes(2, 4).unwrap(), b"\0ab\0");
        assert!(disk.bytes(7, 2).is_err());
    }
}
