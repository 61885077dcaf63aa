//! Interfaces and names in the network.

use super::{ValueError, serialize_as_text, wrong};
use imgbuild_base::HostName;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

serialize_as_text!(InterfaceName, San);

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::testing::{bad, good};

    #[test]
    fn interfaces() {
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
}
