//! Where etcd listens, and what it tells others.

use super::{San, ValueError, wrong};
use imgbuild_base::{HostName, NodeName};
use serde::Serialize;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// An IP address and a port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ListenAddress(SocketAddr);

impl ListenAddress {
    /// The address and port.
    #[must_use]
    pub const fn socket(self) -> SocketAddr {
        self.0
    }

    /// Whether both cannot be listened on at once: the same port, and the same address or one
    /// that stands for all.
    #[must_use]
    pub fn clashes(self, other: SocketAddr) -> bool {
        let (one, two) = (self.0.ip(), other.ip());
        self.0.port() == other.port() && (one == two || covers(one, two) || covers(two, one))
    }

    /// Whether listening here listens on `other` too: `0.0.0.0` and `[::]` do.
    #[must_use]
    pub fn covers(self, other: SocketAddr) -> bool {
        self.0.port() == other.port() && covers(self.0.ip(), other.ip())
    }
}

/// Whether `all` stands for `one`. An IPv6 socket of Go's takes IPv4 too.
fn covers(all: IpAddr, one: IpAddr) -> bool {
    all.is_unspecified() && (all.is_ipv6() || one.is_ipv4())
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ListenAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse()
            .ok()
            .filter(|at: &SocketAddr| at.port() != 0)
            .map(Self)
            .ok_or_else(|| wrong(text, "an IP address and a port, such as 10.9.0.1:2379"))
    }
}

/// A URL that a member tells others to use: `https://`, a name or an address, a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AdvertisedUrl {
    host: San,
    port: u16,
}

impl AdvertisedUrl {
    /// The name or address: the member's certificates must hold for it.
    #[must_use]
    pub const fn host(&self) -> &San {
        &self.host
    }
}

impl fmt::Display for AdvertisedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            San::Ip(address) => write!(f, "https://{}", SocketAddr::new(*address, self.port)),
            San::Dns(name) => write!(f, "https://{name}:{}", self.port),
        }
    }
}

impl Serialize for AdvertisedUrl {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl FromStr for AdvertisedUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        const EXPECTED: &str = "a URL of https, a name or address and a port";
        let bad = || wrong(text, EXPECTED);
        let rest = text.strip_prefix("https://").ok_or_else(bad)?;
        let (host, port) = rest.rsplit_once(':').ok_or_else(bad)?;
        let port: u16 = port.parse().map_err(|_| bad())?;
        let bare = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
            Some(Some(inner)) if inner.contains(':') => inner,
            None if !host.contains(':') => host,
            _ => return Err(bad()),
        };
        let host: San = bare.parse().map_err(|_| bad())?;
        if port == 0 || matches!(host, San::Ip(address) if address.is_unspecified()) {
            return Err(bad());
        }
        Ok(Self { host, port })
    }
}

/// An [`AdvertisedUrl`] in which `{name}`, `{hostname}` and `{address}` stand for the node's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPattern(String);

impl UrlPattern {
    /// The URL of a node.
    ///
    /// # Errors
    /// [`ValueError`] when it is none after all: the name makes a host name too long.
    pub fn of(
        &self,
        name: &NodeName,
        hostname: &HostName,
        address: IpAddr,
    ) -> Result<AdvertisedUrl, ValueError> {
        fill(&self.0, name.as_str(), hostname.as_str(), address).parse()
    }
}

fn fill(pattern: &str, name: &str, hostname: &str, address: IpAddr) -> String {
    let address = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    pattern
        .replace("{name}", name)
        .replace("{hostname}", hostname)
        .replace("{address}", &address)
}

impl FromStr for UrlPattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let trial = fill(text, "n", "h", IpAddr::from([192, 0, 2, 1]));
        match trial.parse::<AdvertisedUrl>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(wrong(text, error.expected)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for good in [
            "https://10.0.0.1:2379",
            "https://[fd00::1]:2380",
            "https://etcd.example.org:443",
        ] {
            let url: AdvertisedUrl = good.parse().unwrap();
            assert_eq!(url.to_string(), good);
        }
        for bad in [
            "http://10.0.0.1:2379",
            "https://10.0.0.1",
            "https://10.0.0.1:0",
            "https://0.0.0.0:2379",
            "https://fd00::1:2379",
            "https://[10.0.0.1]:2379",
            "https://a b:2379",
            "https://a:2379/path",
        ] {
            assert!(bad.parse::<AdvertisedUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_are_filled() {
        let name: NodeName = "e1".parse().unwrap();
        let hostname: HostName = "rack-7".parse().unwrap();
        let of = |text: &str, address: &str| {
            let pattern: UrlPattern = text.parse().unwrap();
            pattern
                .of(&name, &hostname, address.parse().unwrap())
                .unwrap()
                .to_string()
        };
        assert_eq!(
            of("https://{name}.example.org:2379", "10.0.0.1"),
            "https://e1.example.org:2379"
        );
        assert_eq!(
            of("https://{address}:2379", "fd00::1"),
            "https://[fd00::1]:2379"
        );
        assert_eq!(
            of("https://{hostname}:2379", "10.0.0.1"),
            "https://rack-7:2379"
        );
        assert!("https://{host}:2379".parse::<UrlPattern>().is_err());
    }

    #[test]
    fn what_stands_for_all_clashes() {
        let at = |text: &str| text.parse::<ListenAddress>().unwrap();
        let clash = |one: &str, two: &str| at(one).clashes(at(two).socket());
        assert!(clash("0.0.0.0:2379", "10.0.0.1:2379"));
        assert!(clash("10.0.0.1:2379", "[::]:2379"));
        assert!(!clash("0.0.0.0:2379", "[fd00::1]:2379"));
        assert!(!clash("0.0.0.0:2379", "10.0.0.1:2380"));
        assert!(at("[::]:1").covers(at("10.0.0.1:1").socket()));
        assert!(!at("10.0.0.1:1").covers(at("0.0.0.0:1").socket()));
        assert!("10.0.0.1:0".parse::<ListenAddress>().is_err());
    }
}
