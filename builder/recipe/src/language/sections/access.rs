//! `[access]`.

use super::super::Absent::Default;
use super::super::forms::SSH_KEY;
use super::super::{Section, Shape, choice, key};

/// `[access]`
pub static ACCESS: Section = Section {
    name: "access",
    doc: "Ways into a node. None is open unless the recipe opens it.",
    keys: &[
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
            ]),
            Default("\"log\""),
            "What the serial console and screen offer.",
        ),
    ],
};
