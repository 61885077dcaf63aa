//! `[network]` and `[node.network]`.

use super::super::Absent::{Default, Depends, Mistake};
use super::super::forms::{INTERFACE, IP, SAN, SUBNET};
use super::super::{Key, Section, Shape, choice, key};

/// `[network]`
pub static NETWORK: Section = Section {
    name: "network",
    doc: "The network between the nodes.",
    keys: &[
        key(
            "subnet",
            Shape::Text(&SUBNET),
            Mistake,
            "The network all nodes' addresses are in.",
        )
        .aka(&["cidr", "netmask", "prefix"]),
        INTERFACE_KEY,
        MODE,
        GATEWAY,
        DNS,
        NTP,
    ],
};

const INTERFACE_KEY: Key = key(
    "interface",
    Shape::Text(&INTERFACE),
    Default("\"eth0\""),
    "The network interface.",
)
.aka(&["iface", "device"]);
const MODE: Key = key(
    "mode",
    Shape::Choice(&[
        choice("static", "the node sets its address itself"),
        choice(
            "dhcp",
            "a DHCP server hands out the very address that the recipe names (a reservation)",
        ),
    ]),
    Default("\"static\""),
    "Where a node's address comes from.",
);
const GATEWAY: Key = key(
    "gateway",
    Shape::Text(&IP),
    Depends("none"),
    "The router, in the subnet. Only with `mode = \"static\"`.",
)
.aka(&["router", "default_route"]);
const DNS: Key = key(
    "dns",
    Shape::List(&Shape::Text(&IP)),
    Default("[]"),
    "Name servers.",
)
.aka(&["nameservers", "resolvers"]);
const NTP: Key = key(
    "ntp",
    Shape::List(&Shape::Text(&SAN)),
    Default("[]"),
    "Time servers. None: those that Debian's systemd-timesyncd was built with.",
)
.aka(&["time", "timeservers"]);

/// `[node.network]`
pub static NODE_NETWORK: Section = Section {
    name: "node.network",
    doc: "This node's network, where it differs.",
    keys: &[INTERFACE_KEY, MODE, GATEWAY, DNS, NTP],
};
