//! What `run` says.

use schemars::JsonSchema;
use serde::Serialize;

/// A node that runs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) node: String,
    /// How far it is, in words; begins with `healthy` when the member answers as healthy.
    pub(crate) state: String,
    /// Whether it is cut off from the others.
    pub(crate) cut: bool,
    /// Where its member is reached from this machine.
    pub(crate) endpoint: String,
    /// The loopback port of its ssh server; null when it has none.
    pub(crate) ssh_port: Option<u16>,
    /// What it last reported on its console.
    pub(crate) report: Option<String>,
    /// Since the nodes were started, in seconds.
    pub(crate) seconds: f64,
}

/// A cluster in which every member answers as healthy.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Healthy {
    /// Since the nodes were started, in seconds.
    pub(crate) seconds: f64,
    /// Where the members are reached from this machine, with commas, as etcdctl takes them.
    pub(crate) endpoints: String,
}
