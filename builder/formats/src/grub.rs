//! GRUB as a PC's BIOS starts it, put together from the files of its platform `i386-pc`:
//! what `grub-mkimage` and `grub-bios-setup` do on a running system, as bytes.
//!
//! ```text
//! sector 0     boot.img, its first 440 bytes: reads one sector and jumps to it
//! sector S     diskboot.img: reads the sectors of its list and jumps to the first
//! sector S+1…  lzma_decompress.img, which unpacks the payload behind it
//!              payload: kernel.img as it lies in memory, then modules, commands and prefix
//! ```
//!
//! [`assemble`] makes a [`Loader`], [`inspect`] takes its [`Core`] apart again; [`payload`]
//! has what lies inside.
//!
//! Sources: the GRUB manual's chapters "Images" and "BIOS installation", and the positions that
//! GRUB publishes in `grub/offsets.h`, `grub/i386/pc/boot.h` and `grub/kernel.h`.

mod payload;

pub use payload::{Record, RecordKind};

use crate::disk::SECTOR;
use crate::mbr::BOOT_CODE;
use bytes::Bytes;
use liblzma::read::{XzDecoder, XzEncoder};
use liblzma::stream::{Filters, LzmaOptions, Stream};
use std::collections::BTreeMap;
use std::io::Read;

/// boot.img: the sector to read, as 8 bytes.
const KERNEL_SECTOR: usize = 0x5c;
/// boot.img: a jump that two `nop`s replace on hard disks, because some firmware names another
/// drive than the one it booted from.
const DRIVE_CHECK: usize = 0x66;
const NOP: u8 = 0x90;
/// diskboot.img: the end of its list; entries grow towards the start. An entry is the first
/// sector (8 bytes), their number (2) and the segment to read them to (2).
const FIRST_ENTRY: usize = 500;
const ENTRY_LENGTH: usize = FIRST_ENTRY + 8;
const ENTRY_SEGMENT: usize = FIRST_ENTRY + 10;
/// What is read lands at 0x8200.
const SEGMENT: [u8; 2] = 0x820_u16.to_le_bytes();
/// lzma_decompress.img: the payload's sizes.
const COMPRESSED_SIZE: usize = 0x08;
const UNCOMPRESSED_SIZE: usize = 0x0c;
/// The memory below 0x78000 that decompressor and payload share from 0x9000 on.
const LARGEST: usize = 0x78000 - 0x9000;
/// A reader's limit on what a payload may become: GRUB's modules together have 3 MB.
const LARGEST_PAYLOAD: u32 = 16 << 20;

/// Files of GRUB's folder `i386-pc`, by name.
pub type Files<'a> = BTreeMap<&'a str, &'a [u8]>;

/// What a loader shall be able to do.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// Modules by name; what they depend on comes with them.
    pub modules: &'a [&'a str],
    /// Commands to run, one a line.
    pub commands: &'a str,
    /// What `$prefix` is and, before its `)`, `$root`; `(,gpt1)/` is the root directory of the
    /// first partition of the disk that was booted.
    pub prefix: &'a str,
    /// The sector from which the core lies on the disk.
    pub sector: u64,
}

/// A loader, ready for a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loader {
    /// The code of the disk's first sector.
    pub code: [u8; BOOT_CODE],
    /// What follows from the wished sector on.
    pub core: Bytes,
}

impl Loader {
    /// Both parts as one, the code first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.code.as_slice(), &self.core].concat()
    }

    /// From what [`Loader::to_bytes`] made; the core is a window on it.
    ///
    /// # Errors
    /// [`GrubError::Damaged`] when there is less than the code and a sector.
    pub fn from_bytes(bytes: &Bytes) -> Result<Self, GrubError> {
        let code = bytes
            .first_chunk()
            .filter(|_| bytes.len() > BOOT_CODE + 512);
        let code = code.ok_or(GrubError::Damaged("it is cut off"))?;
        Ok(Self {
            code: *code,
            core: bytes.slice(BOOT_CODE..),
        })
    }
}

/// Why there is no loader, or a core cannot be taken apart.
#[derive(Debug, thiserror::Error)]
pub enum GrubError {
    /// A file is not there.
    #[error("GRUB's folder i386-pc has no {0}")]
    Missing(String),
    /// A file is not what GRUB 2 has under this name.
    #[error("GRUB's {file} is not as expected: {what}")]
    Unexpected {
        /// The file's name.
        file: &'static str,
        /// What is odd.
        what: &'static str,
    },
    /// kernel.img is no program.
    #[error("GRUB's kernel.img is no ELF program: {0}")]
    Kernel(#[from] object::Error),
    /// The loader's memory ends before the core does.
    #[error("GRUB's core has {size} bytes with these modules, at most {LARGEST} can be started")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// liblzma gave up.
    #[error("compressing GRUB's payload: {0}")]
    Lzma(#[from] liblzma::stream::Error),
    /// liblzma gave up on the bytes.
    #[error("GRUB's payload: {0}")]
    Stream(#[from] std::io::Error),
    /// The core is not what [`assemble`] or `grub-mkimage` makes.
    #[error("GRUB's core is damaged: {0}")]
    Damaged(&'static str),
}

/// Puts a loader together.
///
/// # Errors
/// [`GrubError`] when a file is missing or strange, or too much is wished for.
pub fn assemble(files: &Files<'_>, wishes: &Wishes<'_>) -> Result<Loader, GrubError> {
    let payload = payload::build(files, wishes)?;
    let mut compressed = Vec::new();
    let encoder = Stream::new_raw_encoder(&filters()?)?;
    XzEncoder::new_stream(payload.as_slice(), encoder).read_to_end(&mut compressed)?;

    let decompressor = file(files, "lzma_decompress.img")?;
    let mut body = decompressor.to_vec();
    put_size(&mut body, COMPRESSED_SIZE, compressed.len())?;
    put_size(&mut body, UNCOMPRESSED_SIZE, payload.len())?;
    body.extend(compressed);
    if body.len() > LARGEST {
        return Err(GrubError::TooLarge { size: body.len() });
    }

    let mut core = first_sector(files, wishes.sector, body.len())?.to_vec();
    core.extend(body);
    Ok(Loader {
        code: boot_code(files, wishes.sector)?,
        core: core.into(),
    })
}

fn boot_code(files: &Files<'_>, sector: u64) -> Result<[u8; BOOT_CODE], GrubError> {
    const FILE: &str = "boot.img";
    let image = file(files, FILE)?;
    let mut code = *image.first_chunk().ok_or(GrubError::Unexpected {
        file: FILE,
        what: "it is shorter than a sector's code",
    })?;
    if code[KERNEL_SECTOR..KERNEL_SECTOR + 8] != 1_u64.to_le_bytes() {
        return Err(GrubError::Unexpected {
            file: FILE,
            what: "the sector to read is not at byte 0x5c",
        });
    }
    code[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&sector.to_le_bytes());
    code[DRIVE_CHECK..DRIVE_CHECK + 2].fill(NOP);
    Ok(code)
}

/// diskboot.img, told where the `length` bytes after it lie.
fn first_sector(files: &Files<'_>, sector: u64, length: usize) -> Result<[u8; 512], GrubError> {
    const FILE: &str = "diskboot.img";
    let unexpected = |what| GrubError::Unexpected { file: FILE, what };
    let image = file(files, FILE)?.try_into();
    let mut image: [u8; 512] = image.map_err(|_| unexpected("it is no sector of 512 bytes"))?;
    if image[ENTRY_SEGMENT..] != SEGMENT {
        return Err(unexpected("its list does not end with segment 0x820"));
    }
    let sectors = (length as u64).div_ceil(SECTOR);
    let sectors = u16::try_from(sectors).map_err(|_| GrubError::TooLarge { size: length })?;
    image[FIRST_ENTRY..ENTRY_LENGTH].copy_from_slice(&(sector + 1).to_le_bytes());
    image[ENTRY_LENGTH..ENTRY_SEGMENT].copy_from_slice(&sectors.to_le_bytes());
    Ok(image)
}

fn put_size(image: &mut [u8], at: usize, size: usize) -> Result<(), GrubError> {
    let field = u32::try_from(size).map_err(|_| GrubError::TooLarge { size })?;
    let place = image.get_mut(at..at + 4).ok_or(GrubError::Unexpected {
        file: "lzma_decompress.img",
        what: "it ends before the payload's sizes",
    })?;
    place.copy_from_slice(&field.to_le_bytes());
    Ok(())
}

/// The properties that the decompressor has built in; it keeps all it has unpacked, so that the
/// dictionary's size is free.
fn filters() -> Result<Filters, GrubError> {
    let mut options = LzmaOptions::new_preset(9)?;
    options
        .dict_size(1 << 16)
        .literal_context_bits(3)
        .literal_position_bits(0)
        .position_bits(2);
    let mut filters = Filters::new();
    filters.lzma1(&options);
    Ok(filters)
}

fn file<'a>(files: &Files<'a>, name: &str) -> Result<&'a [u8], GrubError> {
    let found = files.get(name).copied();
    found.ok_or_else(|| GrubError::Missing(name.to_owned()))
}

/// A core taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// The sector after diskboot.img's.
    pub sector: u64,
    /// How many sectors are read from there.
    pub sectors: u16,
    /// The kernel as it lies in memory.
    pub kernel: Bytes,
    /// What the kernel finds behind itself.
    pub records: Vec<Record>,
}

/// Takes the core of a [`Loader`] apart.
///
/// # Errors
/// [`GrubError`] when it is cut off or damaged.
pub fn inspect(core: &[u8]) -> Result<Core, GrubError> {
    let cut_off = GrubError::Damaged("it is shorter than its headers");
    let Some((first, body)) = core.split_first_chunk::<512>() else {
        return Err(cut_off);
    };
    let number = |at: usize| {
        let field = body.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*field))
    };
    let (Some(compressed), Some(size)) = (number(COMPRESSED_SIZE), number(UNCOMPRESSED_SIZE))
    else {
        return Err(cut_off);
    };
    if size > LARGEST_PAYLOAD {
        return Err(GrubError::Damaged(
            "its payload would have more than 16 MiB",
        ));
    }
    let start = usize::try_from(compressed)
        .ok()
        .and_then(|compressed| body.len().checked_sub(compressed));
    let compressed = start.and_then(|start| body.get(start..));
    let compressed = compressed.ok_or(GrubError::Damaged("its payload is cut off"))?;
    // Not up to the stream's end: those of grub-mkimage have no mark there.
    let mut payload = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    let decoder = Stream::new_raw_decoder(&filters()?)?;
    XzDecoder::new_stream(compressed, decoder).read_exact(&mut payload)?;
    let (kernel, records) = payload::read(payload.into())?;
    let mut sector = [0; 8];
    sector.copy_from_slice(&first[FIRST_ENTRY..ENTRY_LENGTH]);
    Ok(Core {
        sector: u64::from_le_bytes(sector),
        sectors: u16::from_le_bytes([first[ENTRY_LENGTH], first[ENTRY_LENGTH + 1]]),
        kernel,
        records,
    })
}

#[cfg(test)]
mod tests;
