//! A block map, held against the disk that it is said to describe.

use super::{BLOCK, text};
use crate::disk::is_zero;
use crate::source::Source;
use imgbuild_base::{Digest, Hasher};
use std::fmt::Write as _;
use std::io;
use std::ops::Range;

/// Blocks that are read together: a MiB.
const TOGETHER: u64 = 256;

/// Why a text is not the block map of a disk.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// Not a map as [`super::maps`] writes it: another tool's, or damaged.
    #[error("it is no block map of imgbuild's")]
    Format,
    /// The map of a disk of another length.
    #[error("it is for a disk of {map} bytes, this one has {disk}")]
    Size {
        /// Bytes of the disk that the map is for.
        map: u64,
        /// Bytes of the disk at hand.
        disk: u64,
    },
    /// What the disk holds in a range of blocks has another checksum.
    #[error("blocks {first} to {last} of the disk are not what it says")]
    Content {
        /// The first block of the range, counted from 0.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// A block is left out that a flasher must write.
    #[error("it leaves out block {block}, which is not zero")]
    LeftOut {
        /// The block, counted from 0.
        block: u64,
    },
    /// The disk cannot be read.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// A range of blocks with the checksum of what is in it.
struct Mapped {
    blocks: Range<u64>,
    digest: Digest,
}

/// Checks that a map is of this form and that a flasher who follows it writes the whole disk:
/// every range has its checksum, and every block outside of them is zero.
///
/// # Errors
/// [`MapError`].
pub fn check(map: &str, disk: &(impl Source + ?Sized)) -> Result<(), MapError> {
    let (size, ranges) = parse(map).ok_or(MapError::Format)?;
    let length = disk.size().get();
    if size != length {
        let disk = length;
        return Err(MapError::Size { map: size, disk });
    }
    let mut next = 0;
    for Mapped { blocks, digest } in ranges {
        assert_zero(disk, next..blocks.start)?;
        let mut hasher = Hasher::new();
        read(disk, blocks.clone(), |_, bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        if hasher.finish() != digest {
            let (first, last) = (blocks.start, blocks.end - 1);
            return Err(MapError::Content { first, last });
        }
        next = blocks.end;
    }
    assert_zero(disk, next..length.div_ceil(u64::from(BLOCK.get())))
}

fn assert_zero(disk: &(impl Source + ?Sized), blocks: Range<u64>) -> Result<(), MapError> {
    let size = usize::try_from(BLOCK.get()).map_err(io::Error::other)?;
    read(disk, blocks, |first, bytes| {
        let mut pieces = (first..).zip(bytes.chunks(size));
        match pieces.find(|(_, piece)| !is_zero(piece)) {
            None => Ok(()),
            Some((block, _)) => Err(MapError::LeftOut { block }),
        }
    })
}

/// Hands on what is in a range of blocks, piece by piece, each with the number of its first
/// block. The last block of a disk may be a short one.
fn read(
    disk: &(impl Source + ?Sized),
    blocks: Range<u64>,
    mut take: impl FnMut(u64, &[u8]) -> Result<(), MapError>,
) -> Result<(), MapError> {
    let (block, length) = (u64::from(BLOCK.get()), disk.size().get());
    let mut buffer = Vec::new();
    let mut first = blocks.start;
    while first < blocks.end {
        let end = blocks.end.min(first + TOGETHER);
        let bytes = (end * block).min(length) - first * block;
        buffer.resize(usize::try_from(bytes).map_err(io::Error::other)?, 0);
        disk.read_at(first * block, &mut buffer)?;
        take(first, &buffer)?;
        first = end;
    }
    Ok(())
}

/// The size and the ranges of a map, in order and within the disk. What is read is written
/// again and compared, so that nothing in the text is passed over.
fn parse(map: &str) -> Option<(u64, Vec<Mapped>)> {
    let between = |line: &str, before: &str, after: &str| {
        let inner = line.trim().strip_prefix(before)?.strip_suffix(after)?;
        Some(inner.trim().to_owned())
    };
    let mut size = None;
    let mut ranges = Vec::new();
    let mut list = String::new();
    for line in map.lines() {
        if let Some(number) = between(line, "<ImageSize>", "</ImageSize>") {
            size = Some(number.parse().ok()?);
        } else if let Some(range) = between(line, "<Range chksum=\"", "</Range>") {
            let (digest, blocks) = range.split_once("\"> ")?;
            let (first, last) = blocks.split_once('-').unwrap_or((blocks, blocks));
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            let digest = digest.parse().ok()?;
            let blocks = first..last.checked_add(1)?;
            ranges.push(Mapped { blocks, digest });
            // Writing to a string cannot fail.
            let _ = writeln!(list, "{line}");
        }
    }
    let size: u64 = size?;
    let mut next = 0;
    for Mapped { blocks, .. } in &ranges {
        if blocks.start < next || blocks.is_empty() {
            return None;
        }
        next = blocks.end;
    }
    let all = size.div_ceil(u64::from(BLOCK.get()));
    let mapped = ranges
        .iter()
        .map(|range| range.blocks.end - range.blocks.start)
        .sum();
    (next <= all && text(size, mapped, &list) == map).then_some((size, ranges))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bmap::maps;
    use crate::disk::{DiskImage, Extent};
    use imgbuild_base::ByteSize;
    use proptest::prelude::*;

    const LENGTH: u64 = 3 * 1_048_576 + 50;

    fn disk() -> DiskImage {
        let extents = [
            Extent::new(0, vec![1; 5000]),
            Extent::new(20_000, vec![2; 1_500_000]),
            Extent::new(LENGTH - 10, vec![3; 5]),
        ];
        DiskImage::new(ByteSize::bytes(LENGTH), extents).unwrap()
    }

    fn bytes() -> Vec<u8> {
        disk().bytes(0, usize::try_from(LENGTH).unwrap()).unwrap()
    }

    fn map() -> String {
        maps(&[&disk()]).remove(0)
    }

    #[test]
    fn a_map_is_that_of_its_disk() {
        check(&map(), &disk()).unwrap();
        check(&map(), bytes().as_slice()).unwrap();
    }

    #[test]
    fn what_is_changed_left_out_or_of_another_disk_is_found() {
        let mut other = bytes();
        other[1_000_000] ^= 1;
        let error = check(&map(), other.as_slice()).unwrap_err();
        assert!(
            matches!(
                error,
                MapError::Content {
                    first: 4,
                    last: 371
                }
            ),
            "{error}"
        );
        let mut other = bytes();
        other[500 * 4096 + 7] = 1;
        let error = check(&map(), other.as_slice()).unwrap_err();
        assert!(matches!(error, MapError::LeftOut { block: 500 }), "{error}");
        let mut other = bytes();
        other.push(0);
        let error = check(&map(), other.as_slice()).unwrap_err();
        assert!(matches!(error, MapError::Size { .. }), "{error}");
    }

    #[test]
    fn anything_else_in_the_text_is_refused() {
        let map = map();
        let last = map.rfind("    <Range").unwrap();
        let end = map.find("  </BlockMap>").unwrap();
        let cut = [&map[..last], &map[end..]].concat();
        let longer = map.replace("</bmap>", "</bmap>\n<!-- -->");
        for text in [
            cut.as_str(),
            &longer,
            "",
            "<bmap/>",
            &map.replace("4-371", "371-4"),
        ] {
            assert!(
                matches!(check(text, &disk()), Err(MapError::Format)),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(at in 0..1200_usize, with in "[ -~\n]{0,12}") {
            let map = map();
            let at = at.min(map.len());
            let end = (at + with.len()).min(map.len());
            let text = format!("{}{with}{}", &map[..at], &map[end..]);
            let same = text == map;
            prop_assert_eq!(check(&text, &disk()).is_ok(), same);
        }
    }
}
