//! The node's place in the network: systemd-networkd's file for its interface, name servers,
//! time servers. Templates in `overlays/node`.

use crate::ComposeError;
use crate::layer::Layer;
use crate::template::{Template, overlay};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Addressing, Node};
use ipnet::IpNet;
use minijinja::context;

const INTERFACE: Template = overlay!("node/interface.network");
const TIMESYNCD: Template = overlay!("node/timesyncd.conf");

/// Adds the network's files to a node's layer.
pub(crate) fn add(layer: &mut Layer, recipe: &Recipe, node: &Node) -> Result<(), ComposeError> {
    let network = &node.network;
    let path = format!("etc/systemd/network/10-{}.network", network.interface);
    layer.text(&path, interface(recipe, node)?)?;
    if !network.dns.is_empty() {
        // Nothing on the node writes this file: there is no systemd-resolved.
        let lines: Vec<String> = network
            .dns
            .iter()
            .map(|server| format!("nameserver {server}\n"))
            .collect();
        layer.text("etc/resolv.conf", lines.concat())?;
    }
    if !network.ntp.is_empty() {
        let servers: Vec<String> = network.ntp.iter().map(ToString::to_string).collect();
        let text = TIMESYNCD.render(context! { servers => servers.join(" ") })?;
        layer.text("etc/systemd/timesyncd.conf.d/imgbuild.conf", text)?;
    }
    Ok(())
}

/// systemd-networkd's file (systemd.network(5)) for the node's interface. The system counts
/// as online when the interface has the address by which etcd is to be reached.
///
/// # Errors
/// [`ComposeError::Template`] when the template is broken.
pub fn interface(recipe: &Recipe, node: &Node) -> Result<String, ComposeError> {
    let (dhcp, gateway) = match node.network.addressing {
        Addressing::Static { gateway } => (false, gateway),
        Addressing::Dhcp => (true, None),
    };
    let prefix = match recipe.subnet {
        IpNet::V4(net) => net.prefix_len(),
        IpNet::V6(net) => net.prefix_len(),
    };
    let dns: Vec<String> = node.network.dns.iter().map(ToString::to_string).collect();
    INTERFACE.render(context! {
        interface => node.network.interface.as_str(),
        family => if node.address.is_ipv4() { "ipv4" } else { "ipv6" },
        dhcp,
        address => format!("{}/{prefix}", node.address),
        gateway => gateway.map(|gateway| gateway.to_string()),
        dns,
    })
}
