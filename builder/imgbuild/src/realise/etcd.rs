//! Getting etcd's binaries from one of the three sources.

use super::fetching::fetch_one;
use super::go_inputs::{GoInputs, go_host};
use super::{Run, Value};
use crate::error::{Failure, OrFail, Result};
use crate::lock::Etcd;
use crate::means::Means;
use crate::plan::graph::{Step, StepId};
use imgbuild_base::{Arch, Tree};
use imgbuild_etcd::{BuildLock, EtcdBinaries, ReleaseLock, debian};
use imgbuild_fetch::Item;
use imgbuild_golang::sandbox::Namespaces;
use imgbuild_golang::{CompileRequest, compile};
use imgbuild_store::Object;

impl Run<'_> {
    /// The binaries of a step, by the source the lock pins.
    pub(super) fn etcd_binaries(&self, id: StepId, step: &Step) -> Result<EtcdBinaries> {
        match self.plan.etcds.pinned.get(&id) {
            Some(Some(Etcd::Release(lock))) => self.release(lock),
            Some(Some(Etcd::Build(lock))) => self.build(lock),
            Some(None) | None => self.packaged(step),
        }
    }

    fn release(&self, lock: &ReleaseLock) -> Result<EtcdBinaries> {
        let arch = self.plan.arch;
        let archive =
            release_archive(self.means, lock, arch).map_err(|error| match error.failure() {
                Failure::Fetch => error.with_hint(
                    "where upstream cannot be reached, etcd.source = \"build\" compiles etcd \
                     from Go's modules and \"debian\" takes Debian's packages; \
                     --etcd-mirror URL names another place",
                ),
                _ => error,
            })?;
        let bytes = archive.bytes().or_fail(Failure::Storage)?;
        lock.unpack(arch, &bytes).or_fail(Failure::Verify)
    }

    fn build(&self, lock: &BuildLock) -> Result<EtcdBinaries> {
        let host = go_host()?;
        let scratch = self.means.store.scratch().or_fail(Failure::Storage)?;
        let inputs = GoInputs {
            means: self.means,
            events: self.events,
            host,
            scratch: scratch.path(),
        };
        let toolchain = inputs.toolchain(&lock.go.toolchain)?;
        let modules = inputs.modules(&lock.go, &toolchain)?;
        let work = scratch.path().join("compile");
        fs_err::create_dir(&work).or_fail(Failure::Storage)?;
        let compiled = compile(
            &CompileRequest {
                lock: &lock.go,
                toolchain: toolchain.path(),
                modules: modules.path(),
                arch: self.plan.arch,
                values: &[],
                scratch: &work,
                namespaces: Namespaces::Try,
            },
            self.events,
        )
        .or_fail(Failure::Other)?;
        lock.binaries(self.plan.arch, compiled)
            .or_fail(Failure::Verify)
    }

    fn packaged(&self, step: &Step) -> Result<EtcdBinaries> {
        let mut tree = Tree::new();
        for input in &step.inputs {
            if let Value::Package(package) = self.value(*input)? {
                tree.merge(package.tree()).or_fail(Failure::Other)?;
            }
        }
        let packages = self
            .plan
            .packages
            .values()
            .filter(|package| debian::PACKAGES.contains(&package.name.as_str()))
            .map(|package| {
                let name = format!("{}={}", package.name, package.version);
                (name, package.sha256)
            })
            .collect();
        debian::binaries(&tree, self.plan.arch, packages).or_fail(Failure::Verify)
    }
}

/// Upstream's archive, from the store or a location of upstream's.
pub(crate) fn release_archive(means: &Means, lock: &ReleaseLock, arch: Arch) -> Result<Object> {
    let located = lock.archive(arch, &means.etcd).or_fail(Failure::Lock)?;
    let (name, urls, digest) = located;
    if let Some(object) = means.input_at_hand(digest)? {
        return Ok(object);
    }
    let item = Item {
        what: name,
        candidates: urls
            .iter()
            .map(|url| url.parse().or_fail(Failure::Fetch))
            .collect::<Result<_>>()?,
        digest,
        size: None,
    };
    fetch_one(&means.fetcher, &means.store, item)
}
