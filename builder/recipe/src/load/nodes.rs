//! `[[node]]`: names and addresses, and what must hold between them.

use super::etcd;
use super::firewall;
use super::image::{self, ClusterImage};
use super::network::{self, Around, ClusterNetwork, SeenAddresses, unusable};
use super::pki::{self, ClusterPki};
use super::system::ClusterSystem;
use super::tuning::{self, ClusterTuning, Defaults, Identity};
use crate::checker::{Found, Reported, Table, mistake};
use crate::etcd_options::Series;
use crate::forms::Ip;
use crate::resolved::{Addressing, Node};
use crate::values::{AdvertisedUrl, MacAddress, San};
use imgbuild_base::{Arch, HostName, NodeName};
use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::Range;

/// What nodes inherit; not what had mistakes.
pub(super) struct Shared<'a> {
    pub(super) around: Around<'a>,
    pub(super) image: Result<&'a ClusterImage, Reported>,
    pub(super) etcd: Result<&'a etcd::Written, Reported>,
    pub(super) arch: Option<Arch>,
    pub(super) network: Result<&'a ClusterNetwork, Reported>,
    pub(super) firewall: Result<&'a firewall::Shared, Reported>,
    pub(super) tuning: Result<&'a ClusterTuning, Reported>,
    pub(super) defaults: &'a Defaults,
    pub(super) pki: Result<&'a ClusterPki, Reported>,
    pub(super) sans: &'a [Found<San>],
    pub(super) system: &'a ClusterSystem,
}

/// A node's identity, kept for the comparison with later nodes.
struct Seen {
    name: Option<Found<NodeName>>,
    hostname: Option<Found<HostName>>,
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
        let hostname = table
            .given_text::<HostName>("hostname")
            .and_then(|given| check_hostname(table, given, &seen));
        let address = table.text::<Ip>("address");
        let claims = Claims {
            name: name.as_ref().map_err(|&reported| reported),
            hostname: hostname.as_ref().map_err(|&reported| reported),
            address: address.as_ref().map_err(|&reported| reported),
        };
        let (node, mac) = read_node(table, shared, &claims, &seen);
        if node.is_ok()
            && let Ok(own) = table.table("network")
        {
            extra_addresses.check(&own);
        }
        nodes.push(node);
        seen.push(Seen {
            name: name.ok(),
            hostname: hostname.ok().flatten(),
            address: address.ok(),
            mac,
        });
    }
    let nodes = nodes.into_iter().collect::<Result<Vec<Node>, _>>()?;
    let names: Vec<&HostName> = nodes.iter().flat_map(Node::names).collect();
    for table in tables {
        network::check_hosts(&table.table("network")?, &names);
    }
    check_series(tables, &nodes)?;
    Ok(nodes)
}

/// etcd is upgraded one minor release at a time: members that are further apart do not talk to
/// each other (etcd's upgrade guides).
fn check_series(tables: &[Table<'_>], nodes: &[Node]) -> Result<(), Reported> {
    let place = |node: &Node| {
        let series = node.etcd.series()?;
        Series::ALL.iter().position(|one| *one == series)
    };
    let oldest = nodes.iter().filter_map(place).min();
    let newest = nodes.iter().filter_map(place).max();
    let (Some(oldest), Some(newest)) = (oldest, newest) else {
        return Ok(());
    };
    let at = nodes.iter().position(|node| place(node) == Some(newest));
    let (Some(table), true) = (at.and_then(|at| tables.get(at)), newest > oldest + 1) else {
        return Ok(());
    };
    let own = table.table("etcd")?;
    let written = own
        .written_at("version")
        .or_else(|| own.written_at("source"));
    let (oldest, newest) = (Series::ALL[oldest], Series::ALL[newest]);
    let message =
        format!("`node.etcd.version`: members of etcd {newest} and {oldest} form no cluster");
    Err(table.checker().report(
        mistake(written.unwrap_or_else(|| table.span()), message)
            .label(format!("this one runs {newest}, another {oldest}"))
            .help("etcd is upgraded one minor release at a time"),
    ))
}

/// What a node says it is.
struct Claims<'a> {
    name: Result<&'a Found<NodeName>, Reported>,
    hostname: Result<&'a Option<Found<HostName>>, Reported>,
    address: Result<&'a Found<Ip>, Reported>,
}

impl Claims<'_> {
    fn identity(&self) -> Result<Identity<'_>, Reported> {
        let (name, hostname, address) = (self.name?, self.hostname?, self.address?);
        let own = hostname.as_ref().map(|found| &found.value);
        Ok(Identity {
            name: &name.value,
            hostname: own.unwrap_or_else(|| name.value.host()),
            address: address.value.0,
        })
    }
}

fn read_node(
    table: &Table<'_>,
    shared: &Shared<'_>,
    claims: &Claims<'_>,
    seen: &[Seen],
) -> (Result<Node, Reported>, Option<Found<MacAddress>>) {
    let own_sans = table.texts::<San>("extra_sans");
    let network = table
        .table("network")
        .and_then(|own| network::read_node(&own, shared.network, shared.around));
    let firewall = table
        .table("firewall")
        .and_then(|own| firewall::read_node(&own, shared.firewall));
    let identity = claims.identity();
    let image = table
        .table("image")
        .and_then(|own| image::read_node(&own, shared.image));
    let etcd_table = table.table("etcd");
    let etcd = etcd_table
        .as_ref()
        .map_err(|&reported| reported)
        .and_then(|own| {
            let written = etcd::Written::of_node(own);
            written.over(shared.etcd?).settle(own, shared.arch)
        });
    let defaults = shared.defaults.with(etcd.as_ref().ok());
    let tuning =
        etcd_table.and_then(|own| tuning::read_node(&own, shared.tuning, &defaults, identity));
    let pki = table
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
    if let Ok(address) = claims.address {
        check_address(table, address, shared.around.subnet, gateway, seen);
    }
    let mac = network.as_ref().ok().and_then(|own| own.mac.clone());
    if let Some(mac) = &mac {
        check_mac(table, mac, seen);
    }
    let node = || {
        let own_sans = own_sans?;
        let (tuning, advertised) = tuning?;
        let Identity {
            name,
            hostname,
            address,
        } = identity?;
        let network = network?.network;
        let (system, access) = system?;
        let full_name = full_name(table, hostname, network.domain.as_ref())?;
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
            hostname: hostname.clone(),
            address,
            image: image?,
            network,
            firewall: firewall?,
            etcd: etcd?,
            tuning,
            advertised,
            pki: pki?,
            extra_sans,
            access,
            system,
        })
    };
    (node(), mac)
}

/// The host's name with its domain, by which its certificates are to be valid too.
fn full_name(
    table: &Table<'_>,
    name: &HostName,
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
    check_called(table, "name", name.value.host(), &name.span, seen);
    Ok(name)
}

/// The same for a host name, if there is one.
fn check_hostname(
    table: &Table<'_>,
    given: Option<Found<HostName>>,
    seen: &[Seen],
) -> Result<Option<Found<HostName>>, Reported> {
    let Some(found) = given else {
        return Ok(None);
    };
    if found.value.as_str() == "localhost" {
        return Err(table.checker().report(
            mistake(found.span, "`node.hostname`: every machine is localhost")
                .label("expected a name of its own")
                .help("for example \"rack-7\"; left out, it is the node's name"),
        ));
    }
    check_called(table, "hostname", &found.value, &found.span, seen);
    Ok(Some(found))
}

/// No other node may be called so, by its name or its host name: either leads to its address.
fn check_called(table: &Table<'_>, key: &str, name: &HostName, span: &Range<usize>, seen: &[Seen]) {
    let first = seen.iter().find_map(|node| {
        let own = node.name.as_ref().filter(|own| own.value.host() == name);
        let host = node.hostname.as_ref().filter(|host| host.value == *name);
        own.map(|own| own.span.clone())
            .or_else(|| host.map(|host| host.span.clone()))
    });
    if let Some(first) = first {
        let message = format!("`node.{key}`: there are two nodes called {name}");
        table.checker().report(
            mistake(span.clone(), message)
                .label("again")
                .also(first, "first here")
                .help("give each node a name of its own"),
        );
    }
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
