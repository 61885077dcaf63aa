//! The recipes that are part of the program.

use crate::find::{Origin, Source};

/// A recipe that is part of the program.
#[derive(Debug)]
pub struct Builtin {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
    /// Its lock.
    pub lock: &'static str,
}

impl Builtin {
    /// As a recipe that was found.
    #[must_use]
    pub fn source(&self) -> Source {
        Source {
            name: self.name.to_owned(),
            origin: Origin::Builtin { lock: self.lock },
            text: self.text.to_owned(),
        }
    }
}

/// All of them, in the order of their names.
pub static ALL: [Builtin; 9] = [
    Builtin {
        name: "debian-3node",
        text: include_str!("../../../recipes/debian-3node.toml"),
        lock: include_str!("../../../recipes/debian-3node.lock"),
    },
    Builtin {
        name: "envfile-3node",
        text: include_str!("../../../recipes/envfile-3node.toml"),
        lock: include_str!("../../../recipes/envfile-3node.lock"),
    },
    Builtin {
        name: "kubeadm-3node",
        text: include_str!("../../../recipes/kubeadm-3node.toml"),
        lock: include_str!("../../../recipes/kubeadm-3node.lock"),
    },
    Builtin {
        name: "pi-2node",
        text: include_str!("../../../recipes/pi-2node.toml"),
        lock: include_str!("../../../recipes/pi-2node.lock"),
    },
    Builtin {
        name: "pi-3node",
        text: include_str!("../../../recipes/pi-3node.toml"),
        lock: include_str!("../../../recipes/pi-3node.lock"),
    },
    Builtin {
        name: "static-pod",
        text: include_str!("../../../recipes/static-pod.toml"),
        lock: include_str!("../../../recipes/static-pod.lock"),
    },
    Builtin {
        name: "vm-1node",
        text: include_str!("../../../recipes/vm-1node.toml"),
        lock: include_str!("../../../recipes/vm-1node.lock"),
    },
    Builtin {
        name: "vm-1node-arm64",
        text: include_str!("../../../recipes/vm-1node-arm64.toml"),
        lock: include_str!("../../../recipes/vm-1node-arm64.lock"),
    },
    Builtin {
        name: "vm-3node",
        text: include_str!("../../../recipes/vm-3node.toml"),
        lock: include_str!("../../../recipes/vm-3node.lock"),
    },
];
