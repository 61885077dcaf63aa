//! What the images are made of.

use crate::values::{MirrorUrl, PackageName, ValueError, wrong};
use imgbuild_base::{Arch, ByteSize};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// What the images are made of, the same for every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The kind of machine.
    pub board: Board,
    /// Its architecture; the board exists for it.
    pub arch: Arch,
    /// Debian's suite.
    pub suite: Suite,
    /// The archive's components, sorted, without repetition; `main` is among them.
    pub components: Vec<Component>,
    /// Mirrors to try first, in order.
    pub mirrors: Vec<MirrorUrl>,
    /// Further Debian packages, sorted, without repetition.
    pub packages: Vec<PackageName>,
    /// zstd level of the layers: 1 to 22.
    pub zstd_level: u8,
    /// What is written for each node, sorted, without repetition; at least one.
    pub formats: Vec<Format>,
}

/// What one node's image is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NodeImage {
    /// The firmware that starts it; one that the board and architecture have.
    #[serde(skip_serializing_if = "Firmware::is_usual")]
    pub firmware: Firmware,
    /// How large the image file is.
    pub size: DiskSize,
    /// Room left free on the boot partition for layers to come.
    pub boot_reserve: ByteSize,
}

/// What a build writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A raw disk image.
    Img,
    /// A raw disk image in Zstandard.
    #[serde(rename = "img.zst")]
    ImgZst,
    /// A raw disk image in xz.
    #[serde(rename = "img.xz")]
    ImgXz,
    /// A disk for QEMU.
    Qcow2,
    /// A shared disk for QEMU, and what sets each node's apart.
    Qcow2Thin,
    /// A disk for VMware and others, made for transport.
    Vmdk,
    /// A disk for Azure and Hyper-V.
    Vhd,
    /// A machine with its disk for VMware and VirtualBox.
    Ova,
    /// The layers as files.
    Layers,
    /// An archive for a machine that has an operating system already.
    Overlay,
    /// A list of images for Raspberry Pi Imager.
    OsList,
    /// What libvirt needs to run the cluster.
    Libvirt,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 12] = [
        Self::Img,
        Self::ImgZst,
        Self::ImgXz,
        Self::Qcow2,
        Self::Qcow2Thin,
        Self::Vmdk,
        Self::Vhd,
        Self::Ova,
        Self::Layers,
        Self::Overlay,
        Self::OsList,
        Self::Libvirt,
    ];

    /// The name as recipes and `--format` have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Img => "img",
            Self::ImgZst => "img.zst",
            Self::ImgXz => "img.xz",
            Self::Qcow2 => "qcow2",
            Self::Qcow2Thin => "qcow2-thin",
            Self::Vmdk => "vmdk",
            Self::Vhd => "vhd",
            Self::Ova => "ova",
            Self::Layers => "layers",
            Self::Overlay => "overlay",
            Self::OsList => "os-list",
            Self::Libvirt => "libvirt",
        }
    }

    /// What it is.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Img => "a raw disk image, to be written to a card or given to a machine",
            Self::ImgZst => "the raw image compressed with zstd: fast",
            Self::ImgXz => "the raw image compressed with xz: small, read by every flasher",
            Self::Qcow2 => "for a VM: a disk for QEMU, compressed",
            Self::Qcow2Thin => {
                "for a VM: disks for QEMU, one that all nodes share and a small one of each node \
                 on it"
            }
            Self::Vmdk => "for a VM: a disk for VMware and VirtualBox (streamOptimized)",
            Self::Vhd => "for a VM: a disk for Azure and Hyper-V (fixed)",
            Self::Ova => "for a VM of amd64: a machine with its disk for VMware and VirtualBox",
            Self::Layers => {
                "the layers as files: the operating system's and etcd's once, and each node's own"
            }
            Self::Overlay => {
                "an archive to be unpacked on a machine that runs Debian, Ubuntu or Raspberry Pi \
                 OS already: etcd, its certificates, configuration and unit"
            }
            Self::OsList => {
                "for a Raspberry Pi: a list of the compressed images that Raspberry Pi Imager \
                 takes as a repository; needs --base-url"
            }
            Self::Libvirt => {
                "for a VM: the cluster's network and machines for libvirt, on qcow2 disks unless \
                 others are written too"
            }
        }
    }

    /// What follows the node's name in the name of its file; nothing where a node has no file
    /// of the format, or one whose name follows from its content.
    #[must_use]
    pub const fn suffix(self) -> Option<&'static str> {
        match self {
            Self::Img => Some(".img"),
            Self::ImgZst => Some(".img.zst"),
            Self::ImgXz => Some(".img.xz"),
            Self::Overlay => Some(".overlay.tar.gz"),
            Self::Qcow2 => Some(".qcow2"),
            Self::Qcow2Thin => Some(".thin.qcow2"),
            Self::Vmdk => Some(".vmdk"),
            Self::Vhd => Some(".vhd"),
            Self::Ova => Some(".ova"),
            Self::Layers | Self::OsList | Self::Libvirt => None,
        }
    }

    /// Whether it is for machines of this kind and architecture.
    #[must_use]
    pub fn is_for(self, board: Board, arch: Arch) -> bool {
        match self {
            Self::Img | Self::ImgZst | Self::ImgXz | Self::Layers | Self::Overlay => true,
            Self::Qcow2 | Self::Qcow2Thin | Self::Vmdk | Self::Vhd | Self::Libvirt => {
                board == Board::Vm
            }
            // The appliance describes a PC.
            Self::Ova => board == Board::Vm && arch == Arch::Amd64,
            Self::OsList => board == Board::RaspberryPi,
        }
    }

    /// Whether an operating system is part of it.
    #[must_use]
    pub const fn has_system(self) -> bool {
        !matches!(self, Self::Overlay)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Format {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| wrong(text, "a format"))
    }
}

/// A kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Board {
    /// A virtual machine with UEFI and a GPT disk: amd64, arm64.
    Vm,
    /// A Raspberry Pi with an MBR card: armhf (Pi 2, 3, Zero 2 W), arm64 (Pi 3, 4, Zero 2 W,
    /// CM4).
    RaspberryPi,
}

impl Board {
    /// Every board.
    pub const ALL: [Self; 2] = [Self::Vm, Self::RaspberryPi];

    /// The name as recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::RaspberryPi => "raspberry-pi",
        }
    }

    /// The architectures it exists for; the first is the default.
    #[must_use]
    pub const fn archs(self) -> &'static [Arch] {
        match self {
            Self::Vm => &[Arch::Amd64, Arch::Arm64],
            Self::RaspberryPi => &[Arch::Arm64, Arch::Armhf],
        }
    }
}

impl FromStr for Board {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::ALL
            .into_iter()
            .find(|board| board.as_str() == text)
            .ok_or_else(|| wrong(text, "a board: expected vm or raspberry-pi"))
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The firmware that starts an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// The board's usual one: UEFI on a VM, its own on a Raspberry Pi.
    Uefi,
    /// UEFI or a PC's BIOS, whichever the machine has.
    Hybrid,
}

impl Firmware {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Uefi, Self::Hybrid];

    /// The name as recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uefi => "uefi",
            Self::Hybrid => "hybrid",
        }
    }

    /// Whether it is the board's usual one.
    #[must_use]
    pub const fn is_usual(&self) -> bool {
        matches!(self, Self::Uefi)
    }
}

/// A Debian suite the builder knows how to compose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// Debian 13.
    Trixie,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 1] = [Self::Trixie];

    /// The name as in the archive's `dists/`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trixie => "trixie",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A component of Debian's archive (Debian Policy 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// `main`.
    Main,
    /// `contrib`.
    Contrib,
    /// `non-free`.
    NonFree,
    /// `non-free-firmware`: the Raspberry Pi's boot firmware is there.
    NonFreeFirmware,
}

impl Component {
    /// Every component.
    pub const ALL: [Self; 4] = [
        Self::Main,
        Self::Contrib,
        Self::NonFree,
        Self::NonFreeFirmware,
    ];

    /// The name as in the archive.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Contrib => "contrib",
            Self::NonFree => "non-free",
            Self::NonFreeFirmware => "non-free-firmware",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How large an image file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskSize {
    /// No larger than the boot partition needs; the state partition is made on the medium
    /// behind it.
    Fit,
    /// Exactly so much; the state partition fills what the boot partition leaves.
    Exactly(ByteSize),
}
