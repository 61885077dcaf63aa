//! `pi-2node` (armhf) and `pi-3node` (arm64): what is flashed to SD cards, on machines that have
//! these processors.

use crate::support::cluster::Cluster;
use crate::support::{must, repository, scratch, turn};
use crate::walkthrough::Walkthrough;
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

/// The version every recipe pins, read from the recipe.
fn etcd_version(recipe: &str) -> String {
    let path = repository().join("recipes").join(format!("{recipe}.toml"));
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
    let _turn = turn::cluster();
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

#[test]
fn three_64_bit_pis_form_a_cluster() {
    let _turn = turn::cluster();
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
