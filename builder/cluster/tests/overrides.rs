//! Nodes that differ from the rest of their cluster: only their own layers do, and all members
//! still trust each other.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use fs_err as fs;
use imgbuild_base::Tree;
use imgbuild_cluster::layout;
use imgbuild_recipe::Recipe;
use std::path::Path;

/// What the second node says for itself, and a path of its layer that must be there then.
const OVERRIDES: [(&str, &str); 20] = [
    ("etcd.source = \"debian\"", "usr/local/sbin/etcdctl"),
    ("etcd.bin_dir = \"/opt/etcd\"", "usr/local/sbin/etcdctl"),
    ("etcd.data_dir = \"/var/lib/b\"", "etc/etcd/etcd.conf.yml"),
    (
        "etcd.wal_dir = \"/var/lib/b-wal\"",
        "etc/etcd/etcd.conf.yml",
    ),
    (
        "etcd.run = \"static-pod\"",
        "etc/kubernetes/manifests/etcd.yaml",
    ),
    ("etcd.config = \"environment\"", "etc/etcd/etcd.conf"),
    ("etcd.config = \"flags\"", "etc/systemd/system/etcd.service"),
    ("etcd.config_path = \"/etc/b.yml\"", "etc/b.yml"),
    ("etcd.plain_local_listener = true", "etc/etcd/etcd.conf.yml"),
    (
        "etcd.environment.GOGC = \"50\"",
        "etc/systemd/system/etcd.service",
    ),
    ("etcd.options.max-wals = 7", "etc/etcd/etcd.conf.yml"),
    ("etcd.quota = \"4G\"", "etc/etcd/etcd.conf.yml"),
    ("pki.layout = \"shared\"", "etc/etcd/kubernetes.pem"),
    ("pki.dir = \"/etc/b\"", "etc/b/etcd/peer.crt"),
    ("pki.key = \"rsa-2048\"", "etc/kubernetes/pki/etcd/peer.crt"),
    ("pki.leaf_days = 30", "etc/kubernetes/pki/etcd/peer.crt"),
    ("pki.generation = 2", "etc/kubernetes/pki/etcd/peer.crt"),
    ("pki.files.ca = \"our.crt\"", "etc/kubernetes/pki/our.crt"),
    ("pki.files.server = \"b.crt\"", "etc/kubernetes/pki/b.crt"),
    (
        "extra_sans = [\"b.example.org\"]",
        "etc/kubernetes/pki/etcd/peer.crt",
    ),
];

/// The text of a node's file by its absolute path.
fn at(tree: &Tree, path: &str) -> String {
    text(tree, path.trim_start_matches('/'))
}

/// Every node's layer, each with the CA that it trusts.
fn trusted(recipe: &Recipe) -> Vec<(Tree, String)> {
    let nodes = recipe.nodes.iter().zip(layers(recipe));
    nodes
        .map(|(node, (_, tree))| {
            let files = layout::files(&node.pki).unwrap();
            let ca = at(&tree, &files.ca);
            (tree, ca)
        })
        .collect()
}

#[test]
fn only_the_node_that_differs_has_another_layer() {
    let plain = trusted(&vm_3node());
    for (says, path) in OVERRIDES {
        let changed = trusted(&vm_3node_where(says));
        let other = |at: usize| plain[at].0 != changed[at].0;
        assert_eq!(
            [other(0), other(1), other(2)],
            [false, true, false],
            "{says}"
        );
        let own = changed[1].0.file(path);
        assert!(own.is_some(), "{says}: no /{path}");
        assert_ne!(
            plain[1].0.file(path),
            own,
            "{says}: /{path} is as without it"
        );
        for (_, ca) in &changed {
            assert_eq!(*ca, plain[0].1, "{says}: another CA");
        }
    }
}

/// Another size is another disk, and another release another etcd layer: neither is in the
/// node's.
#[test]
fn what_is_not_in_the_layer_leaves_it_alone() {
    let plain = layers(&vm_3node());
    for says in [
        "image.size = \"1G\"",
        "image.boot_reserve = \"80M\"",
        "etcd.version = \"3.6.15\"",
    ] {
        assert_eq!(layers(&vm_3node_where(says)), plain, "{says}");
    }
}

/// Both names lead to the node wherever one is looked for; what is etcd's keeps the member's.
#[test]
fn a_host_name_of_its_own() {
    let recipe = vm_3node_where("hostname = \"rack-7\"\nnetwork.domain = \"example.org\"");
    let layers = layers(&recipe);
    for (_, tree) in &layers {
        let hosts = text(tree, "etc/hosts");
        assert!(
            hosts.contains("10.0.2.12\track-7.example.org rack-7 n2\n"),
            "{hosts}"
        );
        assert!(hosts.contains("10.0.2.11\tn1\n"), "{hosts}");
    }
    let own = &layers[1].1;
    assert_eq!(text(own, "etc/hostname"), "rack-7\n");
    assert_eq!(text(&layers[0].1, "etc/hostname"), "n1\n");
    assert!(text(own, "etc/etcd/etcd.conf.yml").contains("name: \"n2\"\n"));
    assert!(text(own, "etc/ssh/ssh_host_ed25519_key.pub").ends_with("root@rack-7\n"));
    // The member's identity does not hang on what its host is called.
    let before = &common::layers(&vm_3node())[1].1;
    assert_eq!(text(own, "etc/machine-id"), text(before, "etc/machine-id"));
    let key = "etc/kubernetes/pki/etcd/peer.key";
    assert_eq!(text(own, key), text(before, key));

    let desk = tempfile::tempdir().unwrap();
    unpack(own, desk.path());
    let certificate = "etc/kubernetes/pki/etcd/server.crt";
    for name in ["n2", "rack-7", "rack-7.example.org", "localhost"] {
        let said = ok(
            desk.path(),
            "openssl",
            &["x509", "-noout", "-in", certificate, "-checkhost", name],
        );
        assert!(said.contains("does match certificate"), "{name}: {said}");
    }
    let known = with(&recipe, |composer| composer.admin().unwrap());
    let known = text(&known, "ssh_known_hosts");
    assert!(
        known.contains("\nn2,rack-7,10.0.2.12 ssh-ed25519 "),
        "{known}"
    );
}

/// A cluster in which no two nodes are alike: every member takes every other's certificate, as
/// a server and as a client, for the address that it comes from.
#[test]
fn members_that_differ_trust_each_other() {
    let recipe = vm_3node_where(
        "hostname = \"rack-7\"\netcd.config = \"flags\"\npki.dir = \"/etc/b\"\npki.key = \"rsa-2048\"\n\
         pki.leaf_days = 30\npki.generation = 2\npki.files.peer = \"peer/b.crt\"\n\
         [[node]]\nname = \"n4\"\naddress = \"10.0.2.14\"\npki.layout = \"shared\"\n\
         [[node]]\nname = \"n5\"\naddress = \"10.0.2.15\"\npki.layout = \"shared\"\npki.dir = \"/etc/ssl/etcd\"\n\
         etcd.run = \"static-pod\"",
    );
    let desk = tempfile::tempdir().unwrap();
    let mut nodes = Vec::new();
    for (node, (name, tree)) in recipe.nodes.iter().zip(layers(&recipe)) {
        let dir = desk.path().join(name);
        fs::create_dir(&dir).unwrap();
        unpack(&tree, &dir);
        let files = layout::files(&node.pki).unwrap();
        nodes.push((node, dir, files));
    }
    let verify = |dir: &Path, ca: &str, certificate: &Path, more: &[&str]| {
        let (ca, certificate) = (&ca[1..], certificate.to_str().unwrap());
        let now = NOW.to_string();
        let mut arguments = vec!["verify", "-x509_strict", "-attime", &now, "-CAfile", ca];
        arguments.extend(more);
        arguments.push(certificate);
        run(dir, "openssl", &arguments)
    };
    for (node, dir, files) in &nodes {
        for (peer, theirs, shown) in &nodes {
            let address = peer.address.to_string();
            for file in [&shown.peer_cert, &shown.server_cert] {
                let certificate = theirs.join(&file[1..]);
                for purpose in ["sslserver", "sslclient"] {
                    let more = ["-purpose", purpose, "-verify_ip", &address];
                    let (taken, said) = verify(dir, &files.ca, &certificate, &more);
                    assert!(taken, "{} of {}: {said}", node.name, peer.name);
                }
            }
        }
    }
    // Nodes that share a certificate share it among themselves only.
    let (_, shared, files) = &nodes[3];
    let certificate = shared.join(&files.server_cert[1..]);
    let own = |address: &str| {
        let more = ["-verify_ip", address];
        verify(shared, &files.ca, &certificate, &more).0
    };
    assert!(own("10.0.2.14") && own("10.0.2.15") && !own("10.0.2.11"));
}
