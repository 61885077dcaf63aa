//! `[firewall]` and `[node.firewall]`.

use super::super::Absent::{Default, Depends};
use super::super::forms::{NET, PORT};
use super::super::{Absent, Key, Section, Shape, key};

const fn enabled(absent: Absent) -> Key {
    key(
        "enabled",
        Shape::Flag,
        absent,
        "Whether there is a firewall (nftables). What no rule lets in is dropped; answers, ICMP and \
         DHCP always come through, and nothing is forwarded.",
    )
    .aka(&["enable", "on", "active"])
}
const fn clients(absent: Absent) -> Key {
    key(
        "clients",
        Shape::List(&Shape::Text(&NET)),
        absent,
        "Networks whose hosts may reach etcd's client port, and its metrics where they are not on \
         loopback. The members always may.",
    )
    .aka(&["allow_clients", "allow", "allowed", "networks"])
}
const fn peers(absent: Absent) -> Key {
    key(
        "peers",
        Shape::List(&Shape::Text(&NET)),
        absent,
        "Networks, beside the members, whose hosts may reach etcd's peer port: for members to come.",
    )
    .aka(&["allow_peers", "members"])
}
const fn ssh(absent: Absent) -> Key {
    key(
        "ssh",
        Shape::List(&Shape::Text(&NET)),
        absent,
        "Networks whose hosts may reach the ssh server, if there is one.",
    )
    .aka(&["allow_ssh"])
}
const fn open(absent: Absent) -> Key {
    key(
        "open",
        Shape::List(&Shape::Text(&PORT)),
        absent,
        "Further ports that everybody may reach.",
    )
    .aka(&["ports", "open_ports", "allow_ports"])
}

const ANYWHERE: Absent = Default("[\"0.0.0.0/0\", \"::/0\"]");
const AS_CLUSTER: Absent = Depends("as in `[firewall]`");

/// `[firewall]`
pub static FIREWALL: Section = Section {
    name: "firewall",
    doc: "Which hosts may reach a node's ports. Off unless the recipe turns it on: etcd's ports ask \
          for certificates either way.",
    keys: &[
        enabled(Default("false")),
        clients(Depends("the cluster's subnet")),
        peers(Default("[]")),
        ssh(ANYWHERE),
        open(Default("[]")),
    ],
};

/// `[node.firewall]`
pub static NODE_FIREWALL: Section = Section {
    name: "node.firewall",
    doc: "This node's firewall, where it differs.",
    keys: &[
        enabled(AS_CLUSTER),
        clients(AS_CLUSTER),
        peers(AS_CLUSTER),
        ssh(AS_CLUSTER),
        open(AS_CLUSTER),
    ],
};
