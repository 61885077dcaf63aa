//! The sections and their keys: a file for each section, and here the whole.

mod access;
mod cluster;
mod etcd;
mod files;
mod firewall;
mod image;
mod kernel;
mod network;
mod node;
mod pki;
mod units;

pub use access::{ACCESS, NODE_ACCESS};
pub use cluster::CLUSTER;
pub use etcd::{ETCD, NODE_ETCD};
pub use files::{FILE, NODE_FILE};
pub use firewall::{FIREWALL, NODE_FIREWALL};
pub use image::{IMAGE, NODE_IMAGE};
pub use kernel::{KERNEL, NODE_KERNEL};
pub use network::{EXTRA, NETWORK, NODE_EXTRA, NODE_NETWORK, NODE_WIFI, WIFI};
pub use node::NODE;
pub use pki::{NODE_PKI, PKI};
pub use units::{NODE_UNIT, UNIT};

use super::Absent::{Depends, Mistake};
use super::{Section, Shape, key};

/// The whole file.
pub static RECIPE: Section = Section {
    name: "",
    doc: "A recipe describes one etcd cluster: its images, its certificates, its nodes.",
    keys: &[
        key(
            "cluster",
            Shape::Table(&CLUSTER),
            Mistake,
            "The cluster's identity.",
        ),
        key(
            "image",
            Shape::Table(&IMAGE),
            Mistake,
            "What the images are made of.",
        )
        .aka(&["disk", "debian", "os"]),
        key(
            "etcd",
            Shape::Table(&ETCD),
            Depends("every default"),
            "What etcd is and how it runs.",
        ),
        key(
            "pki",
            Shape::Table(&PKI),
            Depends("every default"),
            "The certificates.",
        )
        .aka(&["tls", "certificates", "certs", "ca"]),
        key(
            "network",
            Shape::Table(&NETWORK),
            Mistake,
            "The network between the nodes.",
        )
        .aka(&["net", "networking"]),
        key(
            "firewall",
            Shape::Table(&FIREWALL),
            Depends("off"),
            "Which hosts may reach a node's ports.",
        )
        .aka(&["nftables", "iptables"]),
        key(
            "access",
            Shape::Table(&ACCESS),
            Depends("every default"),
            "Ways into a node.",
        )
        .aka(&["ssh", "users", "login"]),
        key(
            "kernel",
            Shape::Table(&KERNEL),
            Depends("every default"),
            "What the kernel is told.",
        )
        .aka(&["boot", "sysctl", "sysctls", "modules"]),
        key(
            "file",
            Shape::Tables(&FILE),
            Depends("none"),
            "Files of every node.",
        )
        .aka(&["files"]),
        key(
            "unit",
            Shape::Tables(&UNIT),
            Depends("none"),
            "Units of every node.",
        )
        .aka(&["units", "service", "services"]),
        key(
            "node",
            Shape::Tables(&NODE),
            Mistake,
            "The nodes; each gets an image of its own.",
        )
        .aka(&["nodes", "member", "members"]),
    ],
};
