//! The node's place in the network: systemd-networkd's files for its interfaces, name servers,
//! time servers, Wi-Fi, firewall. Templates in `overlays/node`.

mod firewall;
mod links;
mod wifi;

pub use firewall::ruleset;
pub use wifi::{Passphrase, PassphraseError};

use crate::ComposeError;
use crate::layer::{Layer, Owner};
use crate::template::{Template, overlay};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Addressing, Network, Node, PassphraseSource};
use minijinja::context;
use std::collections::BTreeMap;

const TIMESYNCD: Template = overlay!("node/timesyncd.conf");
const RESOLV: &str = include_str!("../../../overlays/node/resolv");
const RESOLV_SERVICE: &str = include_str!("../../../overlays/node/resolv.service");
const RESOLV_PATH: &str = include_str!("../../../overlays/node/resolv.path");

/// The passphrases of a recipe's wireless networks, by where they are kept.
pub type Passphrases = BTreeMap<PassphraseSource, Passphrase>;

/// Adds the network's files to a node's layer.
pub(crate) fn add(
    layer: &mut Layer,
    recipe: &Recipe,
    node: &Node,
    passphrases: &Passphrases,
) -> Result<(), ComposeError> {
    let network = &node.network;
    for (name, text) in links::files(recipe, node)? {
        layer.text(&format!("etc/systemd/network/{name}"), text)?;
    }
    add_resolver(layer, network)?;
    if !network.ntp.is_empty() {
        let servers: Vec<String> = network.ntp.iter().map(ToString::to_string).collect();
        let text = TIMESYNCD.render(context! { servers => servers.join(" ") })?;
        layer.text("etc/systemd/timesyncd.conf.d/imgbuild.conf", text)?;
    }
    if let Some(own) = &network.wifi {
        wifi::add(layer, node, own, passphrases)?;
    }
    if let Some(own) = &node.firewall {
        layer.text("etc/nftables.conf", ruleset(recipe, node, own)?)?;
        // nftables.service is ordered before the network; with it or not at all.
        layer.link(
            "etc/systemd/system/sysinit.target.wants/nftables.service",
            "/usr/lib/systemd/system/nftables.service",
        )?;
    }
    Ok(())
}

/// `/etc/resolv.conf`: from the recipe where it names servers, else from the DHCP server.
fn add_resolver(layer: &mut Layer, network: &Network) -> Result<(), ComposeError> {
    if network.addressing == Addressing::Dhcp && network.dns.is_empty() {
        layer.file("usr/lib/imgbuild/resolv", 0o755, Owner::ROOT, RESOLV)?;
        let units = "etc/systemd/system";
        layer.text(
            &format!("{units}/imgbuild-resolv.service"),
            RESOLV_SERVICE.to_owned(),
        )?;
        layer.text(
            &format!("{units}/imgbuild-resolv.path"),
            RESOLV_PATH.to_owned(),
        )?;
        layer.enable("imgbuild-resolv.service", "/etc/systemd/system")?;
        layer.enable("imgbuild-resolv.path", "/etc/systemd/system")?;
        return layer.link("etc/resolv.conf", "/run/imgbuild/resolv.conf");
    }
    let servers = network
        .dns
        .iter()
        .map(|server| format!("nameserver {server}\n"));
    let mut text: String = servers.collect();
    if let Some(domains) = links::domains(network) {
        text.push_str(&format!("search {domains}\n"));
    }
    if text.is_empty() {
        return Ok(());
    }
    layer.text("etc/resolv.conf", text)
}
