//! A `.xz` file put together from blocks (the .xz file format 1.2.1):
//!
//! ```text
//! stream header │ block │ block │ … │ index: sizes of every block │ stream footer
//! ```
//!
//! liblzma makes each block, as the only one of a small file of its own, which is taken apart
//! here. Its multi-threaded encoder is used, with one thread: that one writes sizes into block
//! headers, which decompressors need to work on several processors.

use super::{Packed, Sizes};
use liblzma::stream::{Check, MtStreamBuilder};
use liblzma::write::XzEncoder;
use std::io::{self, Write as _};

/// Magic bytes, flags (each block has a CRC-64) and their CRC-32 (2.1.1).
pub(super) const HEADER: [u8; 12] = [
    0xFD, b'7', b'z', b'X', b'Z', 0, 0, 4, 0xE6, 0xD6, 0xB4, 0x46,
];
/// The flags in the footer, which repeats them (2.1.2).
const FLAGS: [u8; 2] = [0, 4];
const MAGIC: [u8; 2] = *b"YZ";
const FOOTER: usize = 12;

/// A dictionary of 4 MiB; 48 MiB of memory for each block at work.
const PRESET: u32 = 4;

/// A block that holds these bytes, at least one.
pub(super) fn block(raw: &[u8]) -> io::Result<Packed> {
    let stream = MtStreamBuilder::new()
        .threads(1)
        .block_size(raw.len() as u64)
        .preset(PRESET)
        .check(Check::Crc64)
        .encoder()?;
    let mut encoder = XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(raw)?;
    let file = encoder.finish()?;
    take_apart(&file)
        .filter(|packed| packed.sizes.raw == raw.len() as u64)
        .ok_or_else(|| io::Error::other("liblzma made something else than one block"))
}

/// The only block of a small file.
fn take_apart(file: &[u8]) -> Option<Packed> {
    let (rest, footer) = file.split_last_chunk::<FOOTER>()?;
    let index = u32::from_le_bytes([footer[4], footer[5], footer[6], footer[7]]);
    let index = (usize::try_from(index).ok()? + 1) * 4;
    let (rest, index) = rest.split_at_checked(rest.len().checked_sub(index)?)?;
    let bytes = rest.strip_prefix(&HEADER)?.to_vec();
    let mut records = index.strip_prefix(&[0, 1])?;
    let sizes = Sizes {
        packed: number(&mut records)?,
        raw: number(&mut records)?,
    };
    let padded = sizes.packed.next_multiple_of(4) == bytes.len() as u64;
    padded.then_some(Packed { bytes, sizes })
}

/// Index and footer for these blocks (4, 2.1.2).
pub(super) fn end(blocks: &[Sizes]) -> io::Result<Vec<u8>> {
    let mut out = vec![0];
    put_number(&mut out, blocks.len() as u64);
    for block in blocks {
        put_number(&mut out, block.packed);
        put_number(&mut out, block.raw);
    }
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(crc32fast::hash(&out).to_le_bytes());
    let index = u32::try_from(out.len() / 4 - 1).map_err(io::Error::other)?;
    let mut footer = index.to_le_bytes().to_vec();
    footer.extend(FLAGS);
    out.extend(crc32fast::hash(&footer).to_le_bytes());
    out.extend(footer);
    out.extend(MAGIC);
    Ok(out)
}

/// Adds a number, seven bits in a byte, the lowest first (1.2).
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = (number & 0x7F) as u8;
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Takes such a number from the front.
fn number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (&first, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(first & 0x7F) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_read_as_written(value in 0_u64..1 << 63, more in any::<[u8; 3]>()) {
            let mut bytes = Vec::new();
            put_number(&mut bytes, value);
            bytes.extend(more);
            let mut rest = &bytes[..];
            prop_assert_eq!(number(&mut rest), Some(value));
            prop_assert_eq!(rest, more);
        }

        #[test]
        fn what_is_no_file_is_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(take_apart(&bytes).is_none());
        }
    }

    #[test]
    fn the_header_has_its_checksum() {
        assert_eq!(HEADER[8..], crc32fast::hash(&HEADER[6..8]).to_le_bytes());
    }

    #[test]
    fn a_number_without_an_end_is_none() {
        assert_eq!(number(&mut &[0x80; 9][..]), None);
        assert_eq!(number(&mut &[0x80; 2][..]), None);
    }
}
