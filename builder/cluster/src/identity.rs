//! Who the node is: host name, machine-id, the names of its peers, ssh host keys and who may
//! log in, over ssh and on the console. Templates in `overlays/node`.

use crate::ComposeError;
use crate::layer::{Layer, Owner};
use crate::template::{Template, overlay};
use imgbuild_base::{Arch, NodeName};
use imgbuild_pki::{ClusterSecret, HostKey, KeyLabel};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Board, Console, Image, Node, Ssh};
use imgbuild_recipe::values::DomainName;
use minijinja::context;

const HOSTS: Template = overlay!("node/hosts");
const SSHD: &str = include_str!("../../../overlays/node/sshd.conf");

/// Adds the identity's files to a node's layer.
pub(crate) fn add(
    layer: &mut Layer,
    recipe: &Recipe,
    node: &Node,
    secret: &ClusterSecret,
) -> Result<(), ComposeError> {
    layer.text("etc/hostname", format!("{}\n", node.name))?;
    layer.text("etc/hosts", hosts(recipe, node)?)?;
    layer.file(
        "etc/machine-id",
        0o444,
        Owner::ROOT,
        machine_id(secret, &node.name) + "\n",
    )?;
    if let Some(ssh) = &recipe.access.ssh {
        add_ssh(layer, node, secret, ssh)?;
    }
    if recipe.access.console == Console::Shell {
        for port in serial_ports(&recipe.image) {
            // Started when the port appears: a board that lacks it waits for nothing.
            let dir = format!("etc/systemd/system/dev-{port}.device.wants");
            let link = format!("{dir}/imgbuild-shell@{port}.service");
            layer.link(&link, "/etc/systemd/system/imgbuild-shell@.service")?;
        }
    }
    Ok(())
}

/// The serial ports a console may be on: one of a VM's, on a Pi whichever of its two UARTs the
/// pins lead to (the mini UART, ttyS1, where the other serves Bluetooth). A port that a board
/// lacks does no harm.
#[must_use]
pub fn serial_ports(image: &Image) -> &'static [&'static str] {
    match (image.board, image.arch) {
        (Board::Vm, Arch::Amd64) => &["ttyS0"],
        (Board::Vm, Arch::Arm64 | Arch::Armhf) => &["ttyAMA0"],
        (Board::RaspberryPi, _) => &["ttyAMA0", "ttyS1"],
    }
}

/// `/etc/hosts` with every node of the cluster, by its full name first where it has one.
fn hosts(recipe: &Recipe, own: &Node) -> Result<String, ComposeError> {
    let nodes: Vec<_> = recipe
        .nodes
        .iter()
        .map(|node| {
            let names = match &node.network.domain {
                Some(domain) => format!("{0}.{domain} {0}", node.name),
                None => node.name.to_string(),
            };
            context! { names, address => node.address.to_string() }
        })
        .collect();
    let entries: Vec<_> = own
        .network
        .hosts
        .iter()
        .map(|entry| {
            let names: Vec<&str> = entry.names().iter().map(DomainName::as_str).collect();
            context! { names => names.join(" "), address => entry.address().to_string() }
        })
        .collect();
    HOSTS.render(context! { nodes, entries })
}

/// The node's machine-id (machine-id(5)): 32 hexadecimal digits that form a version 4 UUID
/// (RFC 9562 5.4), derived from the cluster's secret.
#[must_use]
pub fn machine_id(secret: &ClusterSecret, node: &NodeName) -> String {
    let mut bytes: [u8; 16] = secret.derive_bytes(&KeyLabel::new(["machine-id", node.as_str()]));
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The ssh host key of a node.
///
/// # Errors
/// [`ComposeError::HostKey`] when it cannot be encoded.
pub fn host_key(secret: &ClusterSecret, node: &NodeName) -> Result<HostKey, ComposeError> {
    let label = KeyLabel::new(["ssh-host", node.as_str()]);
    HostKey::derive(secret, &label, &format!("root@{node}"))
        .map_err(|error| ComposeError::HostKey(node.to_string(), error))
}

fn add_ssh(
    layer: &mut Layer,
    node: &Node,
    secret: &ClusterSecret,
    ssh: &Ssh,
) -> Result<(), ComposeError> {
    let key = host_key(secret, &node.name)?;
    layer.key("etc/ssh/ssh_host_ed25519_key", Owner::ROOT, key.private())?;
    layer.text(
        "etc/ssh/ssh_host_ed25519_key.pub",
        format!("{}\n", key.public()),
    )?;
    layer.text("etc/ssh/sshd_config", SSHD.to_owned())?;
    layer.directory("root", 0o700, Owner::ROOT)?;
    layer.directory("root/.ssh", 0o700, Owner::ROOT)?;
    let keys: Vec<String> = ssh
        .keys
        .iter()
        .map(|key| format!("{}\n", key.line()))
        .collect();
    layer.file(
        "root/.ssh/authorized_keys",
        0o600,
        Owner::ROOT,
        keys.concat(),
    )?;
    layer.enable("ssh.service", "/usr/lib/systemd/system")
}
