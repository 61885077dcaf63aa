//! `pi-2node` (armhf): a node that waits long for the only peer it has. Most of that time it leaves
//! the processors to others.

use crate::support::cluster::Cluster;
use crate::support::{must, scratch, turn};
use crate::walkthrough::{Walkthrough, etcd_version};
use std::time::Duration;

const CONTROLLERS: Walkthrough = Walkthrough {
    recipe: "pi-2node",
    nodes: &[
        ("controller-0", "192.168.1.20"),
        ("controller-1", "192.168.1.40"),
    ],
    programs: "/usr/local/bin",
    endpoint: "https://192.168.1.20:2379",
    files: [
        "/etc/etcd/ca.pem",
        "/etc/etcd/kubernetes.pem",
        "/etc/etcd/kubernetes-key.pem",
    ],
};

/// Two 32-bit Pis, as a Pi starts: the clock at 1970, no time server, and the second one
/// switched on after a time in which services with default timeouts would have given up.
#[test]
fn two_pis_form_a_cluster_from_1970_though_one_comes_late() {
    let _turn = turn::machine();
    let (dir, out) = (scratch(), scratch());
    let recipe = CONTROLLERS.open(dir.path(), |text| text);
    let options = ["--clock", "1970-01-01T00:00:00", "--hold", "controller-1"];
    let mut cluster = Cluster::start_in(dir.path(), &recipe, out.path(), &options);
    cluster.wait("controller-0 waits for its peer", 600, |nodes| {
        nodes
            .get("controller-0")
            .is_some_and(|node| node.report.contains("etcd=activating"))
    });
    // Longer than systemd's default of 90 s for a service to start.
    std::thread::sleep(Duration::from_secs(100));
    assert!(!cluster.node("controller-0").is_healthy());
    cluster.command("start controller-1");
    let mut console = CONTROLLERS.verify(&mut cluster);
    // The walkthrough's tools ask on the node itself, without a certificate.
    let etcdctl = "/usr/local/bin/etcdctl --command-timeout=60s --endpoints=http://127.0.0.1:2379";
    assert_eq!(
        console.run(&format!("{etcdctl} get outside --print-value-only")),
        "two"
    );
    let line = console.run("tr '\\0' '\\n' </proc/$(systemctl show -P MainPID etcd)/environ");
    assert!(
        line.lines().any(|line| line == "ETCD_UNSUPPORTED_ARCH=arm"),
        "{line}"
    );
    assert_eq!(console.run("uname -m"), "armv7l");
    let version = must(&mut cluster.curl("controller-0", "/version"));
    let expected = format!("\"etcdserver\":\"{}\"", etcd_version("pi-2node"));
    assert!(version.contains(&expected), "{version}");
    cluster.quit();
}
