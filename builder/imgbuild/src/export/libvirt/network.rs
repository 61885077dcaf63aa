//! The cluster's network (libvirt's `formatnetwork`).

use super::Cluster;
use imgbuild_recipe::resolved::Addressing;
use std::net::IpAddr;

/// The network of the recipe's subnet. Where nodes have a gateway the host is it, and
/// translates addresses on the way out; without one the network is isolated, and the host has
/// an address that is free, so that it reaches the nodes. Nodes that ask a DHCP server get the
/// very addresses of the recipe.
pub(super) fn xml(cluster: &Cluster<'_>) -> String {
    let gateway = gateway(cluster);
    let forward = match gateway {
        Some(_) => "  <forward mode=\"nat\"/>\n",
        None => "",
    };
    let host = gateway.or_else(|| free_address(cluster));
    let ip = host.map_or_else(String::new, |host| ip(cluster, host));
    format!(
        "<network>\n  <name>{}</name>\n{forward}{ip}</network>\n",
        cluster.name
    )
}

/// The gateway that the nodes know, if it is in their subnet.
fn gateway(cluster: &Cluster<'_>) -> Option<IpAddr> {
    let nodes = cluster.recipe.nodes.iter();
    let gateways = nodes.filter_map(|node| match node.network.addressing {
        Addressing::Static { gateway } => gateway,
        Addressing::Dhcp => None,
    });
    let mut inside = gateways.filter(|gateway| cluster.recipe.subnet.contains(gateway));
    inside.next()
}

/// The first address of the subnet that no node has.
fn free_address(cluster: &Cluster<'_>) -> Option<IpAddr> {
    let taken = |address: &IpAddr| {
        let mut nodes = cluster.recipe.nodes.iter();
        nodes.any(|node| node.address == *address)
    };
    cluster
        .recipe
        .subnet
        .hosts()
        // An IPv6 subnet's first address means all of its routers.
        .filter(|address| *address != cluster.recipe.subnet.network())
        .find(|address| !taken(address))
}

fn ip(cluster: &Cluster<'_>, host: IpAddr) -> String {
    let family = match host {
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(_) => "ipv6",
    };
    let prefix = cluster.recipe.subnet.prefix_len();
    let head = format!("  <ip family=\"{family}\" address=\"{host}\" prefix=\"{prefix}\"");
    let leases: String = cluster
        .guests
        .iter()
        .filter(|guest| guest.node.network.addressing == Addressing::Dhcp && host.is_ipv4())
        .map(|guest| {
            format!(
                "      <host mac=\"{}\" name=\"{}\" ip=\"{}\"/>\n",
                guest.mac, guest.node.hostname, guest.node.address
            )
        })
        .collect();
    match leases.is_empty() {
        true => format!("{head}/>\n"),
        false => format!("{head}>\n    <dhcp>\n{leases}    </dhcp>\n  </ip>\n"),
    }
}
