//! SD cards on QEMU's models of Raspberry Pis: firmware's files, kernel, device tree and command
//! line are those of the card.

use crate::support::cluster::Cluster;
use crate::support::{scratch, turn, variant};
use std::time::{Duration, Instant};

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
    let _turn = turn::machine();
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
