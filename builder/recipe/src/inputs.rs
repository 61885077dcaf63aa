//! The part of a recipe that its lock depends on.

use crate::resolved::{EtcdSource, Firmware, Recipe, Run};
use imgbuild_base::{Digest, Hasher};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a lock was made for: the recipe's keys that decide which packages, which etcd and
/// which firmware there are, as text. A lock keeps it, so that a recipe that changed since is
/// noticed and the key can be named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LockInputs(BTreeMap<String, String>);

/// A key that is not what the lock was made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{key} is {} in the recipe and {} in the lock",
    shown(recipe),
    shown(lock)
)]
pub struct Difference {
    /// The recipe's key.
    pub key: String,
    /// What the recipe says, if anything.
    pub recipe: Option<String>,
    /// What the lock was made for, if anything.
    pub lock: Option<String>,
}

fn shown(value: &Option<String>) -> String {
    match value {
        Some(value) => format!("{value:?}"),
        None => "absent".to_owned(),
    }
}

impl LockInputs {
    /// Those of a recipe.
    #[must_use]
    pub fn of(recipe: &Recipe) -> Self {
        let image = &recipe.image;
        let words = |words: Vec<&str>| words.join(" ");
        let ssh = if recipe.any_ssh() { "yes" } else { "no" };
        let mut inputs: BTreeMap<String, String> = [
            ("image.board", image.board.as_str().to_owned()),
            ("image.arch", image.arch.debian().to_owned()),
            ("image.suite", image.suite.as_str().to_owned()),
            (
                "image.components",
                words(image.components.iter().map(|one| one.as_str()).collect()),
            ),
            (
                "image.packages",
                words(image.packages.iter().map(|one| one.as_str()).collect()),
            ),
            ("access.ssh", ssh.to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        // What few recipes have is not in the locks of the others.
        if recipe.any_login() {
            inputs.insert("access.login".to_owned(), "yes".to_owned());
        }
        for node in &recipe.nodes {
            let own = node.system.packages.iter();
            let own = own.filter(|name| !image.packages.contains(name));
            let own = words(own.map(|one| one.as_str()).collect());
            if !own.is_empty() {
                inputs.insert(format!("node.{}.packages", node.name), own);
            }
        }
        // Where nodes have different etcds, that of the first is the cluster's here.
        let sources = recipe.etcd_sources();
        let mut etcd = |of: &str, source: &EtcdSource| {
            inputs.insert(format!("{of}etcd.source"), source.as_str().to_owned());
            if let Some(version) = source.version() {
                inputs.insert(format!("{of}etcd.version"), version.to_string());
            }
        };
        if let Some(first) = sources.first() {
            etcd("", first);
            for node in &recipe.nodes {
                if node.etcd.source != *first {
                    etcd(&format!("node.{}.", node.name), &node.etcd.source);
                }
            }
        }
        if recipe.any_static_pod() {
            let run = Run::StaticPod.as_str().to_owned();
            inputs.insert("etcd.run".to_owned(), run);
        }
        // Only what is there, so that locks from before these keys stay valid.
        let wishes = [
            ("network.wifi", recipe.has_wifi()),
            ("firewall.enabled", recipe.has_firewall()),
        ];
        for (key, _) in wishes.into_iter().filter(|(_, wished)| *wished) {
            inputs.insert(key.to_owned(), "yes".to_owned());
        }
        if recipe.any_bios() {
            let firmware = Firmware::Hybrid.as_str().to_owned();
            inputs.insert("image.firmware".to_owned(), firmware);
        }
        Self(inputs)
    }

    /// Digest of the keys in their order, each followed by its value, in the encoding of
    /// [`Hasher::field`]. Changing what goes in invalidates every lock.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for (key, value) in &self.0 {
            hasher.field(key).field(value);
        }
        hasher.finish()
    }

    /// How `self`, of a recipe, differs from what a lock was made for, by key.
    #[must_use]
    pub fn differences(&self, locked: &Self) -> Vec<Difference> {
        let mut keys: Vec<&String> = self.0.keys().chain(locked.0.keys()).collect();
        keys.sort();
        keys.dedup();
        keys.into_iter()
            .filter(|key| self.0.get(*key) != locked.0.get(*key))
            .map(|key| Difference {
                key: key.clone(),
                recipe: self.0.get(key).cloned(),
                lock: locked.0.get(key).cloned(),
            })
            .collect()
    }

    /// Keys and values in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}
