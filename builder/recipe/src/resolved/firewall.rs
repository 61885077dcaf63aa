//! Which hosts may reach a node's ports.

use crate::values::OpenPort;
use ipnet::IpNet;
use serde::Serialize;
use std::net::IpAddr;

/// A node's firewall. The cluster's members always reach both of etcd's ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Firewall {
    /// Networks that may reach etcd's client port.
    pub clients: Vec<IpNet>,
    /// Networks that may reach etcd's peer port.
    pub peers: Vec<IpNet>,
    /// Networks that may reach the ssh server.
    pub ssh: Vec<IpNet>,
    /// Ports that everybody may reach.
    pub open: Vec<OpenPort>,
}

impl Firewall {
    /// Whether a host that is no member may reach etcd's client port.
    #[must_use]
    pub fn admits(&self, client: IpAddr) -> bool {
        self.clients.iter().any(|network| network.contains(&client))
    }
}
