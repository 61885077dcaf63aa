//! What etcd is told.

use super::{ValueError, serialize_as_text, wrong};
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

serialize_as_text!(EtcdVersion, Token, AutoCompaction);

/// A released etcd version, as `major.minor.patch`. Ordered by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtcdVersion {
    /// Major number.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
    /// Patch number.
    pub patch: u16,
}

impl fmt::Display for EtcdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for EtcdVersion {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || wrong(text, "an etcd version: expected x.y.z, such as 3.6.16");
        let number = |part: Option<&str>| {
            part.filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
                .filter(|part| *part == "0" || !part.starts_with('0'))
                .and_then(|part| part.parse().ok())
                .ok_or_else(bad)
        };
        let mut parts = text.split('.');
        let version = Self {
            major: number(parts.next())?,
            minor: number(parts.next())?,
            patch: number(parts.next())?,
        };
        match parts.next() {
            None => Ok(version),
            Some(_) => Err(bad()),
        }
    }
}

/// etcd's `initial-cluster-token`: 1 to 64 visible ASCII characters that need no quoting in a
/// unit, an environment file or YAML.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(String);

impl Token {
    /// The token as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Token {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "a cluster token: 1 to 64 letters, digits, '.', '-' or '_'",
            ))
        }
    }
}

/// When etcd forgets old revisions by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AutoCompaction {
    /// Never: a client such as kube-apiserver does it.
    Off,
    /// Revisions older than so many minutes (`auto-compaction-mode: periodic`).
    Periodic {
        /// How long a revision is kept.
        minutes: NonZeroU32,
    },
    /// All but so many revisions (`auto-compaction-mode: revision`).
    Revisions {
        /// How many are kept.
        count: NonZeroU64,
    },
}

impl fmt::Display for AutoCompaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.pad("off"),
            Self::Periodic { minutes } if minutes.get() % 60 == 0 => {
                write!(f, "{}h", minutes.get() / 60)
            }
            Self::Periodic { minutes } => write!(f, "{minutes}m"),
            Self::Revisions { count } => write!(f, "{count} revisions"),
        }
    }
}

impl FromStr for AutoCompaction {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || {
            wrong(
                text,
                "an auto-compaction: expected \"off\", an age such as \"8h\" or \"30m\", or a \
                 number such as \"1000 revisions\"",
            )
        };
        if text == "off" {
            return Ok(Self::Off);
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let minutes = |scale: u32| {
            let number: u32 = number.parse().ok()?;
            NonZeroU32::new(number.checked_mul(scale)?)
        };
        match unit {
            "m" => minutes(1).map(|minutes| Self::Periodic { minutes }),
            "h" => minutes(60).map(|minutes| Self::Periodic { minutes }),
            " revisions" => number.parse().ok().map(|count| Self::Revisions { count }),
            _ => None,
        }
        .ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::testing::{bad, good};

    #[test]
    fn versions() {
        assert_eq!(
            "3.6.16".parse::<EtcdVersion>().unwrap().to_string(),
            "3.6.16"
        );
        assert!("3.6.9".parse::<EtcdVersion>().unwrap() < "3.6.16".parse().unwrap());
        assert!(bad::<EtcdVersion>(&[
            "",
            "3.6",
            "v3.6.1",
            "3.06.1",
            "3.6.1.0",
            "3.6.+1",
            "3.6.99999"
        ]));
    }

    #[test]
    fn tokens() {
        assert!(good::<Token>(&["etcd-cluster-0", "A.b_c"]));
        assert!(bad::<Token>(&["", "a b", "a'b", &"x".repeat(65)]));
    }

    #[test]
    fn compactions_show_as_they_are_written() {
        for text in ["off", "8h", "30m", "1000 revisions"] {
            assert_eq!(text.parse::<AutoCompaction>().unwrap().to_string(), text);
        }
        assert!(bad::<AutoCompaction>(&[
            "",
            "0h",
            "8",
            "8d",
            "99999999h",
            "revisions"
        ]));
    }
}
