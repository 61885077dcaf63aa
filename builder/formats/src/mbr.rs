//! Master boot records, the only partition table the boot ROMs of Raspberry Pi up to the
//! third generation read; and the protective one in front of a GPT (UEFI 2.10, 5.2.3).

use crate::disk::{Extent, SECTOR};
use crate::gpt::overlap;
use imgbuild_base::ByteSize;

/// The type of a FAT32 partition addressed by sector numbers.
pub const FAT32: u8 = 0x0C;
/// The type of a Linux partition.
pub const LINUX: u8 = 0x83;
/// The type that protects a GPT.
pub const PROTECTIVE: u8 = 0xEE;

/// Bytes of a disk's first sector that are code for a PC's BIOS; behind them lie the disk's
/// signature and the entries.
pub const BOOT_CODE: usize = 440;

/// Where the four entries start in the sector; the disk's signature is six bytes before.
const TABLE: usize = 446;
const SIGNATURE: usize = BOOT_CODE;
/// The address of a sector beyond cylinder 1023.
const BEYOND: [u8; 3] = [0xFE, 0xFF, 0xFF];

/// One primary partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Whether it is marked active.
    pub active: bool,
    /// Its type, as [`FAT32`].
    pub kind: u8,
    /// First sector.
    pub first: u32,
    /// How many sectors it has.
    pub sectors: u32,
}

/// A partition table of up to four primary partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The disk's signature; with a partition's number it makes up the PARTUUID.
    pub signature: u32,
    /// Partitions in the order of their numbers.
    pub partitions: Vec<Partition>,
}

/// What is wrong with a table, to be written or found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MbrError {
    /// More than four.
    #[error("an MBR holds at most 4 partitions, not {0}")]
    TooMany(usize),
    /// A partition without a type, or empty, or at sector 0, or beyond the disk.
    #[error(
        "partition {number} (type {kind:#04x}) has {sectors} sectors from {first} on: expected a type, and a range within 1 to {last}"
    )]
    Range {
        /// Its number, from 1.
        number: usize,
        /// Its type.
        kind: u8,
        /// Its first sector.
        first: u32,
        /// Its length in sectors.
        sectors: u32,
        /// The disk's last sector.
        last: u64,
    },
    /// Two partitions share sectors.
    #[error("partitions {0} and {1} overlap")]
    Overlap(usize, usize),
    /// No boot signature.
    #[error("no MBR: expected the bytes 55 aa at offset 510")]
    NoSignature,
    /// The only partition protects a GPT.
    #[error("this MBR only protects a GPT: read that instead")]
    Protective,
}

impl Table {
    /// The table as it lies on a disk of `size` bytes.
    ///
    /// # Errors
    /// [`MbrError`] when a partition does not fit.
    pub fn extents(&self, size: ByteSize) -> Result<Vec<Extent>, MbrError> {
        self.check(size)?;
        let mut sector = [0; 512];
        sector[SIGNATURE..SIGNATURE + 4].copy_from_slice(&self.signature.to_le_bytes());
        for (number, part) in self.partitions.iter().enumerate() {
            let last = u64::from(part.first) + u64::from(part.sectors) - 1;
            put(&mut sector, number, part, chs(part.first.into()), chs(last));
        }
        Ok(vec![Extent::new(0, sector.to_vec())])
    }

    fn check(&self, size: ByteSize) -> Result<(), MbrError> {
        if self.partitions.len() > 4 {
            return Err(MbrError::TooMany(self.partitions.len()));
        }
        let total = size.get() / SECTOR;
        let ranges: Vec<(u64, u64)> = self
            .partitions
            .iter()
            .enumerate()
            .map(|(at, part)| {
                let end = u64::from(part.first) + u64::from(part.sectors);
                if part.kind == 0 || part.first == 0 || part.sectors == 0 || end > total {
                    return Err(MbrError::Range {
                        number: at + 1,
                        kind: part.kind,
                        first: part.first,
                        sectors: part.sectors,
                        last: total.saturating_sub(1),
                    });
                }
                Ok((u64::from(part.first), end - 1))
            })
            .collect::<Result<_, _>>()?;
        match overlap(&ranges) {
            Some((one, two)) => Err(MbrError::Overlap(one, two)),
            None => Ok(()),
        }
    }

    /// Reads the table of a whole disk image; unused entries are left out.
    ///
    /// # Errors
    /// [`MbrError`] when there is none, or it does not describe this disk.
    pub fn read(image: &[u8]) -> Result<Self, MbrError> {
        let sector = image.get(..512).ok_or(MbrError::NoSignature)?;
        Self::decode(sector, ByteSize::bytes(image.len() as u64))
    }

    /// Reads the table in the first sector of a disk of `size` bytes; unused entries are left
    /// out.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn decode(sector: &[u8], size: ByteSize) -> Result<Self, MbrError> {
        let sector = sector.get(..512).ok_or(MbrError::NoSignature)?;
        if sector[510..] != [0x55, 0xAA] {
            return Err(MbrError::NoSignature);
        }
        let long = |at: usize| {
            u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]])
        };
        let partitions: Vec<Partition> = (0..4)
            .map(|number| TABLE + 16 * number)
            .filter(|&at| sector[at + 4] != 0)
            .map(|at| Partition {
                active: sector[at] == 0x80,
                kind: sector[at + 4],
                first: long(at + 8),
                sectors: long(at + 12),
            })
            .collect();
        if partitions.iter().any(|part| part.kind == PROTECTIVE) {
            return Err(MbrError::Protective);
        }
        let table = Self {
            signature: long(SIGNATURE),
            partitions,
        };
        table.check(size)?;
        Ok(table)
    }
}

/// The MBR in front of a GPT on a disk with that last sector: one partition over all of it,
/// or as much of it as 32 bits can say.
pub(crate) fn protective(last: u64) -> [u8; 512] {
    let mut sector = [0; 512];
    let part = Partition {
        active: false,
        kind: PROTECTIVE,
        first: 1,
        sectors: u32::try_from(last).unwrap_or(u32::MAX),
    };
    // UEFI has another word than the rest of the world for what cylinders cannot say.
    let end = match chs(last) {
        BEYOND => [0xFF; 3],
        end => end,
    };
    put(&mut sector, 0, &part, [0, 2, 0], end);
    sector
}

fn put(sector: &mut [u8; 512], number: usize, part: &Partition, first: [u8; 3], last: [u8; 3]) {
    let entry = &mut sector[TABLE + 16 * number..][..16];
    entry[0] = if part.active { 0x80 } else { 0 };
    entry[1..4].copy_from_slice(&first);
    entry[4] = part.kind;
    entry[5..8].copy_from_slice(&last);
    entry[8..12].copy_from_slice(&part.first.to_le_bytes());
    entry[12..16].copy_from_slice(&part.sectors.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
}

/// Head, sector and cylinder of a sector number on the usual fiction of 255 heads and 63
/// sectors a track; what lies beyond cylinder 1023 is the agreed `fe ff ff`.
fn chs(sector: u64) -> [u8; 3] {
    let (track, within) = (sector / 63, sector % 63 + 1);
    let (cylinder, head) = (track / 255, track % 255);
    if cylinder > 1023 {
        return BEYOND;
    }
    let low = |value: u64| value.to_le_bytes()[0];
    [low(head), low(within | (cylinder >> 8) << 6), low(cylinder)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DiskImage;
    use proptest::prelude::*;
    use std::io::Read as _;
    use std::process::Command;

    const SIZE: ByteSize = ByteSize::mib(64);

    fn table() -> Table {
        let part = |active, kind, first, sectors| Partition {
            active,
            kind,
            first,
            sectors,
        };
        Table {
            signature: 0x1234_ABCD,
            partitions: vec![
                part(true, FAT32, 8192, 65536),
                part(false, LINUX, 73728, 131_072 - 73728),
            ],
        }
    }

    fn image(table: &Table) -> Vec<u8> {
        let disk = DiskImage::new(SIZE, table.extents(SIZE).unwrap()).unwrap();
        let mut bytes = Vec::new();
        disk.reader().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn foreign_tools_agree() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        fs_err::write(&path, image(&table())).unwrap();
        let run = |command: &mut Command| {
            let output = command.arg(&path).output().unwrap();
            assert!(output.status.success(), "{command:?}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let text = run(Command::new("sfdisk").arg("-V"));
        assert!(text.contains("No errors detected"), "{text}");
        let json = run(Command::new("sfdisk").arg("-J"));
        let expected = [
            "\"label\": \"dos\"",
            "\"id\": \"0x1234abcd\"",
            "\"start\": 8192",
            "\"size\": 65536",
            "\"type\": \"c\"",
            "\"bootable\": true",
            "\"size\": 57344",
            "\"type\": \"83\"",
        ];
        for part in expected {
            assert!(json.contains(part), "{part} is missing in {json}");
        }
        let text = run(Command::new("file").arg("-b"));
        assert!(text.contains("partition 1 : ID=0xc, active"), "{text}");
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(Table::read(&image(&table())), Ok(table()));
    }

    #[test]
    fn geometry() {
        assert_eq!(chs(0), [0, 1, 0]);
        assert_eq!(chs(8192), [130, 3, 0]);
        assert_eq!(chs(255 * 63 * 1023), [0, 1 | 0xC0, 0xFF]);
        assert_eq!(chs(255 * 63 * 1024), [0xFE, 0xFF, 0xFF]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let with = |change: fn(&mut Table)| {
            let mut table = table();
            change(&mut table);
            table.extents(SIZE).unwrap_err()
        };
        assert_eq!(
            with(|table| table.partitions[0].sectors += 1),
            MbrError::Overlap(1, 2)
        );
        assert_eq!(
            with(|table| table.partitions[1].sectors += 1),
            MbrError::Range {
                number: 2,
                kind: LINUX,
                first: 73728,
                sectors: 57345,
                last: 131_071
            }
        );
        assert_eq!(
            with(|table| table.partitions.resize(5, table.partitions[0])),
            MbrError::TooMany(5)
        );
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert_eq!(Table::read(&[]), Err(MbrError::NoSignature));
        assert_eq!(Table::read(&[0; 512]), Err(MbrError::NoSignature));
        assert_eq!(Table::read(&protective(99)), Err(MbrError::Protective));
    }

    proptest! {
        #[test]
        fn no_input_panics_the_reader(mut bytes in proptest::collection::vec(any::<u8>(), 512..600)) {
            bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
            let _ = Table::read(&bytes);
        }
    }
}
