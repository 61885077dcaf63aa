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
use imgbuild_recipe::resolved::EtcdSource;
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
    /// etcd, unless it is among the Debian packages; where nodes have several, the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    etcd: Option<Etcd>,
    /// The others.
    #[serde(
        rename = "further-etcd",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    further_etcd: Vec<Etcd>,
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

impl Etcd {
    /// Whether it is what a recipe means by this.
    pub(crate) fn is(&self, source: EtcdSource) -> bool {
        let (version, pinned) = match (self, source) {
            (Self::Release(lock), EtcdSource::Release { version }) => (version, lock.version),
            (Self::Build(lock), EtcdSource::Build { version }) => (version, lock.version),
            _ => return false,
        };
        version.to_string() == pinned.to_string()
    }
}

impl Lock {
    /// A lock of what was resolved; `etcds` in the order of the nodes that have them first.
    pub(crate) fn new(recipe: &Recipe, epoch: Epoch, debian: Debian, etcds: Vec<Etcd>) -> Self {
        let mut etcds = etcds.into_iter();
        Self {
            version: VERSION,
            epoch,
            inputs: LockInputs::of(recipe),
            debian,
            etcd: etcds.next(),
            further_etcd: etcds.collect(),
        }
    }

    /// Every etcd that is not among the Debian packages.
    pub(crate) fn etcds(&self) -> impl Iterator<Item = &Etcd> {
        self.etcd.iter().chain(&self.further_etcd)
    }

    /// What is pinned of an etcd; nothing where it is among the Debian packages.
    pub(crate) fn etcd(&self, source: EtcdSource) -> Result<Option<&Etcd>> {
        if source == EtcdSource::Debian {
            return Ok(None);
        }
        let found = self.etcds().find(|etcd| etcd.is(source));
        found.map(Some).ok_or_else(|| {
            let version = source.version().map(|version| version.to_string());
            let text = format!(
                "the lock has no etcd {} from source {:?}",
                version.unwrap_or_default(),
                source.as_str()
            );
            CommandError::msg(Failure::Lock, text).hint("lock the recipe anew with `imgbuild lock`")
        })
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
