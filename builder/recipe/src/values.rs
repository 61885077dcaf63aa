//! Values that only exist when they are right: one checking constructor each.

use base64::Engine as _;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

use imgbuild_base::HostName;

/// A text is not the value it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ValueError {
    /// What was written.
    pub text: String,
    /// What was expected, with its article: "an etcd version such as 3.6.16".
    pub expected: &'static str,
}

pub(crate) fn wrong(text: &str, expected: &'static str) -> ValueError {
    ValueError {
        text: text.to_owned(),
        expected,
    }
}

macro_rules! serialize_as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )*};
}

serialize_as_text!(
    EtcdVersion,
    PackageName,
    InterfaceName,
    Token,
    MirrorUrl,
    San,
    SshKey,
    AutoCompaction
);

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

/// The name of a Debian binary package (Debian Policy 5.6.7).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String);

impl PackageName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for PackageName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let starts_well = text.bytes().next().is_some_and(plain);
        if text.len() >= 2
            && starts_well
            && text
                .bytes()
                .all(|byte| plain(byte) || matches!(byte, b'+' | b'-' | b'.'))
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "a Debian package name: two or more of a-z, 0-9, '+', '-' and '.'",
            ))
        }
    }
}

/// The name of a network interface: 1 to 15 visible ASCII characters without `/`, `:`, `%`
/// or quotes (what Linux and systemd.network both take literally).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for InterfaceName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let fits = (1..=15).contains(&text.len());
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'@');
        if fits && text.bytes().all(allowed) && !matches!(text, "." | "..") {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "an interface name: 1 to 15 letters, digits, '.', '-', '_' or '@', such as eth0",
            ))
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

/// The base address of a Debian mirror: http or https, no query, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MirrorUrl(String);

impl MirrorUrl {
    /// The address as text, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MirrorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for MirrorUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || {
            wrong(
                text,
                "a mirror's address: expected http:// or https://, a host and a path",
            )
        };
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
            .ok_or_else(bad)?;
        let visible = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"');
        if rest.is_empty() || rest.starts_with('/') || !rest.bytes().all(visible) {
            return Err(bad());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// A further name of a node's certificate (X.509 subjectAltName).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum San {
    /// A DNS name: labels of a host name separated by dots.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.pad(name),
            Self::Ip(ip) => fmt::Display::fmt(ip, f),
        }
    }
}

impl FromStr for San {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let looks_like_ip = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let labels = text
            .split('.')
            .all(|label| label.parse::<HostName>().is_ok());
        if labels && !looks_like_ip && text.len() <= 253 {
            Ok(Self::Dns(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "a DNS name in lower case or an IP address, such as etcd.example.org",
            ))
        }
    }
}

/// A public key as an `authorized_keys` line holds it: type, base64, comment; no options.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SshKey(String);

impl SshKey {
    /// The line without a line break.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for SshKey {
    type Err = ValueError;

    /// The base64 body must repeat the key's type (RFC 4253 6.6), which catches a key that
    /// was cut when it was copied at its start.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        const TYPES: [&str; 7] = [
            "ssh-ed25519",
            "ssh-rsa",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "sk-ssh-ed25519@openssh.com",
            "sk-ecdsa-sha2-nistp256@openssh.com",
        ];
        let bad = || {
            wrong(
                text,
                "an ssh public key: expected the line of a .pub file, such as \
                 \"ssh-ed25519 AAAA... you@laptop\"",
            )
        };
        let text = text.trim();
        let mut parts = text.split(' ').filter(|part| !part.is_empty());
        let (kind, body) = (parts.next().ok_or_else(bad)?, parts.next().ok_or_else(bad)?);
        let blob = base64::engine::general_purpose::STANDARD
            .decode(body)
            .map_err(|_| bad())?;
        let mut prefix = u32::try_from(kind.len())
            .map_err(|_| bad())?
            .to_be_bytes()
            .to_vec();
        prefix.extend_from_slice(kind.as_bytes());
        let whole = blob.len() > prefix.len() && blob.starts_with(&prefix);
        if TYPES.contains(&kind) && whole && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(bad())
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

    fn good<T: FromStr>(texts: &[&str]) -> bool {
        texts.iter().all(|text| text.parse::<T>().is_ok())
    }

    fn bad<T: FromStr>(texts: &[&str]) -> bool {
        texts.iter().all(|text| text.parse::<T>().is_err())
    }

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
    fn names() {
        assert!(good::<PackageName>(&["htop", "libstdc++6", "0ad", "g++"]));
        assert!(bad::<PackageName>(&["", "a", "+a", "Vim", "a_b", "a/b"]));
        assert!(good::<InterfaceName>(&[
            "eth0",
            "enp0s31f6",
            "eth0.100",
            "wlx0123456789ab"
        ]));
        assert!(bad::<InterfaceName>(&[
            "",
            ".",
            "eth 0",
            "a/b",
            "sixteencharacter",
            "e*"
        ]));
        assert!(good::<Token>(&["etcd-cluster-0", "A.b_c"]));
        assert!(bad::<Token>(&["", "a b", "a'b", &"x".repeat(65)]));
    }

    #[test]
    fn sans() {
        assert_eq!("10.0.0.1".parse(), Ok(San::Ip(IpAddr::from([10, 0, 0, 1]))));
        assert_eq!("a.example".parse(), Ok(San::Dns("a.example".into())));
        assert!(bad::<San>(&[
            "",
            "10.0.0",
            "10.0.0.256",
            "A.example",
            "a..b",
            "*.a",
            "a:1"
        ]));
    }

    #[test]
    fn mirrors_lose_their_trailing_slash() {
        let mirror: MirrorUrl = "https://debian.example.org/debian/".parse().unwrap();
        assert_eq!(mirror.as_str(), "https://debian.example.org/debian");
        assert!(bad::<MirrorUrl>(&[
            "",
            "http://",
            "http:///x",
            "ftp://a/b",
            "http://a/?q",
            "http://a b/"
        ]));
    }

    #[test]
    fn ssh_keys_are_whole() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIA8K1UiXnAmkNNWx1Yy0d2sBp0aFSsYyQz3M8o2CW9p me";
        assert_eq!(key.parse::<SshKey>().unwrap().line(), key);
        assert!(bad::<SshKey>(&[
            "",
            "ssh-ed25519",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIIA8K1UiXnAmkNNWx1Yy0d2sBp0aFSsYyQz3M8o2CW9p",
            "ssh-ed25519 AC3NzaC1lZDI1NTE5AAAAIIA8K1UiXnAmkNNWx1Yy0d2sBp0aFSsYyQz3M8o2CW9p",
            &format!("{key}\nssh-ed25519 x"),
            &format!("command=\"x\" {key}"),
        ]));
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
