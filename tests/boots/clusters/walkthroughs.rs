//! The clusters of docs/walkthroughs.md: each recipe boots from its images and answers what its
//! walkthrough asks.

use crate::support::archive::Archive;
use crate::support::cluster::Cluster;
use crate::support::inputs::reference;
use crate::support::server::Server;
use crate::support::upstream::{lock, release_site};
use crate::support::{must, scratch, turn};
use crate::walkthrough::Walkthrough;
use std::time::Duration;

const KUBEADM: Walkthrough = Walkthrough {
    recipe: "kubeadm-3node",
    nodes: &[
        ("e1", "10.1.1.93"),
        ("e2", "10.1.1.92"),
        ("e3", "10.1.1.91"),
    ],
    programs: "/usr/local/bin",
    endpoint: "https://127.0.0.1:2379",
    files: [
        "/etc/kubernetes/pki/etcd/ca.crt",
        "/etc/kubernetes/pki/etcd/peer.crt",
        "/etc/kubernetes/pki/etcd/peer.key",
    ],
};

const ENVFILE: Walkthrough = Walkthrough {
    recipe: "envfile-3node",
    nodes: &[
        ("infra1", "10.0.2.10"),
        ("infra2", "10.0.2.11"),
        ("infra3", "10.0.2.12"),
    ],
    programs: "/usr/local/bin",
    endpoint: "https://127.0.0.1:2379",
    files: [
        "/etc/kubernetes/ssl/ca.pem",
        "/etc/kubernetes/ssl/kubernetes.pem",
        "/etc/kubernetes/ssl/kubernetes-key.pem",
    ],
};

const DEBIAN: Walkthrough = Walkthrough {
    recipe: "debian-3node",
    nodes: &[
        ("master", "10.140.0.2"),
        ("node1", "10.140.0.3"),
        ("node2", "10.140.0.4"),
    ],
    programs: "/usr/bin",
    endpoint: "https://127.0.0.1:2379",
    files: [
        "/etc/etcd/ca.pem",
        "/etc/etcd/kubernetes.pem",
        "/etc/etcd/kubernetes-key.pem",
    ],
};
/// Upstream's archive, kubeadm's certificates; the members come up one after the other.
#[test]
fn kubeadm_3node() {
    let _turn = turn::cluster();
    reference();
    let (dir, out) = (scratch(), scratch());
    // The shared store has this version compiled: it is what the archive is made of here.
    let recipe = KUBEADM.open(dir.path(), |text| {
        text.replace("version = \"3.6.14\"", "version = \"3.6.16\"")
    });
    let archive = Archive::of_lock(
        &dir.path().join("archive"),
        &recipe.with_extension("lock"),
        "amd64",
    );
    let server = Server::start(&release_site(&dir.path().join("upstream")));
    let there = ["--etcd-mirror", &server.url("")];
    must(&mut lock(&recipe, &archive, &there));

    let mut options = there.to_vec();
    options.extend(["--memory", "256", "--hold", "e2", "--hold", "e3"]);
    let mut cluster = Cluster::start_in(dir.path(), &recipe, out.path(), &options);
    cluster.wait("e1 waits for its peers", 600, |nodes| {
        nodes
            .get("e1")
            .is_some_and(|node| node.report.contains("etcd=activating"))
    });
    // The walkthrough gives up after 50 s.
    std::thread::sleep(Duration::from_secs(20));
    cluster.command("start e2");
    std::thread::sleep(Duration::from_secs(35));
    cluster.command("start e3");
    let mut console = KUBEADM.verify(&mut cluster);

    let version = must(&mut cluster.curl("e3", "/version"));
    assert!(version.contains("\"etcdserver\":\"3.6.16\""), "{version}");
    let origin = console.run("cat /usr/share/doc/imgbuild/etcd-origin.json");
    assert!(
        origin.contains("etcd-v3.6.16-linux-amd64.tar.gz"),
        "{origin}"
    );
    // Metrics need no certificate on the node itself, and are nowhere else.
    let listening = console.run("cat /proc/net/tcp /proc/net/tcp6");
    let port = |address: &str| listening.contains(&format!(" {address}:094D "));
    assert!(port("0100007F") && !port("00000000"), "{listening}");
    // The authority's key is on no node, and none of the keys is for others to read.
    let keys = console.run("cd /etc/kubernetes/pki && stat -c '%a %n' *.key */*.key");
    let mut keys: Vec<&str> = keys.lines().collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "600 apiserver-etcd-client.key",
            "600 etcd/healthcheck-client.key",
            "600 etcd/peer.key",
            "600 etcd/server.key",
        ]
    );
    cluster.quit();
}

#[test]
fn envfile_3node() {
    let _turn = turn::cluster();
    reference();
    let (dir, out) = (scratch(), scratch());
    let recipe = ENVFILE.open(dir.path(), |text| text);
    let options = ["--memory", "256"];
    let mut cluster = Cluster::start_in(dir.path(), &recipe, out.path(), &options);
    let mut console = ENVFILE.verify(&mut cluster);
    // The settings come from the file and from nowhere else.
    let line = console.run("tr '\\0' ' ' </proc/$(systemctl show -P MainPID etcd)/cmdline");
    assert_eq!(line.trim(), "/usr/local/bin/etcd");
    let shown = console
        .run("systemctl show etcd --property=EnvironmentFiles,WorkingDirectory,LimitNOFILE,User");
    for property in [
        "EnvironmentFiles=/etc/etcd/etcd.conf (ignore_errors=yes)",
        "WorkingDirectory=/var/lib/etcd",
        "LimitNOFILE=65536",
        "User=etcd",
    ] {
        assert!(shown.lines().any(|line| line == property), "{shown}");
    }
    cluster.quit();
}

#[test]
fn debian_3node() {
    let _turn = turn::cluster();
    reference();
    let (dir, out) = (scratch(), scratch());
    let recipe = DEBIAN.open(dir.path(), |text| text);
    let options = ["--memory", "256"];
    let mut cluster = Cluster::start_in(dir.path(), &recipe, out.path(), &options);
    let mut console = DEBIAN.verify(&mut cluster);
    // It is Debian's own program, as dpkg knows it.
    let version = must(&mut cluster.curl("node2", "/version"));
    assert!(version.contains("\"etcdserver\":\"3.5.16\""), "{version}");
    let program = console.run("readlink /proc/$(systemctl show -P MainPID etcd)/exe");
    assert_eq!(program, "/usr/bin/etcd");
    cluster.quit();
}
