//! What the images are made of.

use crate::values::{MirrorUrl, PackageName};
use imgbuild_base::{Arch, ByteSize};
use serde::Serialize;
use std::fmt;

/// What the images are made of.
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
    /// How large the image file is.
    pub size: DiskSize,
    /// Room left free on the boot partition for layers to come.
    pub boot_reserve: ByteSize,
    /// Further Debian packages, sorted, without repetition.
    pub packages: Vec<PackageName>,
    /// zstd level of the layers: 1 to 22.
    pub zstd_level: u8,
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

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskSize {
    /// No larger than the boot partition needs; the state partition is made on the medium
    /// behind it.
    Fit,
    /// Exactly so much; the state partition fills what the boot partition leaves.
    Exactly(ByteSize),
}
