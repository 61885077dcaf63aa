//! Disk images in the formats of virtual machines, judged by other programs.
//!
//! The digests pinned here change only when an image does: then a release made before cannot
//! be made again, which the change log must say.

#![allow(clippy::unwrap_used)]

mod ova;
mod qcow2;
mod support;
mod vhd;
mod vmdk;
