//! The lock: every input of a recipe, pinned.
//!
//! A lock is a TOML file beside its recipe. It holds paths and hashes, no hosts: where bytes
//! come from does not matter, only what they are. [`Lock::parse`] reads it, [`resolve`] makes
//! one anew, [`diff`] says how two differ.

pub(crate) mod diff;
pub(crate) mod resolve;
mod sets;

use crate::error::{CommandError, Failure, OrFail, Result};
use imgbuild_base::Epoch;
use imgbuild_debian::lock::{LockedPackage, SuiteName};
use imgbuild_etcd::{BuildLock, ReleaseLock};
use imgbuild_recipe::{LockInputs, Recipe};
use serde::{Deserialize, Serialize};
use sets::PackageSet;

/// The version of the file's format.
const VERSION: u32 = 1;

const HEAD: &str = "\
# Written by `imgbuild lock`; commit it beside its recipe. Every input of the images is pinned
# here by path and hash. Change it with `imgbuild lock`, not by hand.
";

/// Everything that is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    version: u32,
    /// The time that stands for "now" in every output: files' times, certificates' validity.
    pub(crate) epoch: Epoch,
    /// The recipe's keys this was made for.
    pub(crate) inputs: LockInputs,
    /// The archive.
    pub(crate) debian: Debian,
    /// etcd, unless it is among the Debian packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) etcd: Option<Etcd>,
}

/// What comes from Debian's archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Debian {
    /// The newest index that was used, as the snapshot archive names times.
    pub(crate) snapshot: String,
    /// The suites that were looked into.
    pub(crate) suites: Vec<SuiteName>,
    /// The packages, by name.
    #[serde(rename = "package")]
    pub(crate) packages: Vec<LockedPackage>,
    /// Which of them belong to which nodes, where not all have the same.
    #[serde(rename = "set", default, skip_serializing_if = "Vec::is_empty")]
    sets: Vec<PackageSet>,
}

/// Where etcd comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Etcd {
    /// Upstream's archive.
    Release(ReleaseLock),
    /// Modules and toolchain.
    Build(BuildLock),
}

impl Lock {
    /// A lock of what was resolved.
    pub(crate) fn new(recipe: &Recipe, epoch: Epoch, debian: Debian, etcd: Option<Etcd>) -> Self {
        Self {
            version: VERSION,
            epoch,
            inputs: LockInputs::of(recipe),
            debian,
            etcd,
        }
    }

    /// Reads the text of the file `name`.
    pub(crate) fn parse(text: &str, name: &str) -> Result<Self> {
        let lock: Self = toml::from_str(text)
            .or_fail(Failure::Lock)
            .map_err(|error| error.context(format!("reading the lock {name}")))?;
        if lock.version != VERSION {
            let text = format!(
                "the lock {name} has format {}, this imgbuild reads {VERSION}",
                lock.version
            );
            return Err(CommandError::msg(Failure::Lock, text)
                .hint("lock the recipe anew with `imgbuild lock`"));
        }
        Ok(lock)
    }

    /// The file's text.
    pub(crate) fn to_text(&self) -> Result<String> {
        let body = toml::to_string(self).or_fail(Failure::Other)?;
        Ok(format!("{HEAD}{body}"))
    }

    /// Holds the lock against a recipe.
    pub(crate) fn check(&self, recipe: &Recipe) -> Result<()> {
        let differences = LockInputs::of(recipe).differences(&self.inputs);
        if differences.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = differences.iter().map(|d| format!("\n  {d}")).collect();
        Err(CommandError::msg(
            Failure::Lock,
            format!("the lock was made for another recipe:{}", lines.concat()),
        ))
    }
}
