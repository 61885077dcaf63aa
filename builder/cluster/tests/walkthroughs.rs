//! What the nodes of the shipped walkthrough recipes hold, so that every change of it shows in
//! review: each file's path, mode, owner and (of what is not secret) digest, and the texts
//! that a walkthrough has its readers type.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;

/// The listing of every node's layer, and the files at `texts` of the first node's.
fn golden(recipe: &str, texts: &[(&str, &str)]) {
    let layers = layers(&shipped(recipe));
    let mut all = String::new();
    for (node, tree) in &layers {
        all += &format!("{node}\n{}\n", listing(tree));
    }
    insta::assert_snapshot!(format!("{recipe}.list"), all);
    let (node, tree) = &layers[0];
    for (name, path) in texts {
        insta::assert_snapshot!(format!("{recipe}.{node}.{name}"), text(tree, path));
    }
}

const UNIT: (&str, &str) = ("etcd.service", "etc/systemd/system/etcd.service");

#[test]
fn pi_2node() {
    golden("pi-2node", &[UNIT]);
}

#[test]
fn kubeadm_3node() {
    golden("kubeadm-3node", &[UNIT]);
}

#[test]
fn envfile_3node() {
    golden(
        "envfile-3node",
        &[UNIT, ("etcd.conf", "etc/etcd/etcd.conf")],
    );
}

#[test]
fn debian_3node() {
    golden("debian-3node", &[UNIT]);
}

#[test]
fn static_pod() {
    golden(
        "static-pod",
        &[
            ("etcd.yaml", "etc/kubernetes/manifests/etcd.yaml"),
            ("etcd.kube", "etc/containers/systemd/etcd.kube"),
            ("storage.conf", "etc/containers/storage.conf"),
            ("containers.conf", "etc/containers/containers.conf"),
            ("tmpfiles", "etc/tmpfiles.d/etcd.conf"),
        ],
    );
}
