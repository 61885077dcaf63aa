//! `[[network.extra]]` and `[[node.network.extra]]`: further interfaces.

use super::vlan;
use crate::checker::{Found, Reported, Table, mistake};
use crate::forms::Ip;
use crate::resolved::{Extra, ExtraAddressing, Network};
use crate::values::{InterfaceAddress, InterfaceName, MacAddress, VlanId};
use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::Range;

/// How long a name Linux gives an interface, without its end (IFNAMSIZ).
const LONGEST_NAME: usize = 15;

/// The addresses of interfaces that earlier nodes have, and where they were written.
#[derive(Default)]
pub(in crate::load) struct SeenAddresses(Vec<(IpAddr, Range<usize>)>);

impl SeenAddresses {
    /// Complains about addresses of `table`'s extras that another node has.
    pub(in crate::load) fn check(&mut self, table: &Table<'_>) {
        let Ok(extras) = table.tables("extra") else {
            return;
        };
        for extra in &extras {
            let Ok(addresses) = extra.texts::<InterfaceAddress>("addresses") else {
                continue;
            };
            for found in addresses {
                let address = found.value.0.addr();
                let first = self.0.iter().find(|(seen, _)| *seen == address);
                if let Some((_, first)) = first {
                    let message = format!(
                        "`{}`: {address} belongs to two interfaces",
                        extra.path("addresses")
                    );
                    extra.checker().report(
                        mistake(found.span.clone(), message)
                            .label("again")
                            .also(first.clone(), "first here")
                            .help("give each interface an address of its own"),
                    );
                }
                self.0.push((address, found.span));
            }
        }
    }
}

pub(super) fn read(tables: &[Table<'_>]) -> Result<Vec<Extra>, Reported> {
    let read: Vec<Result<Extra, Reported>> = tables.iter().map(read_one).collect();
    read.into_iter().collect()
}

fn read_one(table: &Table<'_>) -> Result<Extra, Reported> {
    let interface = table.text::<InterfaceName>("interface");
    let vlan = vlan(table, "vlan");
    let default_route = table.flag("default_route");
    Ok(Extra {
        interface: interface?.value,
        mac: None,
        vlan: vlan?,
        addressing: ExtraAddressing::Dhcp {
            default_route: default_route?.value,
        },
    })
}

pub(super) fn read_node(
    tables: &[Table<'_>],
    subnet: Option<&IpNet>,
) -> Result<Vec<Extra>, Reported> {
    let read: Vec<Result<Extra, Reported>> = tables
        .iter()
        .map(|table| read_node_one(table, subnet))
        .collect();
    read.into_iter().collect()
}

fn read_node_one(table: &Table<'_>, subnet: Option<&IpNet>) -> Result<Extra, Reported> {
    let interface = table.text::<InterfaceName>("interface");
    let mac = table.given_text::<MacAddress>("mac");
    let vlan = vlan(table, "vlan");
    let addresses = table
        .texts::<InterfaceAddress>("addresses")
        .and_then(|found| check_addresses(table, found, subnet));
    let gateway = table.given_text::<Ip>("gateway");
    let default_route = table.flag("default_route");
    let addressing = addressing(table, addresses?, gateway?, &default_route?)?;
    Ok(Extra {
        interface: interface?.value,
        mac: mac?.map(|found| found.value),
        vlan: vlan?,
        addressing,
    })
}

fn addressing(
    table: &Table<'_>,
    addresses: Vec<IpNet>,
    gateway: Option<Found<Ip>>,
    default_route: &Found<bool>,
) -> Result<ExtraAddressing, Reported> {
    let refuse = |span: &Range<usize>, key: &str, label: &str, help: &str| {
        let message = format!("`{}` has no effect here", table.path(key));
        let found = mistake(span.clone(), message).label(label).help(help);
        Err(table.checker().report(found))
    };
    match (addresses.is_empty(), gateway) {
        (true, Some(gateway)) => refuse(
            &gateway.span,
            "gateway",
            "without addresses the interface asks a DHCP server",
            "name `addresses`, or take the server's router with `default_route = true`",
        ),
        (false, _) if default_route.value => refuse(
            &default_route.span,
            "default_route",
            "with addresses of its own the interface asks no DHCP server",
            "name the router with `gateway`",
        ),
        (true, None) => Ok(ExtraAddressing::Dhcp {
            default_route: default_route.value,
        }),
        (false, gateway) => {
            if let Some(found) = &gateway
                && !addresses
                    .iter()
                    .any(|own| own.contains(&found.value.0) && own.addr() != found.value.0)
            {
                let ip = found.value.0;
                let message = format!("`{}`: {ip} cannot be reached", table.path("gateway"));
                let found = mistake(found.span.clone(), message)
                    .label("in the network of none of the addresses")
                    .help("a router has an address of its own in a network of the interface");
                return Err(table.checker().report(found));
            }
            Ok(ExtraAddressing::Static {
                addresses,
                gateway: gateway.map(|found| found.value.0),
            })
        }
    }
}

/// Two ways into one network would send answers out of the other interface.
fn check_addresses(
    table: &Table<'_>,
    found: Vec<Found<InterfaceAddress>>,
    subnet: Option<&IpNet>,
) -> Result<Vec<IpNet>, Reported> {
    let checked: Vec<Result<IpNet, Reported>> = found
        .into_iter()
        .map(|found| {
            let net = found.value.0;
            match subnet {
                Some(subnet) if subnet.contains(&net.trunc()) || net.contains(subnet) => {
                    let message = format!(
                        "`{}`: {net} overlaps with the cluster's subnet {subnet}",
                        table.path("addresses")
                    );
                    Err(table.checker().report(
                        mistake(found.span, message)
                            .label("on another interface than the cluster's")
                            .help("a further interface needs a network of its own"),
                    ))
                }
                _ => Ok(net),
            }
        })
        .collect();
    checked.into_iter().collect()
}

/// Every link once, and every name short enough.
pub(super) fn check_interfaces(table: &Table<'_>, network: &Network) -> Result<(), Reported> {
    let own = (&network.interface, network.vlan, network.mac);
    let extras = network
        .extra
        .iter()
        .map(|extra| (&extra.interface, extra.vlan, extra.mac));
    let links: Vec<(&InterfaceName, Option<VlanId>, Option<MacAddress>)> =
        std::iter::once(own).chain(extras).collect();
    for (at, (interface, vlan, mac)) in links.iter().enumerate() {
        let place = || {
            let written = if at == 0 { "vlan" } else { "extra" };
            table.written_at(written).unwrap_or_else(|| table.span())
        };
        let name = link_name(interface, *vlan);
        if name.len() > LONGEST_NAME {
            let message = format!("the VLAN's interface {name} has a name too long for Linux");
            return Err(table.checker().report(
                mistake(place(), message)
                    .label(format!("expected at most {LONGEST_NAME} bytes"))
                    .help("with `mac` the interface is only a label: choose a shorter one"),
            ));
        }
        let earlier = links.get(..at).unwrap_or_default();
        if earlier
            .iter()
            .any(|other| (other.0, other.1) == (interface, *vlan))
        {
            return Err(table.checker().report(
                mistake(place(), format!("the interface {name} is there twice"))
                    .label("each interface and VLAN once")
                    .help("the cluster's own is `network.interface`; give one of them a VLAN"),
            ));
        }
        let other_card = earlier
            .iter()
            .find(|other| other.0 == *interface && other.2 != *mac);
        if other_card.is_some() {
            let message = format!("{interface} is two network cards: their `mac` differ");
            return Err(table.checker().report(
                mistake(place(), message)
                    .label("VLANs of one interface share its card")
                    .help("write the same `mac` in both places, or two names"),
            ));
        }
    }
    Ok(())
}

/// What the link is called on the node.
fn link_name(interface: &InterfaceName, vlan: Option<VlanId>) -> String {
    match vlan {
        None => interface.to_string(),
        Some(vlan) => format!("{interface}.{vlan}"),
    }
}
