//! The structures of squashfs 4.0, each described once for writer and reader.
//!
//! All numbers are little-endian. An image is, in this order: superblock, data and fragment
//! blocks, inode table, directory table, fragment table, id table, padding.

use super::error::ReadError;

/// Bytes of the superblock.
pub(super) const SUPERBLOCK: usize = 96;
/// Uncompressed bytes in a metadata block.
pub(super) const METADATA: usize = 8192;
/// In a metadata block's header: the block is not compressed.
pub(super) const METADATA_RAW: u16 = 1 << 15;
/// In the size of a data or fragment block: the block is not compressed.
pub(super) const DATA_RAW: u32 = 1 << 24;
/// Where there is no table, fragment or attribute.
pub(super) const NONE_64: u64 = u64::MAX;
/// As [`NONE_64`], in narrow fields.
pub(super) const NONE_32: u32 = u32::MAX;
/// Bytes of a fragment table's entry.
pub(super) const FRAGMENT: usize = 16;
/// Entries after which a directory needs a new header.
pub(super) const HEADER_ENTRIES: usize = 256;
/// A directory's size counts this much for `.` and `..`, which are not stored.
pub(super) const DOTS: u32 = 3;

const MAGIC: u32 = u32::from_le_bytes(*b"hsqs");
const ZSTD: u16 = 6;
/// Fragments of any file, duplicates found, no extended attributes.
const FLAGS: u16 = 0x0020 | 0x0040 | 0x0200;
const FLAG_NO_FRAGMENTS: u16 = 0x0010;

/// Takes numbers off the front of some bytes.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(rest: &'a [u8], what: &'static str) -> Self {
        Self { rest, what }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], ReadError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(ReadError::Truncated { what: self.what })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let taken = self.bytes(N)?;
        taken
            .try_into()
            .map_err(|_| ReadError::Truncated { what: self.what })
    }

    pub(super) fn u16(&mut self) -> Result<u16, ReadError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ReadError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, ReadError> {
        self.array().map(u64::from_le_bytes)
    }
}

/// A place in a metadata table: the block, in bytes from the table's start as stored, and the
/// byte in the block as decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) offset: u16,
}

impl Place {
    fn encode(self) -> u64 {
        u64::from(self.block) << 16 | u64::from(self.offset)
    }

    fn decode(raw: u64) -> Result<Self, ReadError> {
        let block = u32::try_from(raw >> 16).map_err(|_| ReadError::Astray {
            what: "an inode",
            at: raw,
        })?;
        let [low, high, ..] = raw.to_le_bytes();
        Ok(Self {
            block,
            offset: u16::from_le_bytes([low, high]),
        })
    }
}

/// The first 96 bytes, as far as they vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    pub(super) inodes: u32,
    pub(super) mtime: u32,
    pub(super) block_log: u8,
    pub(super) fragments: u32,
    pub(super) ids: u16,
    pub(super) root: Place,
    pub(super) bytes_used: u64,
    pub(super) id_table: u64,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
}

impl Superblock {
    pub(super) fn encode(&self) -> Vec<u8> {
        let flags = if self.fragments == 0 {
            FLAGS | FLAG_NO_FRAGMENTS
        } else {
            FLAGS
        };
        let mut out = Vec::with_capacity(SUPERBLOCK);
        for number in [
            MAGIC,
            self.inodes,
            self.mtime,
            1 << self.block_log,
            self.fragments,
        ] {
            out.extend(number.to_le_bytes());
        }
        for number in [ZSTD, self.block_log.into(), flags, self.ids, 4, 0] {
            out.extend(number.to_le_bytes());
        }
        for number in [
            self.root.encode(),
            self.bytes_used,
            self.id_table,
            NONE_64, // extended attributes
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            NONE_64, // NFS export
        ] {
            out.extend(number.to_le_bytes());
        }
        out
    }

    pub(super) fn decode(image: &[u8]) -> Result<Self, ReadError> {
        let fields = &mut Fields::new(image, "the superblock");
        let magic = fields.u32()?;
        if magic != MAGIC {
            return Err(ReadError::NotSquashfs { found: magic });
        }
        let [inodes, mtime, block_size, fragments] =
            [fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?];
        let [compressor, block_log, _flags, ids, major, minor] = [
            fields.u16()?,
            fields.u16()?,
            fields.u16()?,
            fields.u16()?,
            fields.u16()?,
            fields.u16()?,
        ];
        let expect = |what, found: u64, expected: u64| {
            if found == expected {
                Ok(())
            } else {
                Err(ReadError::Unsupported {
                    what,
                    found,
                    expected,
                })
            }
        };
        expect("major version", major.into(), 4)?;
        expect("minor version", minor.into(), 0)?;
        expect("compressor (6 is zstd)", compressor.into(), ZSTD.into())?;
        let block_log = u8::try_from(block_log)
            .ok()
            .filter(|log| (12..=20).contains(log))
            .ok_or(ReadError::Unsupported {
                what: "block size as a power of two",
                found: block_log.into(),
                expected: 18,
            })?;
        expect("block size", block_size.into(), 1 << block_log)?;
        let root = Place::decode(fields.u64()?)?;
        let [bytes_used, id_table, xattrs, inode_table] =
            [fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?];
        expect("table of extended attributes", xattrs, NONE_64)?;
        Ok(Self {
            inodes,
            mtime,
            block_log,
            fragments,
            ids,
            root,
            bytes_used,
            id_table,
            inode_table,
            directory_table: fields.u64()?,
            fragment_table: fields.u64()?,
        })
    }
}
