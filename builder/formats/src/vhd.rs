//! Fixed virtual hard disks (VHD): what Azure takes.
//!
//! The file is the disk as it is, and after it a footer of 512 bytes, big-endian, which says
//! what it is. Azure wants the disk to be a whole number of MiB: [`write()`] rounds it up. It
//! also wants the disk's size to be taken from the footer's size and not from its geometry;
//! QEMU does so with files whose creator is `qem2`, so that is what they claim.
//!
//! A disk with a GPT should have a size that needs no rounding: the backup table belongs at
//! the end.
//!
//! Source: Microsoft's "Virtual Hard Disk Image Format Specification" 1.0: "Hard Disk Footer
//! Format", and for the geometry its appendix "CHS Calculation".

use crate::disk::DiskImage;
use crate::gpt::Guid;
use imgbuild_base::{ByteSize, Epoch};
use std::io::{self, Seek, SeekFrom, Write};

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// The largest disk that the format has.
const LARGEST: u64 = 2040 << 30;
/// 2000-01-01T00:00:00Z, from which the format counts.
const YEAR_2000: u32 = 946_684_800;
const FOOTER: usize = 512;

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The format has an end.
    #[error("a disk of {0} bytes is too large for VHD: expected at most 2040 GiB")]
    TooLarge(u64),
    /// The image could not be stored.
    #[error("writing the VHD image: {0}")]
    Io(#[from] io::Error),
}

/// The size that a disk of `size` bytes has as a VHD: the next whole number of MiB, at least
/// one.
#[must_use]
pub fn rounded(size: ByteSize) -> ByteSize {
    let mib = size.get().div_ceil(MIB).max(1);
    ByteSize::bytes(mib.saturating_mul(MIB))
}

/// Writes `image` from the start of `out`, which must be empty: what is zero is skipped by
/// seeking, so that a file becomes sparse. Leaves the position at the end. `id` tells this
/// disk from others, `made` is the time it claims to be made at; the format knows none before
/// the year 2000 and takes that instead.
///
/// # Errors
/// [`WriteError`] when the disk is too large or `out` fails.
pub fn write<W: Write + Seek>(
    image: &DiskImage,
    id: Guid,
    made: Epoch,
    out: &mut W,
) -> Result<(), WriteError> {
    let size = rounded(image.size()).get();
    if size > LARGEST {
        return Err(WriteError::TooLarge(image.size().get()));
    }
    image.write_content(out)?;
    out.seek(SeekFrom::Start(size))?;
    out.write_all(&footer(size, id, made))?;
    Ok(())
}

fn footer(size: u64, id: Guid, made: Epoch) -> [u8; FOOTER] {
    let (cylinders, heads, sectors) = geometry(size / SECTOR);
    let mut bytes = Vec::with_capacity(FOOTER);
    bytes.extend(b"conectix");
    bytes.extend([0, 0, 0, 2]); // no features; this bit is always set
    bytes.extend([0, 1, 0, 0]); // version 1.0
    bytes.extend([0xFF; 8]); // nothing before the disk
    let seconds = made.seconds_u32().saturating_sub(YEAR_2000);
    bytes.extend(seconds.to_be_bytes());
    bytes.extend(b"qem2\0\x05\0\x03Wi2k"); // creator, its version, its host
    bytes.extend(size.to_be_bytes()); // when it was made
    bytes.extend(size.to_be_bytes()); // now
    bytes.extend(cylinders.to_be_bytes());
    bytes.extend([heads, sectors]);
    bytes.extend([0, 0, 0, 2]); // fixed
    let checksum_at = bytes.len();
    bytes.extend([0; 4]);
    bytes.extend(id.as_bytes());
    bytes.resize(FOOTER, 0); // not in a saved state; reserved
    let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
    bytes[checksum_at..checksum_at + 4].copy_from_slice(&(!sum).to_be_bytes());
    let mut footer = [0; FOOTER];
    footer.copy_from_slice(&bytes);
    footer
}

/// Cylinders, heads and sectors per track of a disk of that many sectors.
fn geometry(sectors: u64) -> (u16, u8, u8) {
    let total = sectors.min(65_535 * 16 * 255);
    let (per_track, tracks, heads) = if total >= 65_535 * 16 * 63 {
        (255, total / 255, 16)
    } else {
        let tracks = total / 17;
        let heads = tracks.div_ceil(1024).max(4);
        if heads <= 16 && tracks < heads * 1024 {
            (17, tracks, heads)
        } else if total / 31 < 16 * 1024 {
            (31, total / 31, 16)
        } else {
            (63, total / 63, 16)
        }
    };
    // At most 65,535 by the first line.
    let cylinders = u16::try_from(tracks / heads).unwrap_or(u16::MAX);
    let narrow = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
    (cylinders, narrow(heads), narrow(per_track))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometries_of_the_specification() {
        for (mib, expected) in [
            (1, (30, 4, 17)),
            (100, (1003, 12, 17)),
            (200, (825, 16, 31)),
            (500, (1015, 16, 63)),
            (64 << 10, (32_896, 16, 255)),
            (2040 << 10, (65_535, 16, 255)),
        ] {
            assert_eq!(geometry(mib * MIB / SECTOR), expected, "{mib} MiB");
        }
    }

    #[test]
    fn the_footer_is_that_of_the_specification() {
        let id = Guid::from_u128(0x0123_4567_89AB_CDEF_0123_4567_89AB_CDEF);
        let footer = footer(100 * MIB, id, Epoch::from_u32(YEAR_2000 + 0x0102_0304));
        assert_eq!(footer[..8], *b"conectix");
        assert_eq!(footer[24..28], [1, 2, 3, 4]);
        assert_eq!(footer[40..48], (100 * MIB).to_be_bytes());
        assert_eq!(footer[48..56], (100 * MIB).to_be_bytes());
        assert_eq!(footer[56..60], [0x03, 0xEB, 12, 17]);
        assert_eq!(footer[60..64], [0, 0, 0, 2]);
        assert_eq!(footer[68..84], *id.as_bytes());
        let bytes = footer.iter().enumerate();
        let others = bytes.filter(|(at, _)| !(64..68).contains(at));
        let sum: u32 = others.map(|(_, &byte)| u32::from(byte)).sum();
        assert_eq!(footer[64..68], (u32::MAX - sum).to_be_bytes());
        let before = super::footer(MIB, id, Epoch::ZERO);
        assert_eq!(before[24..28], [0; 4]);
    }

    #[test]
    fn sizes_are_whole_mebibytes() {
        for (size, mib) in [(0, 1), (1, 1), (MIB, 1), (MIB + 1, 2)] {
            assert_eq!(rounded(ByteSize::bytes(size)), ByteSize::mib(mib));
        }
        let image = DiskImage::new(ByteSize::bytes(LARGEST + 1), []).unwrap();
        let error = write(
            &image,
            Guid::ZERO,
            Epoch::ZERO,
            &mut io::Cursor::new(Vec::new()),
        );
        assert!(matches!(error, Err(WriteError::TooLarge(size)) if size == LARGEST + 1));
    }
}
