//! A stretch of a [`DiskImage`], to be compared, hashed or copied as one.

use super::DiskImage;
use imgbuild_base::{Digest, Hasher};
use std::ops::Range;

/// Zeros to hash holes with.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The bytes of a disk from one place to another. Two windows are equal when a reader would
/// see the same bytes in the same pieces; bytes that lie at the same place in memory, as those
/// of a layer that several disks hold, are not looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Window<'a> {
    length: u64,
    /// Content in rising order; zeros between.
    parts: Vec<Part<'a>>,
}

/// Content, by its distance from the window's start.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    at: u64,
    bytes: &'a [u8],
}

impl PartialEq for Part<'_> {
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (self.bytes, other.bytes);
        self.at == other.at && (std::ptr::eq(one, two) || one == two)
    }
}

impl DiskImage {
    /// The bytes of a range, as far as it lies on the disk.
    #[must_use]
    pub fn window(&self, range: Range<u64>) -> Window<'_> {
        let end = range.end.min(self.size.get());
        let first = self
            .extents
            .partition_point(|extent| extent.end() <= range.start);
        let within = self.extents[first..].iter();
        let within = within.take_while(|extent| extent.offset < end);
        let parts = within.filter_map(|extent| {
            let from = extent.offset.max(range.start);
            let to = extent.end().min(end);
            let inside = |at: u64| usize::try_from(at - extent.offset).ok();
            let bytes = extent.bytes.get(inside(from)?..inside(to)?)?;
            let at = from - range.start;
            Some(Part { at, bytes })
        });
        Window {
            length: end.saturating_sub(range.start),
            parts: parts.collect(),
        }
    }
}

impl<'a> Window<'a> {
    /// Its bytes, if one extent holds all of them.
    pub(crate) fn in_one_piece(&self) -> Option<&'a [u8]> {
        match self.parts[..] {
            [Part { at: 0, bytes }] if bytes.len() as u64 == self.length => Some(bytes),
            _ => None,
        }
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Puts its bytes in the place of what `to` holds.
    pub fn read_into(&self, to: &mut Vec<u8>) {
        to.clear();
        for Part { at, bytes } in &self.parts {
            to.resize(usize::try_from(*at).unwrap_or(usize::MAX), 0);
            to.extend_from_slice(bytes);
        }
        to.resize(usize::try_from(self.length).unwrap_or(usize::MAX), 0);
    }

    /// The SHA-256 of its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        let mut at = 0;
        for part in &self.parts {
            add_zeros(&mut hasher, part.at - at);
            hasher.update(part.bytes);
            at = part.at + part.bytes.len() as u64;
        }
        add_zeros(&mut hasher, self.length - at);
        hasher.finish()
    }
}

fn add_zeros(hasher: &mut Hasher, mut count: u64) {
    while count > 0 {
        let step = count.min(ZEROS.len() as u64);
        hasher.update(&ZEROS[..usize::try_from(step).unwrap_or(ZEROS.len())]);
        count -= step;
    }
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
        fn shows_what_a_flat_copy_holds(
            parts in proptest::collection::vec((0_u8..20, proptest::collection::vec(1_u8.., 0..20)), 0..8),
            tail in 0_u64..30,
            start in 0_u64..150,
            length in 0_u64..150,
        ) {
            let (mut at, mut extents) = (0, Vec::new());
            for (gap, bytes) in parts {
                at += u64::from(gap);
                extents.push(Extent::new(at, bytes.clone()));
                at += bytes.len() as u64;
            }
            let image = DiskImage::new(ByteSize::bytes(at + tail), extents).unwrap();
            let mut flat = Vec::new();
            image.reader().read_to_end(&mut flat).unwrap();
            let range = |at: u64| usize::try_from(at).unwrap().min(flat.len());
            let expected = &flat[range(start)..range(start + length)];

            let window = image.window(start..start + length);
            let mut seen = vec![7; 3];
            window.read_into(&mut seen);
            prop_assert_eq!(&seen[..], expected);
            prop_assert_eq!(window.length(), expected.len() as u64);
            prop_assert_eq!(window.digest(), Digest::of(expected));
        }
    }

    #[test]
    fn equal_when_the_bytes_are() {
        let image = |text: &'static str| {
            DiskImage::new(ByteSize::bytes(20), [Extent::new(3, text)]).unwrap()
        };
        let (one, two, other) = (image("abcdef"), image("abcdef"), image("abcdeX"));
        assert_eq!(one.window(0..9), two.window(0..9));
        assert_eq!(one.window(0..8), other.window(0..8));
        assert_ne!(one.window(0..9), other.window(0..9));
        assert_ne!(one.window(0..9), one.window(1..10));
        assert_ne!(one.window(10..12), one.window(10..13));
    }
}
