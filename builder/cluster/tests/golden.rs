//! What a node's layer holds, so that every change of it shows in review.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use imgbuild_base::Arch;
use imgbuild_recipe::resolved::{Addressing, Board, ConfigStyle, Console};
use std::fmt::Write as _;

#[test]
fn vm_3node_layer() {
    let layers = layers(&vm_3node());
    insta::assert_snapshot!("vm-3node.n1.list", listing(&layers[0].1));
    let tree = &layers[1].1;
    for (name, path) in [
        ("etcd.service", "etc/systemd/system/etcd.service"),
        ("etcd.conf.yml", "etc/etcd/etcd.conf.yml"),
        ("etcdctl", "usr/local/sbin/etcdctl"),
        ("network", "etc/systemd/network/10-eth0.network"),
        ("hosts", "etc/hosts"),
        ("timesyncd", "etc/systemd/timesyncd.conf.d/imgbuild.conf"),
    ] {
        insta::assert_snapshot!(format!("vm-3node.n2.{name}"), text(tree, path));
    }
}

#[test]
fn pi_2node_layer() {
    let layers = layers(&pi_2node());
    insta::assert_snapshot!("pi-2node.controller-0.list", listing(&layers[0].1));
    let unit = text(&layers[0].1, "etc/systemd/system/etcd.service");
    insta::assert_snapshot!("pi-2node.controller-0.etcd.service", unit);
}

/// What starts with the system, of a recipe whose console offers `console`.
fn started(board: Board, arch: Arch, console: Console) -> String {
    let mut recipe = vm_3node();
    (recipe.image.board, recipe.image.arch) = (board, arch);
    recipe.nodes[0].access.console = console;
    let listing = listing(&layers(&recipe)[0].1);
    let lines = listing
        .lines()
        .filter(|line| line.contains(".device.wants/"));
    lines.fold(String::new(), |all, line| all + line + "\n")
}

#[test]
fn console_shell() {
    let mut all = String::new();
    for (board, arch) in [
        (Board::Vm, Arch::Amd64),
        (Board::Vm, Arch::Arm64),
        (Board::RaspberryPi, Arch::Arm64),
        (Board::RaspberryPi, Arch::Armhf),
    ] {
        let shells = started(board, arch, Console::Shell);
        writeln!(all, "{} {arch}\n{shells}", board.as_str()).unwrap();
        assert_eq!(started(board, arch, Console::Log), "");
    }
    insta::assert_snapshot!("console.shell", all);
}

#[test]
fn environment_and_dhcp() {
    let mut recipe = vm_3node();
    for node in &mut recipe.nodes {
        node.etcd.config = ConfigStyle::Environment;
        node.etcd.config_path = Some("etc/etcd/etcd.conf".parse().unwrap());
        node.network.addressing = Addressing::Dhcp;
    }
    let layers = layers(&recipe);
    let tree = &layers[0].1;
    insta::assert_snapshot!("environment.conf", text(tree, "etc/etcd/etcd.conf"));
    let network = text(tree, "etc/systemd/network/10-eth0.network");
    insta::assert_snapshot!("dhcp.network", network);
    let unit = text(tree, "etc/systemd/system/etcd.service");
    assert!(unit.contains("\nEnvironmentFile=-/etc/etcd/etcd.conf\n"));
    assert!(unit.contains("\nExecStart=/usr/local/bin/etcd\n"));
}

const EVERYTHING: &str = r#"
wal_dir = "/var/log/etcd-wal"
client_listeners = ["0.0.0.0:2379", "10.9.0.1:12379"]
peer_listeners = ["10.9.0.1:2380"]
metrics_listeners = ["10.9.0.1:2381"]
advertise_client = ["https://{name}.example.org:2379", "https://{address}:2379"]
advertise_peer = ["https://{name}.example.org:2380", "https://{address}:2380"]
[etcd.options]
strict-reconfig-check = false
pre-vote = true
max-request-bytes = 4194304
grpc-keepalive-timeout = "20s"
log-rotation-config-json = '{"maxsize": 100, "note": "100% of $x"}'
cipher-suites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]
host-whitelist = ["a", "b"]
feature-gates = ["InitialCorruptCheck=true"]
peer-cert-allowed-cn = ["n1", "n2"]
socket-reuse-address = true
experimental-snapshot-catchup-entries = 100
[etcd.environment]
GOMEMLIMIT = "200MiB"
NOTE = "100% of \"it\""
"#;

#[test]
fn every_option_in_every_style() {
    for (style, path) in [
        ("file", Some("etc/my.yml")),
        ("environment", Some("etc/default/etcd")),
        ("flags", None),
    ] {
        let mut lines = format!("config = \"{style}\"\n");
        if let Some(path) = path {
            lines.push_str(&format!("config_path = \"/{path}\"\n"));
        }
        let recipe = vm_3node_with(&(lines + EVERYTHING), "");
        let layers = layers(&recipe);
        let tree = &layers[0].1;
        let mut all = text(tree, "etc/systemd/system/etcd.service");
        all.push_str(&text(tree, "etc/tmpfiles.d/etcd.conf"));
        if let Some(path) = path {
            all.push_str(&text(tree, path));
        }
        insta::assert_snapshot!(format!("everything.{style}"), all);
    }
}

/// What goes onto a machine with an operating system of its own: nothing of its name, its
/// network or its users, and all of it root's.
#[test]
fn overlays() {
    for (recipe, name) in [
        (vm_3node(), "vm-3node.n1"),
        (pi_2node(), "pi-2node.controller-0"),
    ] {
        let tree = with(&recipe, |composer| {
            composer.overlay(&recipe.nodes[0]).unwrap()
        });
        insta::assert_snapshot!(format!("{name}.overlay.list"), listing(&tree));
        let owners = text(&tree, "usr/local/lib/imgbuild/etcd-owners.conf");
        insta::assert_snapshot!(format!("{name}.overlay.owners"), owners);
    }
    let elsewhere = vm_3node_with(
        "data_dir = \"/var/opt/etcd/data\"\nwal_dir = \"/var/log/wal\"\n",
        "",
    );
    let tree = with(&elsewhere, |composer| {
        composer.overlay(&elsewhere.nodes[0]).unwrap()
    });
    for (path, line) in [
        (
            "etc/sysusers.d/etcd.conf",
            "u etcd - \"etcd\" /var/opt/etcd/data",
        ),
        (
            "usr/local/lib/imgbuild/etcd-owners.conf",
            "d /var/opt/etcd/data 0700 etcd etcd",
        ),
        (
            "usr/local/lib/imgbuild/etcd-owners.conf",
            "d /var/log/wal 0700 etcd etcd",
        ),
        (
            "etc/systemd/system/etcd-prepare.service",
            "RequiresMountsFor=/var/opt/etcd/data /var/log/wal",
        ),
    ] {
        let text = text(&tree, path);
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}

#[test]
fn admin_bundle() {
    let recipe = vm_3node();
    let bundle = with(&recipe, |composer| composer.admin().unwrap());
    insta::assert_snapshot!("admin.list", listing(&bundle));
    insta::assert_snapshot!("admin.env", text(&bundle, "env"));
    insta::assert_snapshot!("admin.readme", text(&bundle, "README.md"));
}

#[test]
fn ipv6_cluster() {
    let mut recipe = vm_3node();
    recipe.subnet = "fd00::/64".parse().unwrap();
    for (number, node) in (1..).zip(&mut recipe.nodes) {
        node.address = format!("fd00::{number}").parse().unwrap();
        node.network.addressing = Addressing::Static {
            gateway: Some("fd00::ffff".parse().unwrap()),
        };
    }
    let layers = layers(&recipe);
    let network = text(&layers[0].1, "etc/systemd/network/10-eth0.network");
    for line in [
        "RequiredFamilyForOnline=ipv6",
        "Address=fd00::1/64",
        "Gateway=fd00::ffff",
    ] {
        assert!(network.lines().any(|found| found == line), "{network}");
    }
    let config = text(&layers[0].1, "etc/etcd/etcd.conf.yml");
    assert!(config.contains("n2=https://[fd00::2]:2380"), "{config}");
    let wrapper = text(&layers[0].1, "usr/local/sbin/etcdctl");
    assert!(wrapper.contains("https://[fd00::1]:2379"), "{wrapper}");
}
