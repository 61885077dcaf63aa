//! Ways into a node.

use crate::values::SshKey;
use serde::Serialize;

/// Ways into a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Access {
    /// The ssh server, if there is one.
    pub ssh: Option<Ssh>,
    /// What the console offers.
    pub console: Console,
}

/// An ssh server that takes keys only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ssh {
    /// root's authorized keys; at least one.
    pub keys: Vec<SshKey>,
}

/// What the console (serial and screen) offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Console {
    /// The kernel's and the system's messages; nobody can log in there.
    Log,
    /// A root shell without a password, for machines on a desk and for tests.
    Shell,
}

impl Console {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Log, Self::Shell];

    /// The name as recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Shell => "shell",
        }
    }
}
