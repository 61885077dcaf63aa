//! The structures of the file. All numbers are little-endian, places are counted in sectors.

use super::ContentId;
use crate::FileName;
use std::num::NonZeroU32;

pub(super) const SECTOR: usize = 512;
/// Bytes of a grain.
pub(super) const GRAIN: usize = 64 << 10;
/// The same as the disk counts its blocks.
pub(super) const GRAIN_BLOCK: NonZeroU32 = NonZeroU32::new(64 << 10).expect("more than nothing");
pub(super) const GRAIN_SECTORS: u64 = (GRAIN / SECTOR) as u64;
/// Grains that a table is for; every reader wants 512.
pub(super) const TABLE_ENTRIES: usize = 512;
/// The first sector of the first grain.
pub(super) const OVERHEAD: u64 = 128;

const DESCRIPTOR_SECTORS: usize = 20;
/// Line ends can be checked; grains are compressed; there are markers.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;
const VERSION: u32 = 3;
/// As the directory's place: it is in the footer.
pub(super) const AT_THE_END: u64 = u64::MAX;

/// What a marker announces.
#[derive(Clone, Copy)]
pub(super) enum Marker {
    EndOfStream = 0,
    GrainTable = 1,
    GrainDirectory = 2,
    Footer = 3,
}

impl Marker {
    /// The marker of something that takes `sectors` sectors.
    pub(super) fn encode(self, sectors: u64) -> [u8; SECTOR] {
        let mut bytes = [0; SECTOR];
        bytes[..8].copy_from_slice(&sectors.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self as u32).to_le_bytes());
        bytes
    }
}

/// The header, or the footer, of a disk of `capacity` sectors.
pub(super) fn header(capacity: u64, directory: u64) -> [u8; SECTOR] {
    let mut bytes = Vec::with_capacity(SECTOR);
    bytes.extend(b"KDMV");
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(FLAGS.to_le_bytes());
    bytes.extend(capacity.to_le_bytes());
    bytes.extend(GRAIN_SECTORS.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes()); // the descriptor's place
    bytes.extend((DESCRIPTOR_SECTORS as u64).to_le_bytes());
    bytes.extend([0, 2, 0, 0]); // TABLE_ENTRIES
    bytes.extend([0; 8]); // no second directory
    bytes.extend(directory.to_le_bytes());
    bytes.extend(OVERHEAD.to_le_bytes());
    bytes.push(0); // closed in good order
    bytes.extend(b"\n \r\n"); // still so if nobody took the file for text
    bytes.extend([1, 0]); // deflate
    let mut sector = [0; SECTOR];
    sector[..bytes.len()].copy_from_slice(&bytes);
    sector
}

/// The descriptor of a disk of `capacity` sectors, as long as it is in the file.
pub(super) fn descriptor(capacity: u64, name: &FileName, content: ContentId) -> Vec<u8> {
    // What a BIOS makes of a large disk: 255 heads, 63 sectors per track.
    let cylinders = (capacity / (255 * 63)).max(1);
    let cid = content.short();
    let mut text = format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         CID={cid}\n\
         parentCID=ffffffff\n\
         createType=\"streamOptimized\"\n\
         \n\
         # Extent description\n\
         RW {capacity} SPARSE \"{name}\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.adapterType = \"lsilogic\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\n\
         ddb.longContentID = \"{content}\"\n\
         ddb.virtualHWVersion = \"14\"\n"
    )
    .into_bytes();
    // A name has 100 characters at most: there is room enough.
    text.resize(DESCRIPTOR_SECTORS * SECTOR, 0);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgbuild_base::Digest;

    #[test]
    fn structures_are_where_the_specification_has_them() {
        let header = header(2048, 77);
        assert_eq!(header[..12], *b"KDMV\x03\0\0\0\x01\0\x03\0");
        assert_eq!(header[12..14], [0, 8]);
        assert_eq!(header[44..46], [0, 2]);
        assert_eq!(header[56..58], [77, 0]);
        assert_eq!(header[72..79], *b"\0\n \r\n\x01\0");
        let marker = Marker::GrainTable.encode(4);
        assert_eq!(
            marker[..16],
            [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]
        );
    }

    #[test]
    fn the_descriptor_is_readable_and_of_one_length() {
        let name = "x".repeat(100).parse().unwrap();
        let id = ContentId::derived(Digest::of(b"disk"));
        let bytes = descriptor(u64::MAX, &name, id);
        assert_eq!(bytes.len(), 10_240);
        let text = String::from_utf8(bytes).unwrap();
        let text = text.trim_end_matches('\0');
        assert!(text.ends_with("\"14\"\n"), "{text}");
        assert!(
            text.contains(&format!("\nCID={}\n", &id.to_string()[24..])),
            "{text}"
        );
    }
}
