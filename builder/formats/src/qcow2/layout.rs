//! The structures of the file. All numbers are big-endian.

use crate::FileName;
use std::num::NonZeroU32;

/// Bytes of a cluster; 64 KiB, as `qemu-img create` has it.
pub(super) const CLUSTER: usize = 1 << CLUSTER_BITS;
const CLUSTER_BITS: u32 = 16;
/// The same as the disk counts its blocks.
pub(super) const CLUSTER_BLOCK: NonZeroU32 =
    NonZeroU32::new(1 << CLUSTER_BITS).expect("more than nothing");
/// The same where places are counted.
pub(super) const CLUSTER_BYTES: u64 = CLUSTER as u64;
/// Entries of an L2 table, which is one cluster.
pub(super) const L2_ENTRIES: u64 = CLUSTER_BYTES / 8;
/// Entries of a refcount block, which is one cluster of 16-bit numbers.
pub(super) const REFCOUNT_ENTRIES: usize = CLUSTER / 2;
/// The largest disk: QEMU reads L1 tables of at most 32 MiB.
pub(super) const LARGEST: u64 = (32 << 20) / 8 * L2_ENTRIES * CLUSTER_BYTES;
/// The disk's size is counted in these.
pub(super) const SECTOR: u64 = 512;

const MAGIC: [u8; 4] = *b"QFI\xfb";
const VERSION: u32 = 3;
const HEADER_LENGTH: u32 = 104;
/// log2 of the bits of a refcount.
const REFCOUNT_ORDER: u32 = 4;
/// Type of the header extension that names the backing file's format.
const BACKING_FORMAT: u32 = 0xE279_2ACA;

/// Flag of an L1 or L2 entry: the cluster it points to is used once, by this entry.
pub(super) const COPIED: u64 = 1 << 63;
/// Flag of an L2 entry: the cluster is deflated.
const COMPRESSED: u64 = 1 << 62;
/// L2 entry of a cluster that reads as zeros, whatever the backing file has.
pub(super) const ZERO: u64 = 1;

/// L2 entry of a deflated cluster: `length` bytes at `offset`. The number of further 512-byte
/// sectors that it touches stands above the offset.
pub(super) const fn compressed_entry(offset: u64, length: u64) -> u64 {
    let further = (offset + length - 1) / SECTOR - offset / SECTOR;
    COMPRESSED | further << (62 - (CLUSTER_BITS - 8)) | offset
}

/// What the header says.
pub(super) struct Header<'a> {
    /// Bytes of the disk, whole sectors.
    pub(super) size: u64,
    pub(super) l1_entries: u32,
    pub(super) l1_offset: u64,
    pub(super) refcount_offset: u64,
    pub(super) refcount_clusters: u32,
    /// A qcow2 image in the same directory.
    pub(super) backing: Option<&'a FileName>,
}

impl Header<'_> {
    /// The header, its extensions and the backing file's name; less than a cluster.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut extensions = Vec::new();
        if self.backing.is_some() {
            let format = b"qcow2";
            extensions.extend(BACKING_FORMAT.to_be_bytes());
            extensions.extend([0, 0, 0, 5]);
            extensions.extend(format);
            extensions.extend([0; 3]); // to a multiple of 8
        }
        extensions.extend([0; 8]); // the last extension
        let name = self.backing.map_or("", FileName::as_str).as_bytes();
        let name_length = u32::try_from(name.len()).unwrap_or(u32::MAX); // at most 100
        let name_offset = match name_length {
            0 => 0,
            _ => u64::from(HEADER_LENGTH) + extensions.len() as u64,
        };

        let mut bytes = Vec::with_capacity(256);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend(name_offset.to_be_bytes());
        bytes.extend(name_length.to_be_bytes());
        bytes.extend(CLUSTER_BITS.to_be_bytes());
        bytes.extend(self.size.to_be_bytes());
        bytes.extend([0; 4]); // not encrypted
        bytes.extend(self.l1_entries.to_be_bytes());
        bytes.extend(self.l1_offset.to_be_bytes());
        bytes.extend(self.refcount_offset.to_be_bytes());
        bytes.extend(self.refcount_clusters.to_be_bytes());
        bytes.extend([0; 12]); // no snapshots
        bytes.extend([0; 24]); // no features that a reader must, may or should know
        bytes.extend(REFCOUNT_ORDER.to_be_bytes());
        bytes.extend(HEADER_LENGTH.to_be_bytes());
        bytes.extend(extensions);
        bytes.extend(name);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sectors_a_deflated_cluster_touches() {
        for (offset, length, further) in [
            (0x1_0000, 512, 0),
            (0x1_0000, 513, 1),
            (0x1_01FF, 1, 0),
            (0x1_01FF, 2, 1),
            (0x1_0001, 57_344, 112),
        ] {
            let entry = compressed_entry(offset, length);
            assert_eq!(
                entry,
                1 << 62 | further << 54 | offset,
                "{length} bytes at {offset}"
            );
        }
    }

    #[test]
    fn the_name_lies_where_the_header_says() {
        let name = "base.qcow2".parse().unwrap();
        let mut header = Header {
            size: 512,
            l1_entries: 1,
            l1_offset: 0,
            refcount_offset: 0,
            refcount_clusters: 1,
            backing: Some(&name),
        };
        let bytes = header.encode();
        assert_eq!(bytes[8..20], [0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 10]);
        assert_eq!(&bytes[128..], b"base.qcow2");
        header.backing = None;
        assert_eq!(header.encode()[8..20], [0; 12]);
        assert_eq!(header.encode().len(), 112);
    }
}
