//! systemd-networkd's files (systemd.network(5), systemd.netdev(5)): one for each interface and
//! two for each VLAN. The system counts as online when the link with the node's address has it;
//! it waits for no other.

use crate::ComposeError;
use crate::template::{Template, overlay};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Addressing, ExtraAddressing, Network, Node};
use imgbuild_recipe::values::{InterfaceName, MacAddress, VlanId};
use ipnet::IpNet;
use minijinja::{Value, context};
use std::net::IpAddr;

const INTERFACE: Template = overlay!("node/interface.network");
const VLAN: Template = overlay!("node/vlan.netdev");

/// The metric of routes behind the cluster's: more than systemd-networkd's default of 1024 for
/// what DHCP and router advertisements say.
const BEHIND: u16 = 2048;

/// An interface, or a VLAN of one, with addresses.
struct Link<'a> {
    interface: &'a InterfaceName,
    mac: Option<MacAddress>,
    vlan: Option<VlanId>,
    kind: LinkKind,
}

enum LinkKind {
    /// The one with the node's address.
    Cluster(Addressing),
    /// Another.
    Extra(ExtraAddressing),
}

impl Link<'_> {
    /// What the kernel calls it.
    fn name(&self) -> String {
        match self.vlan {
            None => self.interface.to_string(),
            Some(vlan) => format!("{}.{vlan}", self.interface),
        }
    }
}

fn links(network: &Network) -> Vec<Link<'_>> {
    let own = Link {
        interface: &network.interface,
        mac: network.mac,
        vlan: network.vlan,
        kind: LinkKind::Cluster(network.addressing),
    };
    let extras = network.extra.iter().map(|extra| Link {
        interface: &extra.interface,
        mac: extra.mac,
        vlan: extra.vlan,
        kind: LinkKind::Extra(extra.addressing.clone()),
    });
    std::iter::once(own).chain(extras).collect()
}

/// The files' names and texts.
pub(super) fn files(recipe: &Recipe, node: &Node) -> Result<Vec<(String, String)>, ComposeError> {
    let all = links(&node.network);
    let mut files = Vec::new();
    for link in &all {
        let name = link.name();
        let vlans = match link.vlan {
            None => vlans_of(&all, link.interface),
            Some(vlan) => {
                let text = VLAN.render(context! { name => name, id => vlan.get() })?;
                files.push((format!("10-{name}.netdev"), text));
                Vec::new()
            }
        };
        files.push((
            format!("10-{name}.network"),
            text(recipe, node, link, &vlans)?,
        ));
    }
    // An interface that only carries VLANs.
    for (at, link) in all.iter().enumerate() {
        let interface = link.interface;
        let has_own = all
            .iter()
            .any(|other| other.vlan.is_none() && other.interface == interface);
        let earlier = all
            .iter()
            .take(at)
            .any(|other| other.interface == interface);
        if !has_own && !earlier {
            let values = context! {
                about => "It only carries VLANs.",
                interface => interface.as_str(),
                mac => link.mac.map(|mac| mac.to_string()),
                vlans => vlans_of(&all, interface),
                idle => true,
                ..nothing()
            };
            let text = INTERFACE.render(values)?;
            files.push((format!("10-{interface}.network"), text));
        }
    }
    Ok(files)
}

fn vlans_of(all: &[Link<'_>], interface: &InterfaceName) -> Vec<String> {
    all.iter()
        .filter(|link| link.vlan.is_some() && link.interface == interface)
        .map(Link::name)
        .collect()
}

/// Every name of the template with a value that says nothing.
fn nothing() -> Value {
    context! {
        mac => (), family => (), idle => false, dhcp => (), addresses => Vec::<String>::new(),
        gateway => (), metric => (), default_route => false, dns => Vec::<String>::new(),
        domains => (), wireless => false, vlans => Vec::<String>::new(),
    }
}

fn text(
    recipe: &Recipe,
    node: &Node,
    link: &Link<'_>,
    vlans: &[String],
) -> Result<String, ComposeError> {
    let network = &node.network;
    let name = link.name();
    let wireless = network
        .wifi
        .as_ref()
        .is_some_and(|wifi| wifi.interface == *link.interface);
    // A VLAN is found by the name that its file gives it.
    let mac = link.mac.filter(|_| link.vlan.is_none());
    let common = context! {
        interface => name,
        mac => mac.map(|mac| mac.to_string()),
        vlans,
        wireless,
    };
    let own = match &link.kind {
        LinkKind::Cluster(addressing) => cluster_values(recipe, node, *addressing),
        LinkKind::Extra(addressing) => extra_values(addressing),
    };
    INTERFACE.render(context! { ..own, ..common, ..nothing() })
}

fn cluster_values(recipe: &Recipe, node: &Node, addressing: Addressing) -> Value {
    let prefix = match recipe.subnet {
        IpNet::V4(net) => net.prefix_len(),
        IpNet::V6(net) => net.prefix_len(),
    };
    let family = match node.address {
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(_) => "ipv6",
    };
    let gateway = match addressing {
        Addressing::Static { gateway } => gateway.map(|gateway| gateway.to_string()),
        Addressing::Dhcp => None,
    };
    let dns: Vec<String> = node.network.dns.iter().map(ToString::to_string).collect();
    context! {
        about => "The address other members know this node by.",
        family,
        dhcp => (addressing == Addressing::Dhcp).then_some(family),
        addresses => [format!("{}/{prefix}", node.address)],
        gateway,
        dns,
        domains => domains(&node.network),
    }
}

fn extra_values(addressing: &ExtraAddressing) -> Value {
    let about = "A further interface; nothing waits for it.";
    match addressing {
        ExtraAddressing::Static { addresses, gateway } => context! {
            about,
            addresses => addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            gateway => gateway.map(|gateway| gateway.to_string()),
            metric => BEHIND,
        },
        ExtraAddressing::Dhcp { default_route } => context! {
            about,
            dhcp => "yes",
            default_route => if *default_route { "yes" } else { "no" },
            metric => BEHIND,
        },
    }
}

/// The domains in which short names are looked up: the recipe's, or else the node's own.
pub(super) fn domains(network: &Network) -> Option<String> {
    let own = network.domain.iter().filter(|_| network.search.is_empty());
    let all: Vec<String> = network
        .search
        .iter()
        .chain(own)
        .map(ToString::to_string)
        .collect();
    (!all.is_empty()).then(|| all.join(" "))
}
