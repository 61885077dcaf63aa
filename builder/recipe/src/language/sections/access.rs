//! `[access]` and `[node.access]`.

use super::super::Absent::{Default, Depends};
use super::super::forms::{HASH, SSH_KEY};
use super::super::{Key, Section, Shape, choice, key};

/// `[access]`
pub static ACCESS: Section = Section {
    name: "access",
    doc: "Ways into a node. None is open unless the recipe opens it.",
    keys: KEYS,
};

/// `[node.access]`
pub static NODE_ACCESS: Section = Section {
    name: "node.access",
    doc: "Ways into this node, where they differ.",
    keys: KEYS,
};

const KEYS: &[Key] = &[
    key(
        "ssh_keys",
        Shape::List(&Shape::Text(&SSH_KEY)),
        Default("[]"),
        "Public keys that may log in as root. With one or more there is an ssh server that \
             takes keys only; with none there is no ssh server.",
    )
    .aka(&["ssh", "authorized_keys", "keys"]),
    key(
        "console",
        Shape::Choice(&[
            choice("log", "shows messages; nobody can log in"),
            choice("shell", "a root shell without a password"),
            choice("login", "a login prompt that takes root's password"),
        ]),
        Default("\"log\""),
        "What the serial console and the screen offer.",
    ),
    key(
        "root_password_hash",
        Shape::Text(&HASH),
        Depends("none"),
        "The hash of root's password, for `console = \"login\"`: what `mkpasswd` or `openssl \
             passwd -6` prints. It is in the node's layer only.",
    )
    .aka(&["root_password", "password", "password_hash", "root_hash"]),
];
