//! Block maps: which blocks of a disk image have to be written, and their checksums (the XML
//! format of bmap-tools, version 2.0).
//!
//! A flasher that knows the map skips what is zero and finds out whether what it wrote is what
//! was built. Blocks have 4096 bytes and are counted from 0; a range names its first and its
//! last. A map's own checksum is taken over its text with 64 zeros in the checksum's place.

mod check;

pub use check::{MapError, check};

use crate::disk::{DiskImage, Window};
use imgbuild_base::Digest;
use rayon::prelude::*;
use std::fmt::Write as _;
use std::num::NonZeroU32;

/// Bytes in a block, as in every map that bmap-tools makes.
const BLOCK: NonZeroU32 = NonZeroU32::new(4096).expect("4096 is not zero");

/// The block map of each image. What several images hold is hashed once.
#[must_use]
pub fn maps(images: &[&DiskImage]) -> Vec<String> {
    let block = u64::from(BLOCK.get());
    let ranges: Vec<_> = images
        .iter()
        .map(|image| image.mapped_blocks(BLOCK))
        .collect();
    let mut distinct: Vec<Window<'_>> = Vec::new();
    let mut places = Vec::with_capacity(images.len());
    for (image, ranges) in images.iter().zip(&ranges) {
        let windows = ranges.iter().map(|range| {
            let window = image.window(range.start * block..range.end * block);
            let known = distinct.iter().position(|other| *other == window);
            known.unwrap_or_else(|| {
                distinct.push(window);
                distinct.len() - 1
            })
        });
        places.push(windows.collect::<Vec<usize>>());
    }
    let digests: Vec<Digest> = distinct.par_iter().map(Window::digest).collect();
    let each = images.iter().zip(ranges).zip(places);
    each.map(|((image, ranges), places)| {
        let mut list = String::new();
        for (range, place) in ranges.iter().zip(places) {
            let blocks = match range.end - 1 {
                last if last == range.start => last.to_string(),
                last => format!("{}-{last}", range.start),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                list,
                "    <Range chksum=\"{}\"> {blocks} </Range>",
                digests[place]
            );
        }
        let mapped = ranges.iter().map(|range| range.end - range.start).sum();
        text(image.size().get(), mapped, &list)
    })
    .collect()
}

/// A map of a disk of `size` bytes, `mapped` blocks of which are in the list.
fn text(size: u64, mapped: u64, list: &str) -> String {
    let block = u64::from(BLOCK.get());
    let with = |checksum: &str| {
        format!(
            "<?xml version=\"1.0\" ?>\n\
             <bmap version=\"2.0\">\n  \
             <ImageSize> {size} </ImageSize>\n  \
             <BlockSize> {block} </BlockSize>\n  \
             <BlocksCount> {} </BlocksCount>\n  \
             <MappedBlocksCount> {mapped} </MappedBlocksCount>\n  \
             <ChecksumType> sha256 </ChecksumType>\n  \
             <BmapFileChecksum> {checksum} </BmapFileChecksum>\n  \
             <BlockMap>\n{list}  </BlockMap>\n\
             </bmap>\n",
            size.div_ceil(block)
        )
    };
    let unsigned = with(&"0".repeat(64));
    with(&Digest::of(unsigned.as_bytes()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Extent;
    use imgbuild_base::ByteSize;

    fn sample(end: &'static str) -> DiskImage {
        let extents = [
            Extent::new(0, vec![1; 5000]),
            Extent::new(20_000, "one block"),
            Extent::new(49_990, end),
        ];
        DiskImage::new(ByteSize::bytes(50_000), extents).unwrap()
    }

    #[test]
    fn ranges_sizes_and_checksums() {
        let (one, two) = (sample("end"), sample("END"));
        let maps = maps(&[&one, &two]);
        let mut first = vec![1; 5000];
        first.resize(8192, 0);
        let mut middle = vec![0; 4096];
        middle[20_000 - 4 * 4096..][..9].copy_from_slice(b"one block");
        // The last block is not a whole one.
        let mut last = vec![0; 50_000 - 12 * 4096];
        last[49_990 - 12 * 4096..][..3].copy_from_slice(b"end");
        let lines: Vec<&str> = maps[0].lines().collect();
        let range = |bytes: &[u8], blocks: &str| {
            let digest = Digest::of(bytes);
            format!("    <Range chksum=\"{digest}\"> {blocks} </Range>")
        };
        assert_eq!(
            lines[9..12],
            [
                range(&first, "0-1"),
                range(&middle, "4"),
                range(&last, "12")
            ]
        );
        assert_eq!(
            lines[2..6].join(""),
            "  <ImageSize> 50000 </ImageSize>  <BlockSize> 4096 </BlockSize>  <BlocksCount> 13 </BlocksCount>  <MappedBlocksCount> 4 </MappedBlocksCount>"
        );
        let other: Vec<&str> = maps[1].lines().collect();
        assert_eq!(lines[9..11], other[9..11]);
        assert_ne!(lines[11], other[11]);
    }

    #[test]
    fn the_map_has_a_checksum_of_its_own() {
        let image = sample("end");
        let map = maps(&[&image]).remove(0);
        let at = map.find("<BmapFileChecksum> ").unwrap() + "<BmapFileChecksum> ".len();
        let (before, rest) = map.split_at(at);
        let (sum, after) = rest.split_at(64);
        let unsigned = [before, &"0".repeat(64), after].concat();
        assert_eq!(sum, Digest::of(unsigned.as_bytes()).to_string());
    }
}
