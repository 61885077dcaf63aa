//! Writing long stretches past the page cache.
//!
//! What is written to a file is copied into memory that the kernel has to find first, and stays
//! there for readers that an image seldom has. Direct writes (open(2), `O_DIRECT`) go from where
//! the bytes are to the disk. They need whole pages, in the file and in memory; a file system
//! that does not have them is written to as usual.

use fs_err::File;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::ops::Range;

/// What direct writes are aligned to: no disk has longer sectors.
const PAGE: usize = 4096;

/// How much is written at once, and from which length on a stretch is worth it.
const PIECE: usize = 1 << 20;

/// The part of `bytes`, which lie at `offset` of a file, that is to be written directly: whole
/// pages of the file, and many. Empty otherwise.
pub(super) fn part(offset: u64, bytes: &[u8]) -> Range<usize> {
    let page = PAGE as u64;
    let lead = usize::try_from(offset.next_multiple_of(page) - offset).unwrap_or(PAGE);
    let length = bytes.len().saturating_sub(lead) / PAGE * PAGE;
    match length {
        PIECE.. => lead..lead + length,
        _ => 0..0,
    }
}

/// Writes such parts at their offsets, directly if the file system can.
pub(super) fn write(mut file: &File, parts: &[(u64, &[u8])]) -> io::Result<()> {
    if parts.is_empty() {
        return Ok(());
    }
    let mut mode = Mode::direct(file);
    let mut buffer = Buffer::new();
    for (offset, bytes) in parts {
        for (at, piece) in (*offset..).step_by(PIECE).zip(bytes.chunks(PIECE)) {
            file.seek(SeekFrom::Start(at))?;
            match file.write_all(buffer.aligned(piece)) {
                Err(error) if error.kind() == ErrorKind::InvalidInput && mode.end() => {
                    // A part may be written already, up to where alignment was lost.
                    file.seek(SeekFrom::Start(at))?;
                    file.write_all(piece)?;
                }
                written => written?,
            }
        }
    }
    Ok(())
}

/// How a file is written to; dropped, it is as it was before.
struct Mode<'a> {
    file: &'a File,
    before: Option<OFlags>,
}

impl<'a> Mode<'a> {
    /// Makes writes direct, if the file system has that.
    fn direct(file: &'a File) -> Self {
        let before = fcntl_getfl(file)
            .ok()
            .filter(|flags| fcntl_setfl(file, *flags | OFlags::DIRECT).is_ok());
        Self { file, before }
    }

    /// Makes writes what they were; true if they were direct until now.
    fn end(&mut self) -> bool {
        self.before
            .take()
            .is_some_and(|flags| fcntl_setfl(self.file, flags).is_ok())
    }
}

impl Drop for Mode<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// A piece of memory that begins with a page.
struct Buffer(Vec<u8>);

impl Buffer {
    const fn new() -> Self {
        Self(Vec::new())
    }

    /// The piece where it is, or a copy of it, so that it begins with a page.
    fn aligned<'a>(&'a mut self, piece: &'a [u8]) -> &'a [u8] {
        if piece.as_ptr().align_offset(PAGE) == 0 {
            return piece;
        }
        self.0.resize(PIECE + PAGE, 0);
        let start = self.0.as_ptr().align_offset(PAGE);
        let copy = &mut self.0[start..start + piece.len()];
        copy.copy_from_slice(piece);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn whole_pages_and_many() {
        let bytes = vec![0; PIECE + PAGE];
        assert_eq!(part(0, &bytes), 0..PIECE + PAGE);
        assert_eq!(part(10, &bytes), PAGE - 10..PAGE - 10 + PIECE);
        assert_eq!(part(10, &bytes[..PIECE]), 0..0);
        assert_eq!(part(u64::MAX - 4095, &bytes[..10]), 0..0);
    }

    /// Parts that begin nowhere in particular in memory, one of them longer than a piece.
    fn written(dir: &Path, first: u64) -> (Vec<u8>, Vec<u8>) {
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * PIECE + 2 * PAGE + 7).collect();
        let parts = [
            (first, &bytes[7..7 + 2 * PIECE + PAGE]),
            (4 << 20, &bytes[PIECE..2 * PIECE]),
        ];
        let file = tempfile::NamedTempFile::new_in(dir).unwrap();
        let path = file.path();
        let mut options = fs_err::OpenOptions::new();
        let open = options.write(true).open(path).unwrap();
        let before = fcntl_getfl(&open).unwrap();
        write(&open, &parts).unwrap();
        assert_eq!(fcntl_getfl(&open).unwrap(), before);
        let mut expected = vec![0; 5 << 20];
        for (at, part) in parts {
            let at = usize::try_from(at).unwrap();
            expected[at..at + part.len()].copy_from_slice(part);
        }
        (fs_err::read(path).unwrap(), expected)
    }

    #[test]
    fn every_byte_is_at_its_place() {
        for dir in [std::env::temp_dir(), Path::new("/dev/shm").to_owned()] {
            let (found, expected) = written(&dir, PAGE as u64);
            assert!(found == expected, "in {}", dir.display());
        }
    }

    #[test]
    fn what_cannot_be_direct_is_written_all_the_same() {
        // Not at a page of the file, which direct writes refuse.
        let (found, expected) = written(&std::env::temp_dir(), 100);
        assert!(found == expected);
    }
}
