//! The firewall: one table for nftables (nft(8)), loaded before the network is up.

use crate::ComposeError;
use crate::template::{Template, overlay};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Firewall, Node};
use imgbuild_recipe::values::ListenAddress;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use minijinja::context;
use serde::Serialize;

const RULESET: Template = overlay!("node/nftables.conf");

/// The ports of etcd's clients, of its members, and of ssh.
const CLIENTS: u16 = 2379;
const PEERS: u16 = 2380;
const SSH: u16 = 22;

/// What lets some in, and why.
#[derive(Serialize)]
struct Rule {
    about: String,
    lines: Vec<String>,
}

impl Rule {
    /// TCP to these ports from networks; `None` when there are none of either.
    fn tcp(about: &str, mut ports: Vec<u16>, networks: &[IpNet]) -> Option<Self> {
        ports.sort_unstable();
        ports.dedup();
        let lines = ports
            .iter()
            .flat_map(|port| {
                let sources = sources(networks).into_iter();
                sources.map(move |source| format!("{source}tcp dport {port} accept"))
            })
            .collect::<Vec<_>>();
        (!lines.is_empty()).then(|| Self {
            about: about.to_owned(),
            lines,
        })
    }
}

/// Matches on the source of a packet, one for each family: `ip saddr { … } `. Networks that
/// overlap are joined, because nftables' sets cannot hold both.
fn sources(networks: &[IpNet]) -> Vec<String> {
    let v4: Vec<Ipv4Net> = networks
        .iter()
        .filter_map(|net| match net {
            IpNet::V4(net) => Some(net.trunc()),
            IpNet::V6(_) => None,
        })
        .collect();
    let v6: Vec<Ipv6Net> = networks
        .iter()
        .filter_map(|net| match net {
            IpNet::V6(net) => Some(net.trunc()),
            IpNet::V4(_) => None,
        })
        .collect();
    let v4: Vec<String> = Ipv4Net::aggregate(&v4)
        .iter()
        .map(ToString::to_string)
        .collect();
    let v6: Vec<String> = Ipv6Net::aggregate(&v6)
        .iter()
        .map(ToString::to_string)
        .collect();
    [("ip", "ipv4", v4), ("ip6", "ipv6", v6)]
        .into_iter()
        .filter(|(.., networks)| !networks.is_empty())
        .map(|(family, protocol, networks)| match networks.as_slice() {
            // A set's interval cannot be everything.
            [all] if all.ends_with("/0") => format!("meta nfproto {protocol} "),
            _ => format!("{family} saddr {{ {} }} ", networks.join(", ")),
        })
        .collect()
}

/// The node's `/etc/nftables.conf`.
///
/// # Errors
/// [`ComposeError::Template`] when the template is broken.
pub fn ruleset(recipe: &Recipe, node: &Node, firewall: &Firewall) -> Result<String, ComposeError> {
    let members: Vec<IpNet> = recipe
        .nodes
        .iter()
        .map(|node| IpNet::from(node.address))
        .collect();
    let with_members =
        |more: &[IpNet]| -> Vec<IpNet> { members.iter().chain(more).copied().collect() };
    let clients = with_members(&firewall.clients);
    let peers = with_members(&firewall.peers);
    let listeners = &node.tuning.listeners;
    let ports = |all: &[ListenAddress]| -> Vec<u16> {
        let reachable = all.iter().map(|at| at.socket());
        let reachable = reachable.filter(|at| !at.ip().is_loopback());
        reachable.map(|at| at.port()).collect()
    };
    let client_ports = [vec![CLIENTS], ports(&listeners.client)].concat();
    let peer_ports = [vec![PEERS], ports(&listeners.peer)].concat();
    let metrics = node.tuning.metrics.iter();
    let metrics = metrics.filter(|at| !at.ip().is_loopback());
    let metrics = metrics.map(|at| at.port());
    let metrics_ports = metrics.chain(ports(&listeners.metrics)).collect();
    let ssh_ports = node.access.ssh.iter().map(|_| SSH).collect();
    let mut rules: Vec<Rule> = [
        Rule::tcp("etcd's members.", peer_ports, &peers),
        Rule::tcp("etcd's clients.", client_ports, &clients),
        Rule::tcp("etcd's metrics.", metrics_ports, &clients),
        Rule::tcp("The ssh server.", ssh_ports, &firewall.ssh),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !firewall.open.is_empty() {
        let lines = firewall.open.iter();
        rules.push(Rule {
            about: "Open to everybody.".to_owned(),
            lines: lines
                .map(|open| format!("{} dport {} accept", open.protocol.as_str(), open.port))
                .collect(),
        });
    }
    RULESET.render(context! { node => node.name.as_str(), rules })
}
