//! How a node's address is set up.

use crate::values::{InterfaceName, San};
use serde::Serialize;
use std::net::IpAddr;

/// How a node's address is set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Network {
    /// The interface.
    pub interface: InterfaceName,
    /// Where the address comes from.
    pub addressing: Addressing,
    /// Name servers, in order. With DHCP they are added to what it says.
    pub dns: Vec<IpAddr>,
    /// Time servers, names or addresses. Empty: those systemd-timesyncd was built with.
    pub ntp: Vec<San>,
}

/// Where an interface's address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "mode")]
pub enum Addressing {
    /// It is set from the recipe.
    Static {
        /// The way out of the subnet, if there is one.
        gateway: Option<IpAddr>,
    },
    /// A DHCP server hands out the very address of the recipe (a reservation).
    Dhcp,
}
