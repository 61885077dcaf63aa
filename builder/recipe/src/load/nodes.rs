//! `[network]` and `[[node]]`: addresses, and what must hold between them.

use super::pki;
use super::tuning::{self, ClusterTuning, Defaults};
use crate::checker::{Found, Reported, Table, mistake};
use crate::forms::{Ip, Subnet};
use crate::resolved::{Addressing, Network, Node, Pki};
use crate::values::{AdvertisedUrl, InterfaceName, San};
use imgbuild_base::NodeName;
use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::Range;

/// What nodes inherit of `[network]`.
pub(super) struct ClusterNetwork {
    network: Network,
    gateway: Option<Range<usize>>,
}

/// What nodes inherit; not what had mistakes.
pub(super) struct Shared<'a> {
    pub(super) subnet: Option<&'a IpNet>,
    pub(super) network: Result<&'a ClusterNetwork, Reported>,
    pub(super) tuning: Result<&'a ClusterTuning, Reported>,
    pub(super) defaults: &'a Defaults,
    pub(super) pki: Result<&'a Pki, Reported>,
    pub(super) sans: &'a [Found<San>],
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Static,
    Dhcp,
}

impl Mode {
    const ALL: [Self; 2] = [Self::Static, Self::Dhcp];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dhcp => "dhcp",
        }
    }
}

fn values<T>(found: Vec<Found<T>>) -> Vec<T> {
    found.into_iter().map(|found| found.value).collect()
}

pub(super) fn read_subnet(table: &Table<'_>) -> Result<IpNet, Reported> {
    table
        .text::<Subnet>("subnet")
        .and_then(|subnet| check_subnet(table, &subnet))
}

pub(super) fn read_network(
    table: &Table<'_>,
    subnet: Option<&IpNet>,
) -> Result<ClusterNetwork, Reported> {
    let interface = table.text::<InterfaceName>("interface");
    let mode = table.choice("mode", &Mode::ALL, Mode::as_str);
    let gateway = table.given_text::<Ip>("gateway");
    let dns = table.texts::<Ip>("dns");
    let ntp = table.texts::<San>("ntp");

    let gateway = gateway.and_then(|gateway| check_gateway(table, gateway, subnet));
    let addressing = match (&gateway, mode) {
        (Ok(gateway), Ok(mode)) => addressing(table, mode.value, gateway),
        (&Err(reported), _) | (_, Err(reported)) => Err(reported),
    };
    let gateway = gateway?.map(|found| found.span);
    Ok(ClusterNetwork {
        network: Network {
            interface: interface?.value,
            addressing: addressing?,
            dns: values(dns?).into_iter().map(|ip| ip.0).collect(),
            ntp: values(ntp?),
        },
        gateway,
    })
}

fn read_node_network(
    table: &Table<'_>,
    cluster: Result<&ClusterNetwork, Reported>,
    subnet: Option<&IpNet>,
) -> Result<(Network, Option<Range<usize>>), Reported> {
    let interface = table.given_text::<InterfaceName>("interface");
    let mode = table.given_choice("mode", &Mode::ALL, Mode::as_str);
    let gateway = table.given_text::<Ip>("gateway");
    let dns = table.given_texts::<Ip>("dns");
    let ntp = table.given_texts::<San>("ntp");

    let gateway = gateway.and_then(|found| check_gateway(table, found, subnet));
    let cluster = cluster?;
    let shared = &cluster.network;
    let (gateway, mode) = (gateway?, mode?.map(|found| found.value));
    let addressing = match (shared.addressing, mode) {
        (Addressing::Dhcp, None) => addressing(table, Mode::Dhcp, &gateway),
        (Addressing::Static { .. }, None) if gateway.is_none() => Ok(shared.addressing),
        (Addressing::Static { gateway: Some(ip) }, Some(Mode::Static)) if gateway.is_none() => {
            Ok(Addressing::Static { gateway: Some(ip) })
        }
        (_, mode) => addressing(table, mode.unwrap_or(Mode::Static), &gateway),
    };
    let network = Network {
        interface: interface?.map_or_else(|| shared.interface.clone(), |found| found.value),
        addressing: addressing?,
        dns: dns?.map_or_else(
            || shared.dns.clone(),
            |found| values(found.value).into_iter().map(|ip| ip.0).collect(),
        ),
        ntp: ntp?.map_or_else(|| shared.ntp.clone(), |found| values(found.value)),
    };
    let gateway = gateway.map(|found| found.span);
    Ok((network, gateway.or_else(|| cluster.gateway.clone())))
}

fn addressing(
    table: &Table<'_>,
    mode: Mode,
    gateway: &Option<Found<Ip>>,
) -> Result<Addressing, Reported> {
    match (mode, gateway) {
        (Mode::Static, gateway) => Ok(Addressing::Static {
            gateway: gateway.as_ref().map(|found| found.value.0),
        }),
        (Mode::Dhcp, None) => Ok(Addressing::Dhcp),
        (Mode::Dhcp, Some(gateway)) => {
            let message = format!(
                "`{}` cannot be set with mode = \"dhcp\"",
                table.path("gateway")
            );
            Err(table.checker().report(
                mistake(gateway.span.clone(), message)
                    .label("the DHCP server says which it is")
                    .help("leave it out, or use mode = \"static\""),
            ))
        }
    }
}

fn check_subnet(table: &Table<'_>, found: &Found<Subnet>) -> Result<IpNet, Reported> {
    let net = found.value.0;
    let (message, help) = if net.addr() != net.network() {
        (
            format!("`network.subnet`: {net} is an address in a network, not a network"),
            format!("did you mean \"{}\"?", net.trunc()),
        )
    } else if net.max_prefix_len() - net.prefix_len() < 2 {
        (
            format!("`network.subnet`: {net} has no room for nodes"),
            "use a shorter prefix, for example /24".to_owned(),
        )
    } else if net.addr().is_loopback() || net.addr().is_multicast() || net.prefix_len() < 8 {
        (
            format!("`network.subnet`: nodes cannot have addresses in {net}"),
            "for example \"192.168.1.0/24\"".to_owned(),
        )
    } else {
        return Ok(net);
    };
    Err(table.checker().report(
        mistake(found.span.clone(), message)
            .label("expected a network that hosts can be in")
            .help(help),
    ))
}

/// Why no host of `subnet` can have the address.
fn unusable(address: IpAddr, subnet: &IpNet) -> Option<(&'static str, String)> {
    if !subnet.contains(&address) {
        return Some((
            "outside the subnet",
            format!(
                "the subnet is {subnet}: {} to {}",
                subnet.network(),
                subnet.broadcast()
            ),
        ));
    }
    let hosts = || "choose another address of the subnet".to_owned();
    if address == subnet.network() {
        return Some(("the subnet's own address", hosts()));
    }
    if subnet.addr().is_ipv4() && address == subnet.broadcast() {
        return Some(("the subnet's broadcast address", hosts()));
    }
    None
}

fn check_gateway(
    table: &Table<'_>,
    gateway: Option<Found<Ip>>,
    subnet: Option<&IpNet>,
) -> Result<Option<Found<Ip>>, Reported> {
    if let (Some(found), Some(subnet)) = (&gateway, subnet)
        && let Some((what, help)) = unusable(found.value.0, subnet)
    {
        let message = format!("`{}`: {} is {what}", table.path("gateway"), found.value.0);
        return Err(table
            .checker()
            .report(mistake(found.span.clone(), message).label(what).help(help)));
    }
    Ok(gateway)
}

/// A node's identity, kept for the comparison with later nodes.
struct Seen {
    name: Option<Found<NodeName>>,
    address: Option<Found<Ip>>,
}

pub(super) fn read(tables: &[Table<'_>], shared: &Shared<'_>) -> Result<Vec<Node>, Reported> {
    let mut seen: Vec<Seen> = Vec::new();
    let mut nodes = Vec::new();
    for table in tables {
        let name = table
            .text::<NodeName>("name")
            .and_then(|name| check_name(table, name, &seen));
        let address = table.text::<Ip>("address");
        nodes.push(read_node(table, shared, &name, &address, &seen));
        seen.push(Seen {
            name: name.ok(),
            address: address.ok(),
        });
    }
    nodes.into_iter().collect()
}

fn read_node(
    table: &Table<'_>,
    shared: &Shared<'_>,
    name: &Result<Found<NodeName>, Reported>,
    address: &Result<Found<Ip>, Reported>,
    seen: &[Seen],
) -> Result<Node, Reported> {
    let own_sans = table.texts::<San>("extra_sans");
    let network = table
        .table("network")
        .and_then(|own| read_node_network(&own, shared.network, shared.subnet));
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
    let gateway = match &network {
        Ok((network, span)) => match network.addressing {
            Addressing::Static { gateway: Some(ip) } => Some((ip, span.clone())),
            _ => None,
        },
        _ => None,
    };
    if let Ok(address) = address {
        check_address(table, address, shared.subnet, gateway, seen);
    }

    let own_sans = own_sans?;
    let (tuning, advertised) = tuning?;
    let (name, address) = identity?;
    let written = shared.sans.iter().chain(&own_sans).map(|san| &san.value);
    // Who is told to use a name checks the certificate for it.
    let told = advertised.client.iter().chain(&advertised.peer);
    let mut extra_sans: Vec<San> = Vec::new();
    for san in written.chain(told.map(AdvertisedUrl::host)) {
        if !extra_sans.contains(san) {
            extra_sans.push(san.clone());
        }
    }
    Ok(Node {
        name: name.clone(),
        address,
        network: network?.0,
        tuning,
        advertised,
        leaf: leaf?,
        extra_sans,
    })
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
