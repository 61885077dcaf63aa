//! The recipe as resolved: complete, checked, every default filled in.
//!
//! What was optional in the file is settled here, what differs per node stands in the
//! [`Node`], and no combination that cannot be built can be read from a file: [`crate::load`]
//! is the one way in.

mod access;
mod etcd;
mod firewall;
mod image;
mod network;
mod pki;
mod system;
mod warning;

pub use access::{Access, Console, Ssh};
pub use etcd::{Advertised, ConfigStyle, Etcd, EtcdSource, Listeners, LogLevel, Run, Tuning};
pub use firewall::Firewall;
pub use image::{Board, Component, DiskSize, Firmware, Format, Image, NodeImage, Suite};
pub use network::{
    Addressing, Extra, ExtraAddressing, Network, PassphraseSource, Wifi, WifiSecurity,
};
pub use pki::{
    ClientPlace, FilePair, KeyKind, KeyMode, KeyOwner, LeafPki, NodePki, Pki, PkiAuthority,
    PkiClient, PkiFiles, PkiLayout,
};
pub use system::{Content, File, Kernel, Start, System, Unit, UnitAction};
pub use warning::{Warning, majority};

use crate::values::{PackageName, San, Token};
use imgbuild_base::{ClusterName, HostName, NodeName};
use ipnet::IpNet;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};

/// A recipe that can be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// The cluster's identity.
    pub cluster: Cluster,
    /// What the images are made of, as far as that is the same for every node.
    pub image: Image,
    /// Who signs certificates, and those that are no node's own.
    pub pki: Pki,
    /// The network that all nodes' addresses are in.
    pub subnet: IpNet,
    /// The nodes, in the order of the file; at least one, names, host names and addresses
    /// distinct.
    pub nodes: Vec<Node>,
    /// What the user should know though it is no mistake.
    pub warnings: Vec<Warning>,
}

impl Recipe {
    /// Whether any node is on a wireless network.
    #[must_use]
    pub fn has_wifi(&self) -> bool {
        self.nodes.iter().any(|node| node.network.wifi.is_some())
    }

    /// Whether any node has a firewall.
    #[must_use]
    pub fn has_firewall(&self) -> bool {
        self.nodes.iter().any(|node| node.firewall.is_some())
    }

    /// Whether some node has an ssh server.
    #[must_use]
    pub fn any_ssh(&self) -> bool {
        self.nodes.iter().any(|node| node.access.ssh.is_some())
    }

    /// Whether some node asks for a password on its console.
    #[must_use]
    pub fn any_login(&self) -> bool {
        let asks = |node: &Node| matches!(node.access.console, Console::Login { .. });
        self.nodes.iter().any(asks)
    }

    /// Whether some node runs etcd in a container.
    #[must_use]
    pub fn any_static_pod(&self) -> bool {
        self.nodes
            .iter()
            .any(|node| node.etcd.run == Run::StaticPod)
    }

    /// Whether a PC's BIOS starts some node.
    #[must_use]
    pub fn any_bios(&self) -> bool {
        let hybrid = |node: &Node| node.image.firmware == Firmware::Hybrid;
        self.nodes.iter().any(hybrid)
    }

    /// The distinct etcds that nodes run, in the order of the nodes.
    #[must_use]
    pub fn etcd_sources(&self) -> Vec<EtcdSource> {
        let mut sources = Vec::new();
        for node in &self.nodes {
            if !sources.contains(&node.etcd.source) {
                sources.push(node.etcd.source);
            }
        }
        sources
    }

    /// The distinct sets of further packages that nodes have, in the order of the nodes. Each
    /// is a base layer of its own.
    #[must_use]
    pub fn package_sets(&self) -> Vec<&[PackageName]> {
        let mut sets: Vec<&[PackageName]> = Vec::new();
        for node in &self.nodes {
            if !sets.contains(&node.system.packages.as_slice()) {
                sets.push(&node.system.packages);
            }
        }
        sets
    }
}

/// The cluster's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// Every derived name and key starts from it; also names the secret's file.
    pub name: ClusterName,
    /// etcd's `initial-cluster-token`.
    pub token: Token,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// etcd's member name; keys derive from it.
    pub name: NodeName,
    /// Host name.
    pub hostname: HostName,
    /// Its address, in the recipe's subnet.
    pub address: IpAddr,
    /// What its image is like.
    pub image: NodeImage,
    /// How that address is set up.
    pub network: Network,
    /// Which hosts may reach its ports; without one, all may.
    pub firewall: Option<Firewall>,
    /// What etcd is and how it runs.
    pub etcd: Etcd,
    /// etcd's tuning.
    pub tuning: Tuning,
    /// The URLs etcd tells others to use, where they are not its address.
    pub advertised: Advertised,
    /// Its certificates.
    pub pki: NodePki,
    /// Further names of its certificates: the cluster's, then its own.
    pub extra_sans: Vec<San>,
    /// Ways into it.
    pub access: Access,
    /// What its operating system has beyond the base.
    pub system: System,
}

impl Node {
    /// Its names: the member's, and the host's where it is another.
    pub fn names(&self) -> impl Iterator<Item = &HostName> {
        let own = Some(&self.hostname).filter(|hostname| *hostname != self.name.host());
        std::iter::once(self.name.host()).chain(own)
    }

    /// `https://ADDRESS:PORT`, with brackets where IPv6 needs them (RFC 3986 3.2.2).
    #[must_use]
    pub fn https(&self, port: u16) -> String {
        format!("https://{}", SocketAddr::new(self.address, port))
    }
}
