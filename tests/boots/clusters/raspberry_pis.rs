//! `pi-3node` (arm64): what is flashed to SD cards, on machines that have these processors.

use crate::support::cluster::Cluster;
use crate::support::{must, scratch, turn};
use crate::walkthrough::etcd_version;

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
