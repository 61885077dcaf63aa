//! `[[node]]`.

use super::super::Absent::{Default, Depends, Mistake};
use super::super::forms::{HOST, IP, PACKAGE, SAN};
use super::super::{Section, Shape, key};
use super::access::NODE_ACCESS;
use super::etcd::NODE_ETCD;
use super::files::NODE_FILE;
use super::firewall::NODE_FIREWALL;
use super::image::NODE_IMAGE;
use super::kernel::NODE_KERNEL;
use super::network::NODE_NETWORK;
use super::pki::NODE_PKI;
use super::units::NODE_UNIT;

/// `[[node]]`
pub static NODE: Section = Section {
    name: "node",
    doc: "A node. What its own sections leave out is as in the cluster's.",
    keys: &[
        key(
            "name",
            Shape::Text(&HOST),
            Mistake,
            "The node's name: etcd's member name, what its image is called, and what its keys \
             derive from.",
        ),
        key(
            "hostname",
            Shape::Text(&HOST),
            Depends("its name"),
            "Its host name, where it is another: in its /etc/hostname and on its console, and \
             beside its name in every /etc/hosts, in its certificates and in the admin bundle's \
             `ssh_known_hosts`.",
        )
        .aka(&["host", "host_name"]),
        key(
            "address",
            Shape::Text(&IP),
            Mistake,
            "Its address, in the network's subnet.",
        )
        .aka(&["ip", "addr"]),
        key(
            "extra_sans",
            Shape::List(&Shape::Text(&SAN)),
            Default("[]"),
            "Further names of this node's certificates.",
        )
        .aka(&["sans", "san", "alt_names"]),
        key(
            "image",
            Shape::Table(&NODE_IMAGE),
            Depends("as `[image]`"),
            "This node's image, where it differs.",
        )
        .aka(&["disk"]),
        key(
            "network",
            Shape::Table(&NODE_NETWORK),
            Depends("as `[network]`"),
            "This node's network, where it differs.",
        ),
        key(
            "firewall",
            Shape::Table(&NODE_FIREWALL),
            Depends("as `[firewall]`"),
            "This node's firewall, where it differs.",
        ),
        key(
            "etcd",
            Shape::Table(&NODE_ETCD),
            Depends("as `[etcd]`"),
            "etcd on this node, where it differs.",
        ),
        key(
            "pki",
            Shape::Table(&NODE_PKI),
            Depends("as `[pki]`"),
            "This node's certificates, where they differ.",
        ),
        key(
            "packages",
            Shape::List(&Shape::Text(&PACKAGE)),
            Default("[]"),
            "Further Debian packages for this node, beside those of `image.packages`: such a node \
             has a base layer of its own.",
        ),
        key(
            "access",
            Shape::Table(&NODE_ACCESS),
            Depends("as `[access]`"),
            "Ways into this node, where they differ.",
        ),
        key(
            "kernel",
            Shape::Table(&NODE_KERNEL),
            Depends("as `[kernel]`"),
            "What this node's kernel is told, where it differs.",
        ),
        key(
            "file",
            Shape::Tables(&NODE_FILE),
            Depends("those of `[[file]]`"),
            "Further files of this node.",
        )
        .aka(&["files"]),
        key(
            "unit",
            Shape::Tables(&NODE_UNIT),
            Depends("those of `[[unit]]`"),
            "Further units of this node.",
        )
        .aka(&["units", "service", "services"]),
    ],
};
