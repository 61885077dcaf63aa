//! `[pki]`.

use super::super::Absent::{Default, Depends};
use super::super::forms::{PATH, SAN};
use super::super::{Section, Shape, choice, key};

/// `[pki]`
pub static PKI: Section = Section {
    name: "pki",
    doc: "The certificates. Their CA stays with the cluster's secret, on no node.",
    keys: &[
        key(
            "layout",
            Shape::Choice(&[
                choice(
                    "kubeadm",
                    "separate server, peer, healthcheck-client and apiserver-etcd-client",
                ),
                choice(
                    "shared",
                    "ca.pem, kubernetes.pem and kubernetes-key.pem for server and peer, with the \
                     names of every node",
                ),
            ]),
            Default("\"kubeadm\""),
            "Which certificate files a node holds.",
        ),
        key(
            "dir",
            Shape::Text(&PATH),
            Depends("/etc/kubernetes/pki; /etc/etcd for `shared`"),
            "Where they are.",
        ),
        key(
            "leaf_days",
            Shape::Integer {
                min: 1,
                max: 18_250,
            },
            Default("365"),
            "Days a node's certificates are valid, from the lock's epoch.",
        ),
        key(
            "ca_days",
            Shape::Integer {
                min: 1,
                max: 18_250,
            },
            Default("3650"),
            "Days the CA certificate is valid.",
        ),
        key(
            "generation",
            Shape::Integer {
                min: 1,
                max: 65_535,
            },
            Default("1"),
            "Count it up to give every node new keys and certificates.",
        ),
        key(
            "extra_sans",
            Shape::List(&Shape::Text(&SAN)),
            Default("[]"),
            "Further names of every node's certificates, such as a load balancer's.",
        )
        .aka(&["sans", "san", "alt_names"]),
    ],
};
