//! On-disk formats: bytes in, bytes out; no clock, no network, no file system.

pub mod bmap;
pub mod compress;
pub mod cpio;
pub mod disk;
pub mod fat;
pub mod gpt;
pub mod mbr;
pub mod oci;
pub mod squashfs;
pub mod uki;
