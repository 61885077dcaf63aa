//! What a lock remembers of a chosen package: enough to fetch it from any mirror and to know
//! that it is the right one.

use crate::relation::PackageName;
use crate::version::Version;
use imgbuild_base::{Arch, ByteSize, Digest, TreePath};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a name used in locks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: expected a-z 0-9 and - . _ / inside")]
pub struct LockError {
    /// What was given.
    pub text: String,
    /// What was expected.
    pub what: &'static str,
}

macro_rules! archive_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = LockError;

            fn from_str(text: &str) -> Result<Self, LockError> {
                if is_archive_name(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(LockError { text: text.to_owned(), what: $what })
            }
        }

        impl TryFrom<String> for $name {
            type Error = LockError;

            fn try_from(text: String) -> Result<Self, LockError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

archive_name!(
    /// A suite or codename, as in `trixie-updates`; becomes part of URLs.
    SuiteName,
    "the name of a suite"
);
archive_name!(
    /// A component, as in `main` or `non-free-firmware`; becomes part of URLs.
    Component,
    "the name of a component"
);

/// Slash-separated parts, each beginning with a letter or digit: never `..`, never absolute.
fn is_archive_name(text: &str) -> bool {
    text.split('/').all(|part| {
        part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
    })
}

/// The architecture of one package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PackageArch {
    /// Runs anywhere (`all`).
    All,
    /// Made for one architecture.
    Only(Arch),
}

impl FromStr for PackageArch {
    type Err = LockError;

    fn from_str(text: &str) -> Result<Self, LockError> {
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::Only).map_err(|_| LockError {
            text: text.to_owned(),
            what: "the architecture of a package",
        })
    }
}

impl TryFrom<String> for PackageArch {
    type Error = LockError;

    fn try_from(text: String) -> Result<Self, LockError> {
        text.parse()
    }
}

impl From<PackageArch> for String {
    fn from(arch: PackageArch) -> Self {
        arch.to_string()
    }
}

impl fmt::Display for PackageArch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("all"),
            Self::Only(arch) => fmt::Display::fmt(arch, f),
        }
    }
}

/// One chosen package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// Its architecture.
    pub arch: PackageArch,
    /// Where it came from.
    pub suite: SuiteName,
    /// The component of that suite.
    pub component: Component,
    /// Its path below the archive's root, as in `pool/main/b/bash/…`.
    pub path: TreePath,
    /// The size of the .deb in bytes.
    pub size: ByteSize,
    /// The digest of the .deb.
    pub sha256: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_elsewhere() {
        for fine in ["trixie", "trixie-updates", "stable/updates", "13.1"] {
            assert_eq!(fine.parse::<SuiteName>().unwrap().as_str(), fine);
        }
        for bad in ["", "..", "a/../b", "/a", "a/", "A", "a b", "a%2f"] {
            assert!(bad.parse::<SuiteName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn architectures() {
        assert_eq!("all".parse(), Ok(PackageArch::All));
        assert_eq!("armhf".parse(), Ok(PackageArch::Only(Arch::Armhf)));
        assert!("mips".parse::<PackageArch>().is_err());
    }
}
