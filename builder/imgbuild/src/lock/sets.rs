//! Which of a lock's packages belong to which nodes.
//!
//! Where nodes have further packages of their own, each distinct set of wishes is resolved by
//! itself and makes a base layer of its own. The lock has every package once, and for each set
//! of wishes the names that came of it. Where all nodes are the same there are no sets.

use super::Debian;
use crate::error::{CommandError, Failure, Result};
use imgbuild_debian::lock::LockedPackage;
use imgbuild_debian::relation::PackageName;
use imgbuild_recipe::values::PackageName as Wish;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What nodes with certain further packages are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackageSet {
    /// The further packages of these nodes, the cluster's included.
    wished: Vec<String>,
    /// Every package of theirs.
    packages: BTreeSet<PackageName>,
}

fn texts(wished: &[Wish]) -> Vec<String> {
    wished.iter().map(ToString::to_string).collect()
}

impl Debian {
    /// The packages of nodes with these wishes.
    pub(crate) fn of(&self, wished: &[Wish]) -> Result<Vec<&LockedPackage>> {
        if self.sets.is_empty() {
            return Ok(self.packages.iter().collect());
        }
        let wished = texts(wished);
        let set = self.sets.iter().find(|set| set.wished == wished);
        let set = set.ok_or_else(|| {
            let text = format!(
                "the lock has no packages for nodes with {}",
                wished.join(", ")
            );
            CommandError::msg(Failure::Lock, text).hint("lock the recipe anew with `imgbuild lock`")
        })?;
        let own = self.packages.iter();
        Ok(own
            .filter(|package| set.packages.contains(&package.name))
            .collect())
    }
}

/// What each set of wishes came to, as a lock has it.
pub(super) fn combine(
    resolved: Vec<(&[Wish], Vec<LockedPackage>)>,
) -> Result<(Vec<LockedPackage>, Vec<PackageSet>)> {
    let mut all: BTreeMap<PackageName, LockedPackage> = BTreeMap::new();
    let mut sets = Vec::new();
    for (wished, packages) in resolved {
        sets.push(PackageSet {
            wished: texts(wished),
            packages: packages
                .iter()
                .map(|package| package.name.clone())
                .collect(),
        });
        for package in packages {
            let known = all
                .entry(package.name.clone())
                .or_insert_with(|| package.clone());
            if known.sha256 != package.sha256 {
                let text = format!(
                    "nodes would get different versions of {}: {} and {}",
                    package.name, known.version, package.version
                );
                return Err(CommandError::msg(Failure::Recipe, text)
                    .hint("the packages of `node.packages` must go together with one version"));
            }
        }
    }
    if let [_] = sets[..] {
        sets.clear();
    }
    Ok((all.into_values().collect(), sets))
}
