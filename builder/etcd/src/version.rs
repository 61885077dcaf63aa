use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A released version of etcd: `3.6.16`. Pre-releases are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EtcdVersion {
    minor: u16,
    patch: u16,
}

/// Why a text is not a version that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not three numbers.
    #[error("{0:?} is not a released etcd version: expected three numbers, as in 3.6.16")]
    Form(String),
    /// Too old or too new for what imgbuild knows of flags and tools.
    #[error(
        "etcd {0} is not supported: expected 3.{first} to 3.{last}",
        first = EtcdVersion::FIRST_MINOR,
        last = EtcdVersion::LAST_MINOR
    )]
    Unsupported(String),
}

impl EtcdVersion {
    /// The oldest minor version still maintained; the first one with etcdutl, the first one
    /// whose module paths end in `/v3`.
    pub const FIRST_MINOR: u16 = 5;
    /// The newest one whose flags are known here.
    pub const LAST_MINOR: u16 = 7;

    /// The version used where a recipe names none: the newest patch of the minor version that
    /// Kubernetes' own tools deploy, from which the next upgrade is one step.
    pub const DEFAULT: Self = Self {
        minor: 6,
        patch: 16,
    };

    /// Its second number: upgrades go one at a time.
    #[must_use]
    pub const fn minor(self) -> u16 {
        self.minor
    }

    /// Its third number.
    #[must_use]
    pub const fn patch(self) -> u16 {
        self.patch
    }

    /// The version as Go modules and upstream's tags write it: `v3.6.16`.
    #[must_use]
    pub fn tag(self) -> String {
        format!("v{self}")
    }
}

impl fmt::Display for EtcdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("3.{}.{}", self.minor, self.patch))
    }
}

impl FromStr for EtcdVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let number = |part: &str| {
            part.parse::<u16>()
                .ok()
                .filter(|number| number.to_string() == part)
        };
        let parts: Vec<Option<u16>> = text.split('.').map(number).collect();
        match parts[..] {
            [Some(3), Some(minor), Some(patch)]
                if (Self::FIRST_MINOR..=Self::LAST_MINOR).contains(&minor) =>
            {
                Ok(Self { minor, patch })
            }
            [Some(_), Some(_), Some(_)] => Err(VersionError::Unsupported(text.to_owned())),
            _ => Err(VersionError::Form(text.to_owned())),
        }
    }
}

impl TryFrom<String> for EtcdVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<EtcdVersion> for String {
    fn from(version: EtcdVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_orders_and_refuses() {
        let version = |text: &str| text.parse::<EtcdVersion>();
        assert_eq!(version("3.6.16"), Ok(EtcdVersion::DEFAULT));
        assert!(version("3.6.9").unwrap() < version("3.6.16").unwrap());
        assert_eq!(EtcdVersion::DEFAULT.tag(), "v3.6.16");
        for bad in [
            "",
            "3.6",
            "v3.6.1",
            "3.6.01",
            "3.6.1-rc.0",
            "3.6.1.1",
            "3.+6.1",
        ] {
            assert_eq!(version(bad), Err(VersionError::Form(bad.to_owned())));
        }
        for bad in ["3.4.23", "3.8.0", "2.6.1"] {
            assert_eq!(version(bad), Err(VersionError::Unsupported(bad.to_owned())));
        }
        assert_eq!(
            version("3.8.0").unwrap_err().to_string(),
            "etcd 3.8.0 is not supported: expected 3.5 to 3.7"
        );
    }
}
