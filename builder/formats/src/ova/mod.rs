//! Appliances (OVA): a machine and its disk in one file that VMware's and VirtualBox' programs
//! import.
//!
//! The file is a tar archive in POSIX' ustar form, its members in the order of VMware's own
//! tool:
//!
//! | member | what |
//! |---|---|
//! | `NAME.ovf` | the descriptor: processors, memory, firmware, a SATA disk, a network card |
//! | `NAME.mf` | the manifest: SHA-256 of the two others |
//! | `NAME-disk1.vmdk` | the disk, [streamOptimized](crate::vmdk) |
//!
//! [`write()`] sends the disk out as it is deflated. Only then its length and digest are known,
//! which the members before it hold: room is left for them.
//!
//! Sources: DMTF's "Open Virtualization Format Specification" 1.1.0 (DSP0243). What is
//! VMware's own, from the descriptors that their open-vmdk makes; what VirtualBox understands,
//! from its `ovfreader.cpp`.

mod descriptor;
mod write;

use crate::{FileName, FileNameError, vmdk};
use imgbuild_base::{Digest, Epoch};
use std::io;
use std::num::{NonZeroU16, NonZeroU32};

pub use write::write;

/// An x86-64 machine with one disk and one network card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appliance {
    /// What the machine is called, and what its files' names begin with.
    pub name: FileName,
    /// How many processors it gets.
    pub cpus: NonZeroU16,
    /// How much memory it gets, in MiB. VMware wants a multiple of 4.
    pub memory_mib: NonZeroU32,
    /// What starts it.
    pub firmware: Firmware,
    /// SHA-256 of the disk, from which the ids of disk and machine follow.
    pub disk: Digest,
    /// When the files claim to be made.
    pub made: Epoch,
}

/// What starts a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// The BIOS.
    Bios,
    /// UEFI.
    Efi,
}

/// Why an appliance could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The names of the files inside get too long.
    #[error("naming the files of an appliance: {0}")]
    Name(#[from] FileNameError),
    /// The disk could not be written.
    #[error(transparent)]
    Disk(#[from] vmdk::WriteError),
    /// The disk does not fit into the archive.
    #[error("the disk takes {0} bytes in the appliance: a ustar archive holds less than 8 GiB")]
    TooLarge(u64),
    /// The appliance could not be stored.
    #[error("writing the appliance: {0}")]
    Io(#[from] io::Error),
}
