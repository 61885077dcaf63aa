//! `[cluster]`.

use super::super::Absent::{Depends, Mistake};
use super::super::forms::{HOST, TOKEN};
use super::super::{Section, Shape, key};

/// `[cluster]`
pub static CLUSTER: Section = Section {
    name: "cluster",
    doc: "The cluster's identity.",
    keys: &[
        key(
            "name",
            Shape::Text(&HOST),
            Mistake,
            "Names the cluster and its secret; keys, machine ids and volume ids derive from it.",
        )
        .alone("it is what the nodes are members of"),
        key(
            "token",
            Shape::Text(&TOKEN),
            Depends("the cluster's name"),
            "etcd's `initial-cluster-token`: unique for each cluster ever made.",
        )
        .alone("members with different tokens do not form a cluster"),
    ],
};
