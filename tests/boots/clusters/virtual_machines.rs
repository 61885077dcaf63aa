//! `vm-3node`'s images boot under UEFI, form a cluster, and live through what happens to clusters.

use crate::support::cluster::Cluster;
use crate::support::{run, scratch, turn};
use std::process::Command;
use std::time::Duration;

const NODES: [&str; 3] = ["etcd-0", "etcd-1", "etcd-2"];

#[test]
fn three_vms_form_a_cluster_and_survive() {
    let _turn = turn::cluster();
    let out = scratch();
    let mut cluster = Cluster::start("vm-3node", out.path(), &["--memory", "256"]);
    cluster.wait_healthy(&NODES, 900);
    cluster.wait_clean(&NODES, 300);

    // A key put through one member is read through the others; each knows all three.
    cluster.put("etcd-0", "first", "one");
    assert_eq!(cluster.get("etcd-1", "first").as_deref(), Some("one"));
    assert_eq!(cluster.get("etcd-2", "first").as_deref(), Some("one"));
    for node in NODES {
        let members = cluster.members(node);
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, NODES);
    }

    // Without a client certificate, or with one nobody signed, a member does not talk.
    let endpoint = cluster.node("etcd-0").endpoint;
    let anonymous = run(Command::new("curl")
        .args(["--silent", "--show-error", "--insecure", "--max-time", "20"])
        .arg(format!("{endpoint}/health")));
    assert!(!anonymous.status.success(), "a member served a stranger");

    // One dies: writes go on. Started again from its disk, it catches up.
    cluster.command("kill etcd-1");
    cluster.wait("etcd-1 off", 30, |nodes| nodes["etcd-1"].state == "off");
    put_when_led(&cluster, "etcd-0", "second", "two");
    cluster.command("start etcd-1");
    cluster.wait_healthy(&["etcd-1"], 600);
    assert_eq!(cluster.get("etcd-1", "second").as_deref(), Some("two"));
    cluster.wait_clean(&["etcd-1"], 300);

    // One is cut off: the others go on, it does not; reconnected, it has what it missed.
    cluster.command("cut etcd-2");
    cluster.wait("etcd-2 unhealthy", 120, |nodes| {
        !nodes["etcd-2"].is_healthy()
    });
    put_when_led(&cluster, "etcd-0", "third", "three");
    cluster.command("connect etcd-2");
    cluster.wait_healthy(&NODES, 300);
    assert_eq!(cluster.get("etcd-2", "third").as_deref(), Some("three"));
    cluster.quit();
}

/// While a new leader is elected a write is refused; it must succeed soon.
#[track_caller]
fn put_when_led(cluster: &Cluster, node: &str, key: &str, value: &str) {
    for _ in 0..20 {
        let body = format!(
            r#"{{"key":"{}","value":""}}"#,
            "cHJvYmU=" // "probe"
        );
        let probe = run(cluster.curl(node, "/v3/kv/put").args(["--data", &body]));
        if probe.status.success() {
            break;
        }
        std::thread::sleep(Duration::from_secs(3));
    }
    cluster.put(node, key, value);
}
