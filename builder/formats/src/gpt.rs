//! GUID partition tables (UEFI specification 2.10, chapter 5), for virtual machines.
//!
//! A [`Table`] is what the disk is divided into; [`Table::extents`] lays it out as a
//! protective MBR, the primary header and entries, and their backup at the disk's end;
//! [`Table::read`] takes both copies apart again and checks that they agree.

mod guid;

pub use guid::{Guid, GuidError};

use crate::disk::{Extent, SECTOR};
use crate::mbr;
use crate::source::Source;
use imgbuild_base::ByteSize;

/// Entries of a table; nobody uses another number.
const ENTRIES: u32 = 128;
const ENTRY: u32 = 128;
/// Sectors the entries take.
const ENTRY_SECTORS: u64 = 32;
/// The first sector a partition may use: after the MBR, the header and the entries.
pub const FIRST_USABLE: u64 = 2 + ENTRY_SECTORS;
const HEADER: usize = 92;
const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION: [u8; 4] = [0, 0, 1, 0];
/// UTF-16 code units of a partition's name.
const NAME_UNITS: usize = 36;

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// What it is for, as [`Guid::EFI_SYSTEM`].
    pub kind: Guid,
    /// Which one it is: PARTUUID.
    pub guid: Guid,
    /// PARTLABEL, at most 36 UTF-16 units.
    pub name: String,
    /// First sector.
    pub first: u64,
    /// Last sector, included.
    pub last: u64,
    /// Attribute bits (UEFI 2.10, table 5.8); 0 for none.
    pub attributes: u64,
}

/// A partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The disk's own GUID.
    pub disk: Guid,
    /// Partitions in the order of their numbers.
    pub partitions: Vec<Partition>,
}

/// What is wrong with a table, to be written or found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GptError {
    /// The disk is not made of sectors, or too small for two tables.
    #[error("a disk of {0} bytes cannot hold a GPT: expected a multiple of 512 of at least 34816")]
    DiskSize(u64),
    /// More partitions than entries.
    #[error("a GPT holds at most 128 partitions, not {0}")]
    TooMany(usize),
    /// A partition that ends before it starts or lies outside the usable sectors.
    #[error(
        "partition {number} spans sectors {first} to {last}: expected a range within {usable_first} to {usable_last}"
    )]
    Range {
        /// Its number, from 1.
        number: usize,
        /// Its first sector.
        first: u64,
        /// Its last sector.
        last: u64,
        /// The first sector it may use.
        usable_first: u64,
        /// The last sector it may use.
        usable_last: u64,
    },
    /// Two partitions share sectors.
    #[error("partitions {0} and {1} overlap")]
    Overlap(usize, usize),
    /// A name that does not fit.
    #[error("the partition name {0:?} is longer than 36 UTF-16 units")]
    Name(String),
    /// A partition without a type would be no partition.
    #[error("partition {0} has no type: expected a GUID other than zero")]
    NoType(usize),
    /// The image is no disk with a GPT, or a damaged one.
    #[error("the {copy} GPT is damaged: {what}")]
    Damaged {
        /// `primary` or `backup`.
        copy: &'static str,
        /// What was found and expected.
        what: &'static str,
    },
    /// Each copy is sound, but they say different things.
    #[error("the primary and the backup GPT differ: run `sgdisk -e` or write the image again")]
    Differ,
}

impl Table {
    /// The last sector a partition may use on a disk of that size.
    ///
    /// # Errors
    /// [`GptError::DiskSize`].
    pub fn last_usable(size: ByteSize) -> Result<u64, GptError> {
        let sectors = size.get() / SECTOR;
        if !size.get().is_multiple_of(SECTOR) || sectors < 2 * FIRST_USABLE {
            return Err(GptError::DiskSize(size.get()));
        }
        Ok(sectors - 2 - ENTRY_SECTORS)
    }

    /// The table as it lies on a disk of `size` bytes.
    ///
    /// # Errors
    /// [`GptError`] when the disk or a partition does not fit.
    pub fn extents(&self, size: ByteSize) -> Result<Vec<Extent>, GptError> {
        self.bootable(size, &[0; mbr::BOOT_CODE])
    }

    /// The same with code that a PC's BIOS starts, in the first sector.
    ///
    /// # Errors
    /// As [`Table::extents`].
    pub fn bootable(
        &self,
        size: ByteSize,
        code: &[u8; mbr::BOOT_CODE],
    ) -> Result<Vec<Extent>, GptError> {
        let last_usable = Self::last_usable(size)?;
        self.check(last_usable)?;
        let last = size.get() / SECTOR - 1;
        let entries = self.entries();
        let crc = crc32fast::hash(&entries);
        let mut start = mbr::protective(last).to_vec();
        start[..mbr::BOOT_CODE].copy_from_slice(code);
        start.extend(self.header(1, last, 2, last_usable, crc));
        start.extend(&entries);
        let mut backup = entries;
        backup.extend(self.header(last, 1, last - ENTRY_SECTORS, last_usable, crc));
        Ok(vec![
            Extent::new(0, start),
            Extent::new((last - ENTRY_SECTORS) * SECTOR, backup),
        ])
    }

    fn check(&self, usable_last: u64) -> Result<(), GptError> {
        if self.partitions.len() > ENTRIES as usize {
            return Err(GptError::TooMany(self.partitions.len()));
        }
        for (at, part) in self.partitions.iter().enumerate() {
            let number = at + 1;
            if part.kind == Guid::ZERO {
                return Err(GptError::NoType(number));
            }
            if part.name.encode_utf16().count() > NAME_UNITS || part.name.contains('\0') {
                return Err(GptError::Name(part.name.clone()));
            }
            if part.first < FIRST_USABLE || part.last > usable_last || part.first > part.last {
                return Err(GptError::Range {
                    number,
                    first: part.first,
                    last: part.last,
                    usable_first: FIRST_USABLE,
                    usable_last,
                });
            }
        }
        let ranges: Vec<_> = self.partitions.iter().map(|p| (p.first, p.last)).collect();
        match overlap(&ranges) {
            Some((one, two)) => Err(GptError::Overlap(one, two)),
            None => Ok(()),
        }
    }

    fn entries(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((ENTRIES * ENTRY) as usize);
        for part in &self.partitions {
            bytes.extend(part.kind.to_disk());
            bytes.extend(part.guid.to_disk());
            bytes.extend(part.first.to_le_bytes());
            bytes.extend(part.last.to_le_bytes());
            bytes.extend(part.attributes.to_le_bytes());
            let mut units = part.name.encode_utf16();
            for _ in 0..NAME_UNITS {
                bytes.extend(units.next().unwrap_or(0).to_le_bytes());
            }
        }
        bytes.resize((ENTRIES * ENTRY) as usize, 0);
        bytes
    }

    /// One sector: the header at sector `own`, whose twin is at `other`.
    fn header(&self, own: u64, other: u64, entries: u64, last_usable: u64, crc: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend(SIGNATURE);
        bytes.extend(REVISION);
        bytes.extend(92_u32.to_le_bytes());
        bytes.extend([0; 8]); // the checksum, set below, and a reserved field
        for sector in [own, other, FIRST_USABLE, last_usable] {
            bytes.extend(sector.to_le_bytes());
        }
        bytes.extend(self.disk.to_disk());
        bytes.extend(entries.to_le_bytes());
        bytes.extend(ENTRIES.to_le_bytes());
        bytes.extend(ENTRY.to_le_bytes());
        bytes.extend(crc.to_le_bytes());
        let own_crc = crc32fast::hash(&bytes);
        bytes[16..20].copy_from_slice(&own_crc.to_le_bytes());
        bytes.resize(512, 0);
        bytes
    }

    /// Reads the table of a whole disk image.
    ///
    /// # Errors
    /// [`GptError`] when a copy is missing or damaged, or the two disagree.
    pub fn read(image: &[u8]) -> Result<Self, GptError> {
        let size = ByteSize::bytes(image.len() as u64);
        Self::last_usable(size)?;
        Self::open_sized(image, size)
    }

    /// Reads the table of a disk that may be larger than the image that was written to it: the
    /// primary copy says where the image ends and its backup is.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn open(disk: &(impl Source + ?Sized)) -> Result<Self, GptError> {
        Self::last_usable(ByteSize::bytes(disk.size().get() / SECTOR * SECTOR))?;
        let header = sectors(disk, "primary", 1, SECTOR)?;
        let damaged = |what| GptError::Damaged {
            copy: "primary",
            what,
        };
        // Trusted only when the header's checksum, looked at next, is right.
        let size = u64_at(&header, 32).checked_add(1);
        let size = size.and_then(|last| last.checked_mul(SECTOR));
        let size = size.filter(|&size| size <= disk.size().get());
        let size = size.ok_or_else(|| damaged("its backup lies outside the disk"));
        match size {
            Ok(size) => Self::open_sized(disk, ByteSize::bytes(size)),
            // What is wrong with the header itself is the better thing to say.
            Err(outside) => read_copy(disk, "primary", 1).and(Err(outside)),
        }
    }

    /// Reads the copy at the start of a disk only.
    ///
    /// # Errors
    /// [`GptError`] when it is missing or damaged, or does not describe this disk.
    pub fn primary(disk: &(impl Source + ?Sized)) -> Result<Self, GptError> {
        let table = read_copy(disk, "primary", 1)?;
        table.check(Self::last_usable(disk.size())?)?;
        Ok(table)
    }

    fn open_sized(disk: &(impl Source + ?Sized), size: ByteSize) -> Result<Self, GptError> {
        let table = read_copy(disk, "primary", 1)?;
        let last_usable = Self::last_usable(size)?;
        let backup = read_copy(disk, "backup", size.get() / SECTOR - 1)?;
        if table != backup {
            return Err(GptError::Differ);
        }
        table.check(last_usable)?;
        Ok(table)
    }
}

/// Numbers (from 1) of two of the ranges, both ends included, that share something.
pub(crate) fn overlap(ranges: &[(u64, u64)]) -> Option<(usize, usize)> {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_by_key(|&at| ranges[at]);
    order
        .windows(2)
        .find(|pair| ranges[pair[0]].1 >= ranges[pair[1]].0)
        .map(|pair| (pair[0].min(pair[1]) + 1, pair[0].max(pair[1]) + 1))
}

/// The `length` bytes from sector `from` on, which belong to a copy.
fn sectors(
    disk: &(impl Source + ?Sized),
    copy: &'static str,
    from: u64,
    length: u64,
) -> Result<Vec<u8>, GptError> {
    let damaged = |what| GptError::Damaged { copy, what };
    let start = from.checked_mul(SECTOR);
    let start = start.ok_or_else(|| damaged("it lies beyond the end of any disk"))?;
    let length = usize::try_from(length).map_err(|_| damaged("it is too long"))?;
    disk.bytes(start, length)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => damaged("the disk ends before it"),
            _ => damaged("the medium cannot be read there"),
        })
}

fn read_copy(
    disk: &(impl Source + ?Sized),
    copy: &'static str,
    at: u64,
) -> Result<Table, GptError> {
    let damaged = |what| GptError::Damaged { copy, what };
    let header = sectors(disk, copy, at, SECTOR)?;
    let header = &header[..];
    if &header[..8] != SIGNATURE {
        return Err(damaged("no \"EFI PART\" where its header belongs"));
    }
    if u32_at(header, 12) != 92 {
        return Err(damaged("its header is not 92 bytes long"));
    }
    let mut bare = header[..HEADER].to_vec();
    bare[16..20].fill(0);
    if crc32fast::hash(&bare) != u32_at(header, 16) {
        return Err(damaged("its header's checksum is wrong"));
    }
    if u64_at(header, 24) != at {
        return Err(damaged("its header belongs to another sector"));
    }
    if (u32_at(header, 80), u32_at(header, 84)) != (ENTRIES, ENTRY) {
        return Err(damaged("it does not have 128 entries of 128 bytes"));
    }
    let entries = sectors(disk, copy, u64_at(header, 72), ENTRY_SECTORS * SECTOR)?;
    if crc32fast::hash(&entries) != u32_at(header, 88) {
        return Err(damaged("its entries' checksum is wrong"));
    }
    let partitions = entries
        .chunks_exact(ENTRY as usize)
        .filter(|entry| guid_at(entry, 0) != Guid::ZERO)
        .map(|entry| {
            let name: Vec<u16> = entry[56..]
                .chunks_exact(2)
                .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
                .take_while(|&unit| unit != 0)
                .collect();
            Partition {
                kind: guid_at(entry, 0),
                guid: guid_at(entry, 16),
                name: String::from_utf16_lossy(&name),
                first: u64_at(entry, 32),
                last: u64_at(entry, 40),
                attributes: u64_at(entry, 48),
            }
        })
        .collect();
    Ok(Table {
        disk: guid_at(header, 56),
        partitions,
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn guid_at(bytes: &[u8], at: usize) -> Guid {
    Guid::from_disk(array(bytes, at))
}

#[cfg(test)]
mod tests;
