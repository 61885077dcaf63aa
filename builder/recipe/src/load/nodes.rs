//! `[[node]]`: names and addresses, and what must hold between them.

use super::firewall;
use super::network::{self, Around, ClusterNetwork, SeenAddresses, unusable};
use super::pki;
use super::system::ClusterSystem;
use super::tuning::{self, ClusterTuning, Defaults};
use crate::checker::{Found, Reported, Table, mistake};
use crate::forms::Ip;
use crate::resolved::{Addressing, Node, Pki};
use crate::values::{AdvertisedUrl, MacAddress, San};
use imgbuild_base::NodeName;
use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::Range;

/// What nodes inherit; not what had mistakes.
pub(super) struct Shared<'a> {
    pub(super) around: Around<'a>,
    pub(super) network: Result<&'a ClusterNetwork, Reported>,
    pub(super) firewall: Result<&'a firewall::Shared, Reported>,
    pub(super) tuning: Result<&'a ClusterTuning, Reported>,
    pub(super) defaults: &'a Defaults,
    pub(super) pki: Result<&'a Pki, Reported>,
    pub(super) sans: &'a [Found<San>],
    pub(super) system: &'a ClusterSystem,
}

/// A node's identity, kept for the comparison with later nodes.
struct Seen {
    name: Option<Found<NodeName>>,
    address: Option<Found<Ip>>,
    mac: Option<Found<MacAddress>>,
}

pub(super) fn read(tables: &[Table<'_>], shared: &Shared<'_>) -> Result<Vec<Node>, Reported> {
    let mut seen: Vec<Seen> = Vec::new();
    let mut extra_addresses = SeenAddresses::default();
    let mut nodes = Vec::new();
    for table in tables {
        let name = table
            .text::<NodeName>("name")
            .and_then(|name| check_name(table, name, &seen));
        let address = table.text::<Ip>("address");
        let (node, mac) = read_node(table, shared, &name, &address, &seen);
        if node.is_ok()
            && let Ok(own) = table.table("network")
        {
            extra_addresses.check(&own);
        }
        nodes.push(node);
        seen.push(Seen {
            name: name.ok(),
            address: address.ok(),
            mac,
        });
    }
    let nodes = nodes.into_iter().collect::<Result<Vec<Node>, _>>()?;
    let names: Vec<&NodeName> = nodes.iter().map(|node| &node.name).collect();
    for table in tables {
        network::check_hosts(&table.table("network")?, &names);
    }
    Ok(nodes)
}

fn read_node(
    table: &Table<'_>,
    shared: &Shared<'_>,
    name: &Result<Found<NodeName>, Reported>,
    address: &Result<Found<Ip>, Reported>,
    seen: &[Seen],
) -> (Result<Node, Reported>, Option<Found<MacAddress>>) {
    let own_sans = table.texts::<San>("extra_sans");
    let network = table
        .table("network")
        .and_then(|own| network::read_node(&own, shared.network, shared.around));
    let firewall = table
        .table("firewall")
        .and_then(|own| firewall::read_node(&own, shared.firewall));
    let identity = match (name, address) {
        (Ok(name), Ok(address)) => Ok((&name.value, address.value.0)),
        (&Err(reported), _) | (_, &Err(reported)) => Err(reported),
    };
    let tuning = table
        .table("etcd")
        .and_then(|own| tuning::read_node(&own, shared.tuning, shared.defaults, identity));
    let leaf = table
        .table("pki")
        .and_then(|own| pki::read_node(&own, shared.pki));
    let system = shared.system.node(table);
    let gateway = network
        .as_ref()
        .ok()
        .and_then(|own| match own.network.addressing {
            Addressing::Static { gateway: Some(ip) } => Some((ip, own.gateway.clone())),
            _ => None,
        });
    if let Ok(address) = address {
        check_address(table, address, shared.around.subnet, gateway, seen);
    }
    let mac = network.as_ref().ok().and_then(|own| own.mac.clone());
    if let Some(mac) = &mac {
        check_mac(table, mac, seen);
    }
    let node = || {
        let own_sans = own_sans?;
        let (tuning, advertised) = tuning?;
        let (name, address) = identity?;
        let network = network?.network;
        let (system, access) = system?;
        let full_name = full_name(table, name, network.domain.as_ref())?;
        let written = shared.sans.iter().chain(&own_sans).map(|san| &san.value);
        // Who is told to use a name checks the certificate for it.
        let told = advertised.client.iter().chain(&advertised.peer);
        let told = told.map(AdvertisedUrl::host);
        let mut extra_sans: Vec<San> = Vec::new();
        for san in full_name.iter().chain(written).chain(told) {
            if !extra_sans.contains(san) {
                extra_sans.push(san.clone());
            }
        }
        Ok(Node {
            name: name.clone(),
            address,
            network,
            firewall: firewall?,
            tuning,
            advertised,
            leaf: leaf?,
            extra_sans,
            access,
            system,
        })
    };
    (node(), mac)
}

/// The node's name with its domain, by which its certificates are to be valid too.
fn full_name(
    table: &Table<'_>,
    name: &NodeName,
    domain: Option<&crate::values::DomainName>,
) -> Result<Option<San>, Reported> {
    domain
        .map(|domain| format!("{name}.{domain}").parse())
        .transpose()
        .map_err(|why| super::refuse(table, &format!("{why}")))
}

/// Two nodes with one network card are one node.
fn check_mac(table: &Table<'_>, mac: &Found<MacAddress>, seen: &[Seen]) {
    let first = seen
        .iter()
        .filter_map(|node| node.mac.as_ref())
        .find(|first| first.value == mac.value);
    if let Some(first) = first {
        let message = format!("`node.network.mac`: {} belongs to two nodes", mac.value);
        table.checker().report(
            mistake(mac.span.clone(), message)
                .label("again")
                .also(first.span.clone(), "first here")
                .help("each network card has an address of its own: see its label or `ip link`"),
        );
    }
}

fn check_name(
    table: &Table<'_>,
    name: Found<NodeName>,
    seen: &[Seen],
) -> Result<Found<NodeName>, Reported> {
    if name.value.as_str() == "localhost" {
        return Err(table.checker().report(
            mistake(name.span, "`node.name`: every machine is localhost")
                .label("expected a name of its own")
                .help("for example \"controller-0\""),
        ));
    }
    let first = seen
        .iter()
        .filter_map(|node| node.name.as_ref())
        .find(|first| first.value == name.value);
    if let Some(first) = first {
        let message = format!("`node.name`: there are two nodes called {}", name.value);
        table.checker().report(
            mistake(name.span.clone(), message)
                .label("again")
                .also(first.span.clone(), "first here")
                .help("give each node a name of its own"),
        );
    }
    Ok(name)
}

fn check_address(
    table: &Table<'_>,
    address: &Found<Ip>,
    subnet: Option<&IpNet>,
    gateway: Option<(IpAddr, Option<Range<usize>>)>,
    seen: &[Seen],
) {
    let ip = address.value.0;
    let at = |message: &str| {
        mistake(
            address.span.clone(),
            format!("`node.address`: {ip} {message}"),
        )
    };
    if let Some((what, help)) = subnet.and_then(|subnet| unusable(ip, subnet)) {
        let found = at(&format!("is {what}")).label(what).help(help);
        table.checker().report(found);
    }
    if let Some((_, span)) = gateway.filter(|(gateway, _)| *gateway == ip) {
        let found = at("is the gateway's address")
            .label("a node cannot have it too")
            .help("choose another address of the subnet");
        table.checker().report(match span {
            Some(span) => found.also(span, "the gateway"),
            None => found,
        });
    }
    let first = seen
        .iter()
        .filter_map(|node| node.address.as_ref())
        .find(|first| first.value.0 == ip);
    if let Some(first) = first {
        table.checker().report(
            at("belongs to two nodes")
                .label("again")
                .also(first.span.clone(), "first here")
                .help("give each node an address of its own"),
        );
    }
}
