//! The disk in pieces of one size, as formats that store clusters or grains want it.

use super::DiskImage;
use std::borrow::Cow;
use std::ops::Range;

impl DiskImage {
    /// The `index`-th piece of `size` bytes, zeros where no extent is and after the disk's
    /// end. Borrowed where one extent holds all of it.
    pub(crate) fn cell(&self, index: u64, size: usize) -> Cow<'_, [u8]> {
        let start = index.saturating_mul(size as u64);
        let window = self.window(start..start.saturating_add(size as u64));
        if let Some(whole) = window.in_one_piece()
            && whole.len() == size
        {
            return Cow::Borrowed(whole);
        }
        let mut cell = Vec::with_capacity(size);
        window.read_into(&mut cell);
        cell.resize(size, 0);
        Cow::Owned(cell)
    }
}

/// Ranges, given in any order, in rising order and joined where they touch or overlap.
pub(crate) fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// Whether there are bytes and all of them are zero.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0) && bytes[1..] == bytes[..bytes.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::super::Extent;
    use super::*;
    use imgbuild_base::ByteSize;
    use proptest::prelude::*;
    use std::io::Read as _;

    proptest! {
        #[test]
        fn cells_are_the_disk_cut_up(
            parts in proptest::collection::vec((0_u64..20, proptest::collection::vec(1_u8.., 0..20)), 0..8),
            tail in 0_u64..30,
            size in 1_usize..40,
        ) {
            let (mut extents, mut at) = (Vec::new(), 0);
            for (gap, bytes) in parts {
                extents.push(Extent::new(at + gap, bytes.clone()));
                at += gap + bytes.len() as u64;
            }
            let image = DiskImage::new(ByteSize::bytes(at + tail), extents).unwrap();
            let mut flat = Vec::new();
            image.reader().read_to_end(&mut flat).unwrap();
            flat.resize(flat.len().next_multiple_of(size) + size, 0);
            for (index, chunk) in flat.chunks_exact(size).enumerate() {
                prop_assert_eq!(&image.cell(index as u64, size)[..], chunk);
            }
        }
    }

    #[test]
    fn a_cell_within_an_extent_is_not_copied() {
        let image = DiskImage::new(ByteSize::bytes(16), [Extent::new(2, "0123456789")]).unwrap();
        assert!(matches!(image.cell(1, 4), Cow::Borrowed(b"2345")));
        assert!(matches!(image.cell(0, 4), Cow::Owned(cell) if cell == b"\0\x0001"));
        assert_eq!(&image.cell(u64::MAX, 4)[..], [0; 4]);
    }

    #[test]
    fn joins_and_finds_zeros() {
        assert_eq!(
            joined(vec![5..6, 0..2, 1..3, 3..4, 8..9, 5..6]),
            [0..4, 5..6, 8..9]
        );
        assert!(is_zero(&[0; 7]) && !is_zero(&[]) && !is_zero(&[0, 0, 1]) && !is_zero(&[1, 1]));
    }
}
