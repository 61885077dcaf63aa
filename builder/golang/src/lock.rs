use crate::dirhash::H1;
use crate::gosum::{GoSum, ModuleHash};
use imgbuild_base::{Arch, Digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A released version of Go: `1.26.10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GoVersion {
    major: u16,
    minor: u16,
    patch: u16,
}

/// The text is not a released version of Go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a released Go version: expected three numbers, as in 1.26.10")]
pub struct GoVersionError(pub String);

impl GoVersion {
    /// From its three numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// The version of the module `golang.org/toolchain` that holds this Go for a host.
    #[must_use]
    pub fn module_version(self, host: HostPlatform) -> String {
        format!("v0.0.1-go{self}.{host}")
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for GoVersion {
    type Err = GoVersionError;

    fn from_str(text: &str) -> Result<Self, GoVersionError> {
        let mut numbers = text.split('.').map(|part| {
            part.parse::<u16>()
                .ok()
                .filter(|number| number.to_string() == part)
        });
        match (
            numbers.next(),
            numbers.next(),
            numbers.next(),
            numbers.next(),
        ) {
            (Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None) => {
                Ok(Self::new(major, minor, patch))
            }
            _ => Err(GoVersionError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for GoVersion {
    type Error = GoVersionError;

    fn try_from(text: String) -> Result<Self, GoVersionError> {
        text.parse()
    }
}

impl From<GoVersion> for String {
    fn from(version: GoVersion) -> Self {
        version.to_string()
    }
}

/// A machine the compiler runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HostPlatform {
    /// Linux on 64-bit x86.
    #[serde(rename = "linux-amd64")]
    LinuxAmd64,
    /// Linux on 64-bit ARM.
    #[serde(rename = "linux-arm64")]
    LinuxArm64,
}

impl HostPlatform {
    /// Every platform the lock pins a toolchain for.
    pub const ALL: [Self; 2] = [Self::LinuxAmd64, Self::LinuxArm64];

    /// The one this program was built for; `None` where no compiler is pinned.
    #[must_use]
    pub const fn current() -> Option<Self> {
        if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            Some(Self::LinuxAmd64)
        } else if cfg!(all(target_os = "linux", target_arch = "aarch64")) {
            Some(Self::LinuxArm64)
        } else {
            None
        }
    }

    /// The architecture of its processor.
    #[must_use]
    pub const fn arch(self) -> Arch {
        match self {
            Self::LinuxAmd64 => Arch::Amd64,
            Self::LinuxArm64 => Arch::Arm64,
        }
    }
}

impl fmt::Display for HostPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::LinuxAmd64 => "linux-amd64",
            Self::LinuxArm64 => "linux-arm64",
        })
    }
}

/// The pinned compiler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolchainLock {
    /// Its version.
    pub version: GoVersion,
    /// SHA-256 of its bundle ([`crate::toolchain`]) for each host.
    pub bundles: BTreeMap<HostPlatform, Digest>,
}

/// All that decides what is compiled, and from what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoLock {
    /// The compiler.
    pub toolchain: ToolchainLock,
    /// SHA-256 of the modules' bundle ([`crate::modules`]).
    pub modules: Digest,
    /// What to build: the program's file name, and its package.
    pub programs: BTreeMap<String, String>,
    /// The main module's `go.mod`, which selects every version.
    pub go_mod: String,
    /// Every hash the build needs, and no others.
    pub go_sum: GoSum,
}

impl GoLock {
    /// The modules whose code is compiled, for a bill of materials.
    pub fn modules(&self) -> impl Iterator<Item = (&ModuleHash, H1)> {
        self.go_sum.iter().filter(|(module, _)| !module.go_mod)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_number() {
        let version = |text: &str| text.parse::<GoVersion>().unwrap();
        assert!(version("1.26.9") < version("1.26.10"));
        assert_eq!(
            version("1.26.10").module_version(HostPlatform::LinuxArm64),
            "v0.0.1-go1.26.10.linux-arm64"
        );
        for bad in [
            "", "1.26", "go1.26.1", "1.26.01", "1.26.1.1", "1.26rc1", "1.26.+1",
        ] {
            assert_eq!(
                bad.parse::<GoVersion>(),
                Err(GoVersionError(bad.to_owned()))
            );
        }
    }
}
