use serde::{Deserialize, Serialize};
use std::fmt;

/// An instant in whole seconds since 1970-01-01T00:00:00Z, never before it and small enough
/// for every on-disk format used here (32 unsigned bits: until 2106).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Epoch(u32);

/// The instant does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is out of range for a time: expected seconds since 1970, at most 4294967295")]
pub struct EpochError(pub String);

impl Epoch {
    /// 1970-01-01T00:00:00Z.
    pub const ZERO: Self = Self(0);

    /// An instant from 32 unsigned bits of seconds; cannot fail.
    #[must_use]
    pub const fn from_u32(seconds: u32) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 as u64
    }

    /// Seconds since 1970, as the 32-bit formats store them.
    #[must_use]
    pub const fn seconds_u32(self) -> u32 {
        self.0
    }

    /// The later of `self` and `other`.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl TryFrom<u64> for Epoch {
    type Error = EpochError;

    fn try_from(seconds: u64) -> Result<Self, EpochError> {
        u32::try_from(seconds)
            .map(Self)
            .map_err(|_| EpochError(seconds.to_string()))
    }
}

impl From<Epoch> for u64 {
    fn from(epoch: Epoch) -> Self {
        epoch.seconds()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
