//! Warnings, and the arithmetic of majorities.

use imgbuild_base::{ByteSize, NodeName};
use serde::Serialize;

/// What the user should know though it is no mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Warning {
    /// An even number of members.
    #[error(
        "{members} members: {majority} of them must be up for the cluster to work, so it \
         tolerates {}, as {} would",
        failures(*.members), one_less(*.members)
    )]
    EvenMembers {
        /// How many there are.
        members: usize,
        /// How many must be up.
        majority: usize,
    },
    /// More members than etcd's guidance recommends.
    #[error(
        "{members} members: every write waits for {majority} of them; etcd's guidance is at most 7"
    )]
    ManyMembers {
        /// How many there are.
        members: usize,
        /// How many must answer.
        majority: usize,
    },
    /// A root shell without a password.
    #[error("console = \"shell\": whoever reaches a node's console is root, without a password")]
    OpenConsole,
    /// Members of more than one series of etcd's releases.
    #[error(
        "members run etcd {oldest} and {newest}: until all run the newer one the cluster can do \
         no more than the older"
    )]
    MixedSeries {
        /// The oldest series.
        oldest: String,
        /// The newest.
        newest: String,
    },
    /// Writes that are not kept safe.
    #[error("{node}: with unsafe-no-fsync a power cut may lose or damage etcd's data")]
    NoFsync {
        /// Where.
        node: NodeName,
    },
    /// A quota beyond what etcd's guidance recommends.
    #[error("{node}: a quota of {quota} is more than the 8 GiB that etcd's guidance allows for")]
    LargeQuota {
        /// Where.
        node: NodeName,
        /// How much.
        quota: ByteSize,
    },
}

/// How many of `members` must be up for the cluster to work.
#[must_use]
pub const fn majority(members: usize) -> usize {
    members / 2 + 1
}

fn failures(members: usize) -> String {
    match members - majority(members) {
        0 => "no failure".to_owned(),
        1 => "one failure".to_owned(),
        more => format!("{more} failures"),
    }
}

fn one_less(members: usize) -> String {
    match members - 1 {
        1 => "a single one".to_owned(),
        fewer => fewer.to_string(),
    }
}
