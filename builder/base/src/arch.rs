use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A machine architecture, under the name Debian gives it.
///
/// ```
/// use imgbuild_base::Arch;
/// assert_eq!("armhf".parse::<Arch>().unwrap().goarch(), "arm");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM (AArch64).
    Arm64,
    /// 32-bit ARM with hard float, ARMv7 and up.
    Armhf,
}

impl Arch {
    /// Every architecture, in the order of their names.
    pub const ALL: [Self; 3] = [Self::Amd64, Self::Arm64, Self::Armhf];

    /// Debian's name (Debian Policy 5.6.8).
    #[must_use]
    pub const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Armhf => "armhf",
        }
    }

    /// The value of `GOARCH`.
    #[must_use]
    pub const fn goarch(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Armhf => "arm",
        }
    }

    /// The value of `GOARM`, on the one architecture that has it.
    #[must_use]
    pub const fn goarm(self) -> Option<&'static str> {
        match self {
            Self::Armhf => Some("7"),
            Self::Amd64 | Self::Arm64 => None,
        }
    }

    /// The GNU triplet that names library directories, as in `usr/lib/<triplet>`.
    #[must_use]
    pub const fn triplet(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
            Self::Armhf => "arm-linux-gnueabihf",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.debian())
    }
}

/// The text is not the name of a supported architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a supported architecture: expected amd64, arm64 or armhf")]
pub struct ArchError(pub String);

impl FromStr for Arch {
    type Err = ArchError;

    fn from_str(text: &str) -> Result<Self, ArchError> {
        Self::ALL
            .into_iter()
            .find(|arch| arch.debian() == text)
            .ok_or_else(|| ArchError(text.to_owned()))
    }
}
