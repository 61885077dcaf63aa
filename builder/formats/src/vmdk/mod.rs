//! VMware's disk images in the form made for transport: streamOptimized VMDK.
//!
//! [`write()`] cuts the disk into grains of 64 KiB, deflates those that are not all zero, and
//! needs a sink that takes bytes one after another, nothing more. VMware's and VirtualBox'
//! programs import the result, QEMU opens it as it is; an [appliance](crate::ova) holds one.
//!
//! What the file holds, in sectors of 512 bytes; each part begins with a new sector:
//!
//! | where | what |
//! |---|---|
//! | 0 | sparse header, which says that the directory is named at the end |
//! | 1 to 20 | descriptor: text with the disk's size, geometry and content id |
//! | from 128 on, in the disk's order | grains: a marker of 12 bytes with the grain's sector on the disk and its length in the file, then zlib data |
//! | after the grains of each 32 MiB | a marker, then the grain table that says where they lie |
//! | then | a marker, then the grain directory: where the tables lie |
//! | at the end | a marker, the footer, which is the header with the directory's place, and the end-of-stream marker |
//!
//! The disk is rounded up to whole grains, as the specification asks. Besides the grains in
//! flight (at most 32 MiB), 4 bytes per 32 MiB of the disk are kept in memory.
//!
//! Source: VMware's "Virtual Disk Format 5.0" (also printed as 1.1).

mod layout;
mod write;

use imgbuild_base::Digest;
use std::fmt;
use std::io;

pub use write::{rounded, write};

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Grains are found by a sector's number of 32 bits.
    #[error("a disk of {0} bytes is too large for VMDK: expected less than 2 TiB")]
    TooLarge(u64),
    /// The image could not be stored.
    #[error("writing the VMDK image: {0}")]
    Io(#[from] io::Error),
}

/// What tells the content of one disk from that of others: `ddb.longContentID`, whose last
/// eight digits are the CID.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContentId([u8; 16]);

impl ContentId {
    /// The id of a disk with that SHA-256: its first 128 bits, except for the two CIDs that
    /// mean "none" and "not yet written to".
    #[must_use]
    pub fn derived(disk: Digest) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&disk.as_bytes()[..16]);
        if bytes[12..] >= [0xFF, 0xFF, 0xFF, 0xFE][..] {
            bytes[12] = 0;
        }
        Self(bytes)
    }

    /// The CID: eight hexadecimal digits.
    fn short(self) -> String {
        self.to_string()[24..].to_owned()
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_id_is_never_one_of_those_with_a_meaning() {
        let id = ContentId::derived(Digest::of(b"disk"));
        assert_eq!(id.to_string(), Digest::of(b"disk").to_string()[..32]);
        assert_eq!(id.short(), id.to_string()[24..]);
        for (last, cid) in [
            ("fffffffd", "fffffffd"),
            ("fffffffe", "00fffffe"),
            ("ffffffff", "00ffffff"),
        ] {
            let digest = format!("{}{last}{}", "1".repeat(24), "2".repeat(32));
            assert_eq!(ContentId::derived(digest.parse().unwrap()).short(), cid);
        }
    }
}
