//! Values of networks: hardware addresses, VLANs, names, addresses with their prefix, ports.

use super::{San, ValueError, serialize_as_text, wrong};
use ipnet::IpNet;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

serialize_as_text!(MacAddress, DomainName, HostsEntry, OpenPort);

/// A network card's address (EUI-48): six bytes, not of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// The bytes in the order of the wire.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || {
            wrong(
                text,
                "a network card's address: expected six pairs of hexadecimal digits with ':' in \
                 between, the first pair even",
            )
        };
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts
                .next()
                .filter(|part| part.len() == 2)
                .ok_or_else(bad)?;
            if !part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(bad());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        // The lowest bit of the first byte marks groups (IEEE 802).
        if parts.next().is_some() || octets[0] & 1 == 1 || octets == [0; 6] {
            return Err(bad());
        }
        Ok(Self(octets))
    }
}

/// The number of a VLAN (IEEE 802.1Q): 1 to 4094.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct VlanId(u16);

impl VlanId {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl TryFrom<u64> for VlanId {
    type Error = ValueError;

    fn try_from(number: u64) -> Result<Self, ValueError> {
        u16::try_from(number)
            .ok()
            .filter(|number| (1..=4094).contains(number))
            .map(Self)
            .ok_or_else(|| wrong(&number.to_string(), "a VLAN: expected 1 to 4094"))
    }
}

/// A domain: one or more host name labels separated by dots, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// The name as text, without a dot at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for DomainName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.parse() {
            // Room is left for a host's name before it (RFC 1035 2.3.4: 255 bytes in all).
            Ok(San::Dns(name)) if name.len() <= 180 => Ok(Self(name)),
            _ => Err(wrong(text, "a domain in lower case, such as example.org")),
        }
    }
}

/// A line of `/etc/hosts` (hosts(5)): an address and the names that lead to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostsEntry {
    address: IpAddr,
    names: Vec<DomainName>,
}

impl HostsEntry {
    /// Where the names lead.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The names, at least one; the first is the canonical one.
    #[must_use]
    pub fn names(&self) -> &[DomainName] {
        &self.names
    }
}

impl fmt::Display for HostsEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        self.names.iter().try_for_each(|name| write!(f, " {name}"))
    }
}

impl FromStr for HostsEntry {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || {
            wrong(
                text,
                "a line of /etc/hosts: expected an IP address and one or more names in lower case",
            )
        };
        let mut words = text.split_ascii_whitespace();
        let address = words.next().and_then(|word| word.parse().ok());
        let names = words
            .map(str::parse)
            .collect::<Result<Vec<DomainName>, _>>();
        match (address, names) {
            (Some(address), Ok(names)) if !names.is_empty() => Ok(Self { address, names }),
            _ => Err(bad()),
        }
    }
}

/// A port that anybody may reach: `tcp/9100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpenPort {
    /// The protocol.
    pub protocol: Protocol,
    /// The port, not 0.
    pub port: u16,
}

/// A protocol that has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The name as recipes and nftables write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for OpenPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol.as_str(), self.port)
    }
}

impl FromStr for OpenPort {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || wrong(text, "a port: expected tcp/NUMBER or udp/NUMBER");
        let (protocol, port) = text.split_once('/').ok_or_else(bad)?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(bad()),
        };
        if port.starts_with(['0', '+']) {
            return Err(bad());
        }
        let port = port.parse().map_err(|_| bad())?;
        Ok(Self { protocol, port })
    }
}

/// An address of an interface with its network's prefix length: `10.1.0.5/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceAddress(pub(crate) IpNet);

impl FromStr for InterfaceAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || {
            wrong(
                text,
                "a host's address with its prefix length: expected such as 10.1.0.5/24",
            )
        };
        let net: IpNet = text.parse().map_err(|_| bad())?;
        let address = net.addr();
        let whole = net.prefix_len() == net.max_prefix_len();
        let edge = address == net.network() || address.is_ipv4() && address == net.broadcast();
        let special = address.is_loopback() || address.is_multicast() || address.is_unspecified();
        if special || edge && !whole {
            Err(bad())
        } else {
            Ok(Self(net))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::bad;
    use super::*;

    #[test]
    fn hardware_addresses() {
        let mac: MacAddress = "B8:27:eb:00:01:0f".parse().unwrap();
        assert_eq!(mac.to_string(), "b8:27:eb:00:01:0f");
        assert_eq!(mac.octets(), [0xb8, 0x27, 0xeb, 0, 1, 0x0f]);
        assert!(bad::<MacAddress>(&[
            "",
            "b8:27:eb:00:01",
            "b8:27:eb:00:01:0f:00",
            "b8-27-eb-00-01-0f",
            "b8:27:eb:00:1:0f",
            "+8:27:eb:00:01:0f",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
        ]));
    }

    #[test]
    fn vlans_are_those_of_802_1q() {
        assert_eq!(VlanId::try_from(4094).unwrap().get(), 4094);
        assert!(VlanId::try_from(0).is_err() && VlanId::try_from(4095).is_err());
    }

    #[test]
    fn names_and_lines_of_hosts() {
        assert_eq!("lan".parse::<DomainName>().unwrap().as_str(), "lan");
        assert!(bad::<DomainName>(&[
            "",
            ".",
            "a.",
            "10.0.0.1",
            "A.b",
            &"a".repeat(181)
        ]));
        let entry: HostsEntry = "fd00::5\tregistry.example.org  registry".parse().unwrap();
        assert_eq!(entry.to_string(), "fd00::5 registry.example.org registry");
        assert_eq!(entry.names().len(), 2);
        assert!(bad::<HostsEntry>(&[
            "",
            "10.0.0.1",
            "registry 10.0.0.1",
            "10.0.0.1 10.0.0.2"
        ]));
    }

    #[test]
    fn ports() {
        let port: OpenPort = "udp/161".parse().unwrap();
        assert_eq!((port.protocol, port.port), (Protocol::Udp, 161));
        assert!(bad::<OpenPort>(&[
            "",
            "161",
            "tcp/0",
            "tcp/65536",
            "sctp/5",
            "tcp/+5",
            "TCP/5"
        ]));
    }

    #[test]
    fn interface_addresses_are_of_hosts() {
        for text in ["10.1.0.5/24", "fd00::1/64", "10.1.0.5/32"] {
            assert_eq!(
                text.parse::<InterfaceAddress>().unwrap().0.to_string(),
                text
            );
        }
        assert!(bad::<InterfaceAddress>(&[
            "10.1.0.5",
            "10.1.0.0/24",
            "10.1.0.255/24",
            "127.0.0.1/8",
            "ff02::1/64",
            "::/0"
        ]));
    }
}
