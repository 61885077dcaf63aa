//! Who may log in: over ssh with keys, on the console with or without a password.

use crate::ComposeError;
use crate::below::Below;
use crate::layer::{Layer, Owner};
use imgbuild_base::{Arch, TreePath};
use imgbuild_pki::{ClusterSecret, HostKey, KeyLabel};
use imgbuild_recipe::resolved::{Board, Console, Image, Node, Ssh};
use imgbuild_recipe::values::PasswordHash;

const SSHD: &str = include_str!("../../../overlays/node/sshd.conf");
const SHADOW: &str = "etc/shadow";

/// Adds the files to a node's layer.
pub(crate) fn add(
    layer: &mut Layer,
    image: &Image,
    node: &Node,
    secret: &ClusterSecret,
    below: &Below,
) -> Result<(), ComposeError> {
    if let Some(ssh) = &node.access.ssh {
        add_ssh(layer, node, secret, ssh)?;
    }
    match &node.access.console {
        Console::Log => Ok(()),
        Console::Shell => consoles(image).try_for_each(|port| {
            let unit = "/etc/systemd/system/imgbuild-shell@.service";
            on(layer, port, "imgbuild-shell", unit)
        }),
        Console::Login { root_password } => {
            add_password(layer, root_password, below)?;
            consoles(image).try_for_each(|port| {
                // A screen gets its characters from the kernel's own terminal.
                let getty = if port == SCREEN {
                    "getty"
                } else {
                    "serial-getty"
                };
                let unit = format!("/usr/lib/systemd/system/{getty}@.service");
                on(layer, port, getty, &unit)
            })
        }
    }
}

/// The screen's first terminal.
const SCREEN: &str = "tty1";

/// Every port of a machine that is a console: serial ones and the screen.
fn consoles(image: &Image) -> impl Iterator<Item = &'static str> {
    serial_ports(image).iter().copied().chain([SCREEN])
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

/// Starts an instance of a template when its port appears: a board that lacks the port waits
/// for nothing.
fn on(layer: &mut Layer, port: &str, template: &str, unit: &str) -> Result<(), ComposeError> {
    let dir = format!("etc/systemd/system/dev-{port}.device.wants");
    layer.link(&format!("{dir}/{template}@{port}.service"), unit)
}

/// The base's shadow(5) with root's password in it.
fn add_password(layer: &mut Layer, hash: &PasswordHash, below: &Below) -> Result<(), ComposeError> {
    let no_root = || ComposeError::User("root".to_owned(), String::new());
    let text = below.text(SHADOW).ok_or_else(no_root)?;
    let meta = below.meta(&TreePath::new(SHADOW)?).ok_or_else(no_root)?;
    let mut found = false;
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            match line
                .strip_prefix("root:")
                .and_then(|rest| rest.split_once(':'))
            {
                Some((_, rest)) => {
                    found = true;
                    format!("root:{}:{rest}\n", hash.expose())
                }
                None => format!("{line}\n"),
            }
        })
        .collect();
    if !found {
        return Err(no_root());
    }
    let owner = Owner {
        uid: meta.uid,
        gid: meta.gid,
    };
    layer.file(SHADOW, meta.mode, owner, lines.concat())
}

/// The ssh host key of a node.
///
/// # Errors
/// [`ComposeError::HostKey`] when it cannot be encoded.
pub fn host_key(secret: &ClusterSecret, node: &Node) -> Result<HostKey, ComposeError> {
    let label = KeyLabel::new(["ssh-host", node.name.as_str()]);
    HostKey::derive(secret, &label, &format!("root@{}", node.hostname))
        .map_err(|error| ComposeError::HostKey(node.name.to_string(), error))
}

fn add_ssh(
    layer: &mut Layer,
    node: &Node,
    secret: &ClusterSecret,
    ssh: &Ssh,
) -> Result<(), ComposeError> {
    let key = host_key(secret, node)?;
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
