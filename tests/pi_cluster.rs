//! `pi-2node` (armhf) and `pi-3node` (arm64): what is flashed to SD cards, on emulated boards.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};
use support::cluster::Cluster;
use support::{must, one_at_a_time, scratch, variant};

/// The version every recipe pins, read from the recipe.
fn etcd_version(recipe: &str) -> String {
    let path = support::repository()
        .join("recipes")
        .join(format!("{recipe}.toml"));
    let text = fs_err::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with("version"));
    line.and_then(|line| line.split('"').nth(1))
        .unwrap()
        .to_owned()
}

/// Two 32-bit Pis, as a Pi starts: the clock at 1970, no time server, and the second one
/// switched on after a time in which services with default timeouts would have given up.
#[test]
fn two_pis_form_a_cluster_from_1970_though_one_comes_late() {
    let _turn = one_at_a_time();
    let out = scratch();
    let options = ["--clock", "1970-01-01T00:00:00", "--hold", "controller-1"];
    let mut cluster = Cluster::start("pi-2node", out.path(), &options);
    cluster.wait("controller-0 waits for its peer", 600, |nodes| {
        nodes
            .get("controller-0")
            .is_some_and(|node| node.report.contains("etcd=activating"))
    });
    // Longer than systemd's default of 90 s for a service to start.
    std::thread::sleep(Duration::from_secs(100));
    assert!(!cluster.node("controller-0").is_healthy());
    cluster.command("start controller-1");
    cluster.wait_healthy(&["controller-0", "controller-1"], 600);
    cluster.wait_clean(&["controller-0", "controller-1"], 300);
    cluster.put("controller-0", "key", "value");
    assert_eq!(cluster.get("controller-1", "key").as_deref(), Some("value"));
    let version = must(&mut cluster.curl("controller-0", "/version"));
    let expected = format!("\"etcdserver\":\"{}\"", etcd_version("pi-2node"));
    assert!(version.contains(&expected), "{version}");
    cluster.quit();
}

#[test]
fn three_64_bit_pis_form_a_cluster() {
    let _turn = one_at_a_time();
    let out = scratch();
    let nodes = ["pi-0", "pi-1", "pi-2"];
    let mut cluster = Cluster::start("pi-3node", out.path(), &[]);
    cluster.wait_healthy(&nodes, 900);
    cluster.wait_clean(&nodes, 300);
    cluster.put("pi-0", "key", "value");
    assert_eq!(cluster.get("pi-2", "key").as_deref(), Some("value"));
    let version = must(&mut cluster.curl("pi-2", "/version"));
    let expected = format!("\"etcdserver\":\"{}\"", etcd_version("pi-3node"));
    assert!(version.contains(&expected), "{version}");
    cluster.quit();
}

/// QEMU's model of the Pi 2: SD card, the board's own kernel drivers, network by USB.
#[test]
fn an_sd_card_boots_a_pi_2() {
    boots_on_its_board("pi-2node", "controller-0", "controller-1");
}

/// QEMU's model of the Pi 3 in 64 bits.
#[test]
fn an_sd_card_boots_a_pi_3() {
    boots_on_its_board("pi-3node", "pi-0", "pi-1");
}

/// The recipe cut down to its first node, so that the board alone is a whole cluster.
fn boots_on_its_board(recipe: &str, node: &str, second: &str) {
    let _turn = one_at_a_time();
    let dir = scratch();
    let alone = variant(dir.path(), recipe, recipe, |text| {
        let name = format!("name = \"{second}\"");
        let at = text.find(&name).unwrap();
        let start = text[..at].rfind("[[node]]").unwrap();
        text[..start].to_owned()
    });
    let out = dir.path().join("out");
    let options = ["--machine", "board", "--clock", "1970-01-01T00:00:00"];
    let mut cluster = Cluster::start(alone.to_str().unwrap(), &out, &options);
    await_healthy_board(&mut cluster, node);
    // The journal has errors of drivers whose firmware QEMU does not emulate: not looked at.
    cluster.wait(&format!("{node} running"), 300, |nodes| {
        nodes[node].report.contains("state=running failed=0")
    });
    cluster.put(node, "key", "value");
    assert_eq!(cluster.get(node, "key").as_deref(), Some("value"));
    cluster.quit();
}

/// Waits until a node on its emulated board is healthy. Linux' driver of the board's SD controller
/// has a race that QEMU's DMA controller meets now and then (`bcm2835_finish_data`, of a request
/// that has ended already): nothing of an image can help it, so the node is switched off and on,
/// as a person would do.
#[track_caller]
fn await_healthy_board(cluster: &mut Cluster, node: &str) {
    for _ in 0..3 {
        let before = cluster.console(node).len();
        let deadline = Instant::now() + Duration::from_secs(1200);
        loop {
            let console = cluster.console(node);
            let since = console.get(before..).unwrap_or_default();
            if cluster.node(node).is_healthy() {
                return;
            }
            if since.contains("bcm2835_finish_data") {
                break;
            }
            assert!(Instant::now() < deadline, "{node} is not healthy:\n{since}");
            cluster.assert_running();
            std::thread::sleep(Duration::from_millis(300));
        }
        cluster.command(&format!("kill {node}"));
        cluster.wait("the node off", 60, |nodes| nodes[node].state == "off");
        cluster.command(&format!("start {node}"));
    }
    panic!("the SD card's driver failed three times");
}

/// The binaries are for the architecture their image is for.
#[test]
fn binaries_are_of_the_images_architecture() {
    for (recipe, words) in [
        ("pi-2node", ["ELF 32-bit", "ARM, EABI5"]),
        ("pi-3node", ["ELF 64-bit", "ARM aarch64"]),
        ("vm-3node", ["ELF 64-bit", "x86-64"]),
        ("vm-1node-arm64", ["ELF 64-bit", "ARM aarch64"]),
    ] {
        let dir = scratch();
        let out = support::build(recipe, &dir.path().join("out"));
        let layer = support::extract_layer(&out, "10-etcd", dir.path());
        let unpacked = dir.path().join("etcd");
        must(
            Command::new("unsquashfs")
                .args(["-quiet", "-no-progress", "-dest"])
                .arg(&unpacked)
                .arg(&layer),
        );
        for binary in ["etcd", "etcdctl", "etcdutl"] {
            let path = unpacked.join("usr/local/bin").join(binary);
            let kind = must(Command::new("file").arg("--brief").arg(path));
            assert!(
                words.iter().all(|word| kind.contains(word)),
                "{recipe}: {kind}"
            );
            assert!(kind.contains("statically linked"), "{recipe}: {kind}");
        }
    }
}
