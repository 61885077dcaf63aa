//! `[network]` and `[node.network]`: how the nodes are connected.

mod extra;
mod wifi;

pub(super) use extra::SeenAddresses;

use crate::checker::{Found, Reported, Table, mistake};
use crate::forms::{Ip, Subnet};
use crate::resolved::{Addressing, Board, Network};
use crate::values::{DomainName, HostsEntry, InterfaceName, MacAddress, San, VlanId};
use imgbuild_base::HostName;
use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::Range;

/// What nodes inherit of `[network]`.
pub(super) struct ClusterNetwork {
    network: Network,
    gateway: Option<Range<usize>>,
}

/// What the sections of networks are read against; not what had mistakes.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) subnet: Option<&'a IpNet>,
    pub(super) board: Option<Board>,
}

/// A node's network, and where what is compared with other nodes' was written.
pub(super) struct NodeNetwork {
    pub(super) network: Network,
    pub(super) gateway: Option<Range<usize>>,
    pub(super) mac: Option<Found<MacAddress>>,
}

/// The wired interface that a recipe means when it names none.
const WIRED: &str = "eth0";

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

fn addresses(found: Vec<Found<Ip>>) -> Vec<IpAddr> {
    found.into_iter().map(|found| found.value.0).collect()
}

pub(super) fn read_subnet(table: &Table<'_>) -> Result<IpNet, Reported> {
    table
        .text::<Subnet>("subnet")
        .and_then(|subnet| check_subnet(table, &subnet))
}

pub(super) fn read(table: &Table<'_>, around: Around<'_>) -> Result<ClusterNetwork, Reported> {
    let interface = table.given_text::<InterfaceName>("interface");
    let vlan = vlan(table, "vlan");
    let mode = table.choice("mode", &Mode::ALL, Mode::as_str);
    let gateway = table.given_text::<Ip>("gateway");
    let dns = table.texts::<Ip>("dns");
    let search = table.texts::<DomainName>("search");
    let ntp = table.texts::<San>("ntp");
    let domain = table.given_text::<DomainName>("domain");
    let hosts = table.texts::<HostsEntry>("hosts");
    let extra = table.tables("extra").and_then(|all| extra::read(&all));
    let wifi = table
        .table("wifi")
        .and_then(|wifi| wifi::read(&wifi, around.board));

    let gateway = gateway.and_then(|gateway| check_gateway(table, gateway, around.subnet));
    let addressing = match (&gateway, mode) {
        (Ok(gateway), Ok(mode)) => addressing(table, mode.value, gateway),
        (&Err(reported), _) | (_, Err(reported)) => Err(reported),
    };
    let gateway = gateway?.map(|found| found.span);
    let wifi = wifi?;
    let interface = own_interface(table, interface?, wifi.as_ref())?;
    let network = Network {
        interface,
        mac: None,
        vlan: vlan?,
        addressing: addressing?,
        dns: addresses(dns?),
        search: values(search?),
        ntp: values(ntp?),
        domain: domain?.map(|found| found.value),
        hosts: values(hosts?),
        extra: extra?,
        wifi,
    };
    extra::check_interfaces(table, &network)?;
    wifi::check_used(table, &network)?;
    Ok(ClusterNetwork { network, gateway })
}

pub(super) fn read_node(
    table: &Table<'_>,
    cluster: Result<&ClusterNetwork, Reported>,
    around: Around<'_>,
) -> Result<NodeNetwork, Reported> {
    let interface = table.given_text::<InterfaceName>("interface");
    let mac = table.given_text::<MacAddress>("mac");
    let vlan = vlan(table, "vlan");
    let mode = table.given_choice("mode", &Mode::ALL, Mode::as_str);
    let gateway = table.given_text::<Ip>("gateway");
    let dns = table.given_texts::<Ip>("dns");
    let search = table.given_texts::<DomainName>("search");
    let ntp = table.given_texts::<San>("ntp");
    let domain = table.given_text::<DomainName>("domain");
    let hosts = table.given_texts::<HostsEntry>("hosts");
    let extra_given = table.written_at("extra").is_some();
    let extra = table
        .tables("extra")
        .and_then(|all| extra::read_node(&all, around.subnet));
    let wifi_table = table.table("wifi");

    let gateway = gateway.and_then(|found| check_gateway(table, found, around.subnet));
    let cluster = cluster?;
    let shared = &cluster.network;
    let wifi = wifi_table.and_then(|own| wifi::read_node(&own, shared.wifi.as_ref(), around.board));
    let (gateway, mode) = (gateway?, mode?.map(|found| found.value));
    let addressing = match (shared.addressing, mode) {
        (Addressing::Dhcp, None) => addressing(table, Mode::Dhcp, &gateway),
        (Addressing::Static { .. }, None) if gateway.is_none() => Ok(shared.addressing),
        (Addressing::Static { gateway: Some(ip) }, Some(Mode::Static)) if gateway.is_none() => {
            Ok(Addressing::Static { gateway: Some(ip) })
        }
        (_, mode) => addressing(table, mode.unwrap_or(Mode::Static), &gateway),
    };
    let mac = mac?;
    let wifi = wifi?;
    let interface = match interface? {
        // A wireless network of the node's own moves it there, as the cluster's would.
        None if wifi.is_some() && follows_radio(shared) => {
            own_interface(table, None, wifi.as_ref())?
        }
        None => shared.interface.clone(),
        given => own_interface(table, given, wifi.as_ref())?,
    };
    let mut network = Network {
        interface,
        mac: mac.as_ref().map(|found| found.value),
        vlan: vlan?.or(shared.vlan),
        addressing: addressing?,
        dns: dns?.map_or_else(|| shared.dns.clone(), |found| addresses(found.value)),
        search: search?.map_or_else(|| shared.search.clone(), |found| values(found.value)),
        ntp: ntp?.map_or_else(|| shared.ntp.clone(), |found| values(found.value)),
        domain: domain?.map_or_else(|| shared.domain.clone(), |found| Some(found.value)),
        hosts: hosts?.map_or_else(|| shared.hosts.clone(), |found| values(found.value)),
        extra: match extra? {
            own if extra_given => own,
            _ => shared.extra.clone(),
        },
        wifi,
    };
    extra::check_interfaces(table, &network)?;
    match table.written_at("wifi") {
        Some(_) => wifi::check_used(table, &network)?,
        // A node that the cluster's radio has no interface for is a wired one.
        None => network.wifi = network.wifi.take().filter(|it| wifi::uses(&network, it)),
    }
    wifi::check_found_by_name(table, &network, mac.as_ref())?;
    let gateway = gateway.map(|found| found.span);
    Ok(NodeNetwork {
        network,
        gateway: gateway.or_else(|| cluster.gateway.clone()),
        mac,
    })
}

/// Whether the cluster's address is on the wireless interface, or would be if there was one.
fn follows_radio(cluster: &Network) -> bool {
    let wireless = |wifi: &crate::resolved::Wifi| wifi.interface == cluster.interface;
    cluster.wifi.as_ref().is_none_or(wireless)
}

/// The interface that was named, or else the wireless one, or else the first wired one.
fn own_interface(
    table: &Table<'_>,
    named: Option<Found<InterfaceName>>,
    wifi: Option<&crate::resolved::Wifi>,
) -> Result<InterfaceName, Reported> {
    match (named, wifi) {
        (Some(named), _) => Ok(named.value),
        (None, Some(wifi)) => Ok(wifi.interface.clone()),
        (None, None) => WIRED
            .parse()
            .map_err(|why| super::refuse(table, &format!("{why}"))),
    }
}

/// A VLAN's number, if written; its range is the language's.
fn vlan(table: &Table<'_>, key: &str) -> Result<Option<VlanId>, Reported> {
    let number = table.given_number::<u64>(key)?;
    number
        .map(|found| {
            VlanId::try_from(found.value).map_err(|why| {
                let message = format!("`{}`: {why}", table.path(key));
                table.checker().report(mistake(found.span, message))
            })
        })
        .transpose()
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
    } else if is_link_local(net.addr()) {
        (
            format!(
                "`network.subnet`: {net} is link-local: its addresses mean nothing without an interface"
            ),
            "for example \"fd00:1::/64\" (RFC 4193)".to_owned(),
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

/// fe80::/10 (RFC 4291 2.5.6).
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.segments()[0] & 0xffc0 == 0xfe80)
}

/// Why no host of `subnet` can have the address.
pub(super) fn unusable(address: IpAddr, subnet: &IpNet) -> Option<(&'static str, String)> {
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

/// No line of `/etc/hosts` may lead a name elsewhere that the builder gives to a node or to
/// the machine itself.
pub(super) fn check_hosts(table: &Table<'_>, names: &[&HostName]) {
    let Ok(Some(hosts)) = table.given_texts::<HostsEntry>("hosts") else {
        return;
    };
    for entry in hosts.value {
        let taken = entry.value.names().iter().find(|name| {
            name.as_str() == "localhost" || names.iter().any(|node| node.as_str() == name.as_str())
        });
        if let Some(name) = taken {
            let message = format!("`{}`: {name} has a line already", table.path("hosts"));
            table.checker().report(
                mistake(entry.span, message)
                    .label("this name cannot lead elsewhere")
                    .help("every node's name and localhost are in /etc/hosts by themselves"),
            );
        }
    }
}
