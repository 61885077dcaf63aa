//! Ways into a node.

use crate::values::{PasswordHash, SshKey};
use serde::Serialize;

/// Ways into a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Console {
    /// The kernel's and the system's messages; nobody can log in there.
    #[default]
    Log,
    /// A root shell without a password, for machines on a desk and for tests.
    Shell,
    /// A login prompt that takes root's password.
    Login {
        /// The password's hash.
        root_password: PasswordHash,
    },
}

impl Console {
    /// The name as recipes write it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Shell => "shell",
            Self::Login { .. } => "login",
        }
    }
}
