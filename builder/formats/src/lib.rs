//! On-disk formats: bytes in, bytes out; no clock, no network, no file system.

pub mod bmap;
pub mod compress;
pub mod cpio;
mod deflate;
pub mod disk;
pub mod fat;
mod file_name;
pub mod gpt;
pub mod grub;
mod in_order;
pub mod mbr;
pub mod oci;
pub mod ova;
pub mod partitions;
pub mod qcow2;
pub mod source;
pub mod squashfs;
pub mod uki;
pub mod vhd;
pub mod vmdk;

pub use file_name::{FileName, FileNameError};
