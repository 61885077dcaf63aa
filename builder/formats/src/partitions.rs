//! Finding a disk's partitions, whichever table it has.

use crate::disk::SECTOR;
use crate::gpt::{self, GptError};
use crate::mbr::{self, MbrError};
use crate::source::Source;
use std::io;
use std::ops::Range;

/// A partition table that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitions {
    /// An MBR.
    Mbr(mbr::Table),
    /// A GPT.
    Gpt(gpt::Table),
}

/// Why no partitions were found.
#[derive(Debug, thiserror::Error)]
pub enum PartitionsError {
    /// The medium cannot be read.
    #[error("the partition table cannot be read")]
    Read(#[from] io::Error),
    /// The MBR is none, or a damaged one.
    #[error(transparent)]
    Mbr(#[from] MbrError),
    /// The GPT is damaged.
    #[error(transparent)]
    Gpt(#[from] GptError),
}

impl Partitions {
    /// Reads a disk's table. The disk may be larger than the image that was written to it.
    ///
    /// # Errors
    /// [`PartitionsError`] when there is no sound table.
    pub fn read(disk: &(impl Source + ?Sized)) -> Result<Self, PartitionsError> {
        let first = match disk.bytes(0, 512) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(MbrError::NoSignature.into());
            }
            other => other?,
        };
        match mbr::Table::decode(&first, disk.size()) {
            Ok(table) => Ok(Self::Mbr(table)),
            Err(MbrError::Protective) => Ok(Self::Gpt(gpt::Table::open(disk)?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the table at the start of a disk, leaving alone the copy that a GPT has at the end.
    ///
    /// # Errors
    /// As [`Partitions::read`].
    pub fn primary(disk: &(impl Source + ?Sized)) -> Result<Self, PartitionsError> {
        match mbr::Table::decode(&disk.bytes(0, 512)?, disk.size()) {
            Ok(table) => Ok(Self::Mbr(table)),
            Err(MbrError::Protective) => Ok(Self::Gpt(gpt::Table::primary(disk)?)),
            Err(error) => Err(error.into()),
        }
    }

    /// `MBR` or `GPT`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Mbr(_) => "MBR",
            Self::Gpt(_) => "GPT",
        }
    }

    /// The bytes each partition takes, in the order of their numbers.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range<u64>> {
        match self {
            Self::Mbr(table) => {
                let parts = table.partitions.iter();
                parts
                    .map(|part| {
                        let first = u64::from(part.first);
                        first * SECTOR..(first + u64::from(part.sectors)) * SECTOR
                    })
                    .collect()
            }
            Self::Gpt(table) => {
                let parts = table.partitions.iter();
                parts
                    .map(|part| part.first * SECTOR..(part.last + 1) * SECTOR)
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DiskImage;
    use crate::gpt::Guid;
    use imgbuild_base::{ByteSize, Digest};
    use proptest::prelude::*;

    const SIZE: ByteSize = ByteSize::mib(8);

    fn gpt() -> gpt::Table {
        gpt::Table {
            disk: Guid::derived("disk", Digest::of(b"x")),
            partitions: vec![gpt::Partition {
                kind: Guid::EFI_SYSTEM,
                guid: Guid::derived("boot", Digest::of(b"x")),
                name: "boot".to_owned(),
                first: 2048,
                last: 6143,
                attributes: 0,
            }],
        }
    }

    fn flat(extents: Vec<crate::disk::Extent>) -> Vec<u8> {
        let disk = DiskImage::new(SIZE, extents).unwrap();
        disk.bytes(0, 8 << 20).unwrap()
    }

    #[test]
    fn both_tables_are_found() {
        let table = gpt();
        let mut bytes = flat(table.extents(SIZE).unwrap());
        let found = Partitions::read(&bytes[..]).unwrap();
        assert_eq!(found, Partitions::Gpt(table.clone()));
        assert_eq!(found.ranges().first(), Some(&(1 << 20..3 << 20)));
        // On a card that is larger than the image.
        bytes.resize(20 << 20, 0);
        let found = Partitions::read(&bytes[..]).unwrap();
        assert_eq!(found, Partitions::Gpt(table));
        // The backup is looked at where the primary says it is, unless it is not wanted.
        bytes[(8 << 20) - 512] ^= 1;
        assert_eq!(Partitions::primary(&bytes[..]).unwrap(), found);
        assert!(matches!(
            Partitions::read(&bytes[..]),
            Err(PartitionsError::Gpt(GptError::Damaged {
                copy: "backup",
                ..
            }))
        ));

        let table = mbr::Table {
            signature: 1,
            partitions: vec![mbr::Partition {
                active: true,
                kind: mbr::FAT32,
                first: 8192,
                sectors: 2048,
            }],
        };
        let bytes = flat(table.extents(SIZE).unwrap());
        let found = Partitions::read(&bytes[..]).unwrap();
        assert_eq!(found.ranges().first(), Some(&(4 << 20..5 << 20)));
        assert_eq!(found.kind(), "MBR");
    }

    #[test]
    fn what_has_no_table_is_told() {
        for bytes in [vec![], vec![0; 511], vec![0; 4096]] {
            assert!(matches!(
                Partitions::read(&bytes[..]),
                Err(PartitionsError::Mbr(MbrError::NoSignature))
            ));
        }
    }

    proptest! {
        /// Damage anywhere in a table is refused or leaves partitions within the disk.
        #[test]
        fn damage_is_refused_or_harmless(
            changes in proptest::collection::vec((0_usize..17408, any::<u8>()), 1..4),
            rehash in any::<bool>(),
        ) {
            let mut bytes = flat(gpt().extents(SIZE).unwrap());
            for (at, value) in changes {
                bytes[at] = value;
            }
            if rehash {
                let entries = crc32fast::hash(&bytes[1024..17408]);
                bytes[600..604].copy_from_slice(&entries.to_le_bytes());
                bytes[528..532].fill(0);
                let header = crc32fast::hash(&bytes[512..604]);
                bytes[528..532].copy_from_slice(&header.to_le_bytes());
            }
            if let Ok(found) = Partitions::read(&bytes[..]) {
                for range in found.ranges() {
                    prop_assert!(range.start < range.end && range.end <= SIZE.get());
                }
            }
        }
    }
}
