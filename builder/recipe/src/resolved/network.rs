//! How a node is connected.

use crate::values::{
    Country, DomainName, EnvName, HostPath, HostsEntry, InterfaceName, MacAddress, San, Ssid,
    VlanId,
};
use ipnet::IpNet;
use serde::Serialize;
use std::net::IpAddr;

/// How a node is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Network {
    /// The interface with the node's address, or under its VLAN.
    pub interface: InterfaceName,
    /// The card's own address, when the interface is found by it and not by its name.
    pub mac: Option<MacAddress>,
    /// The VLAN of the interface that the node's address is on.
    pub vlan: Option<VlanId>,
    /// Where the address comes from.
    pub addressing: Addressing,
    /// Name servers, in order. With DHCP they take the place of what it says.
    pub dns: Vec<IpAddr>,
    /// Domains in which short names are looked up, in order.
    pub search: Vec<DomainName>,
    /// Time servers, names or addresses. Empty: those systemd-timesyncd was built with.
    pub ntp: Vec<San>,
    /// The domain that makes the nodes' names full ones.
    pub domain: Option<DomainName>,
    /// Further lines of `/etc/hosts`.
    pub hosts: Vec<HostsEntry>,
    /// Further interfaces; no two entries are of one interface and VLAN.
    pub extra: Vec<Extra>,
    /// The wireless network that one of the interfaces is on.
    pub wifi: Option<Wifi>,
}

/// Where an interface's address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "mode")]
pub enum Addressing {
    /// It is set from the recipe.
    Static {
        /// The way out of the subnet, if there is one.
        gateway: Option<IpAddr>,
    },
    /// A DHCP server hands out the very address of the recipe (a reservation).
    Dhcp,
}

/// A further interface, or a VLAN of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extra {
    /// The interface.
    pub interface: InterfaceName,
    /// The card's own address, when the interface is found by it.
    pub mac: Option<MacAddress>,
    /// The VLAN of the interface.
    pub vlan: Option<VlanId>,
    /// Where its addresses come from.
    pub addressing: ExtraAddressing,
}

/// Where a further interface's addresses come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "mode")]
pub enum ExtraAddressing {
    /// They are set from the recipe.
    Static {
        /// The addresses, at least one, each with its network's prefix length.
        addresses: Vec<IpNet>,
        /// A router for a default route behind the cluster's.
        gateway: Option<IpAddr>,
    },
    /// A DHCP server hands one out.
    Dhcp {
        /// Whether the server's router is taken, behind the cluster's.
        default_route: bool,
    },
}

/// A wireless network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wifi {
    /// The wireless interface.
    pub interface: InterfaceName,
    /// Where the node is.
    pub country: Country,
    /// The network's name.
    pub ssid: Ssid,
    /// Where the passphrase is when images are built.
    pub passphrase: PassphraseSource,
    /// How the network is secured.
    pub security: WifiSecurity,
    /// Whether it does not announce its name.
    pub hidden: bool,
}

/// Where the passphrase of a wireless network is when images are built.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PassphraseSource {
    /// In a file.
    File(HostPath),
    /// In an environment variable.
    Environment(EnvName),
}

/// How a wireless network is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WifiSecurity {
    /// WPA2-Personal.
    Wpa2,
    /// WPA3-Personal where both sides can, else WPA2.
    Wpa2Wpa3,
    /// WPA3-Personal (SAE).
    Wpa3,
}

impl WifiSecurity {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Wpa2, Self::Wpa2Wpa3, Self::Wpa3];

    /// The word as recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wpa2 => "wpa2",
            Self::Wpa2Wpa3 => "wpa2-wpa3",
            Self::Wpa3 => "wpa3",
        }
    }
}
