//! Getting etcd's binaries from one of the three sources.

use super::fetching::fetch_one;
use super::{Run, Value};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::lock::Etcd;
use crate::lock::resolve::fetch_to_file;
use crate::plan::graph::Step;
use imgbuild_base::{Digest, Tree};
use imgbuild_etcd::{BuildLock, EtcdBinaries, ReleaseLock, debian};
use imgbuild_fetch::Item;
use imgbuild_golang::sandbox::Namespaces;
use imgbuild_golang::toolchain::Sources;
use imgbuild_golang::{CompileRequest, HostGo, HostPlatform, compile, modules, toolchain};
use imgbuild_store::{Object, Store};
use std::path::Path;

impl Run<'_> {
    /// The binaries, by the source the lock pins.
    pub(super) fn etcd_binaries(&self, step: &Step) -> Result<EtcdBinaries> {
        match &self.lock.etcd {
            Some(Etcd::Release(lock)) => self.release(lock),
            Some(Etcd::Build(lock)) => self.build(lock),
            None => self.packaged(step),
        }
    }

    fn release(&self, lock: &ReleaseLock) -> Result<EtcdBinaries> {
        let arch = self.plan.arch;
        let located = lock
            .archive(arch, &self.means.etcd)
            .or_fail(Failure::Lock)?;
        let (name, urls, digest) = located;
        let item = Item {
            what: name,
            candidates: urls
                .iter()
                .map(|url| url.parse().or_fail(Failure::Fetch))
                .collect::<Result<_>>()?,
            digest,
            size: None,
        };
        let archive = match self.input_at_hand(digest)? {
            Some(object) => object,
            None => fetch_one(&self.means.fetcher, &self.means.store, item).map_err(|error| {
                error.with_hint(
                    "where upstream cannot be reached, etcd.source = \"build\" compiles etcd \
                     from Go's modules and \"debian\" takes Debian's packages; \
                     --etcd-mirror URL names another place",
                )
            })?,
        };
        let bytes = archive.bytes().or_fail(Failure::Storage)?;
        lock.unpack(arch, &bytes).or_fail(Failure::Verify)
    }

    fn build(&self, lock: &BuildLock) -> Result<EtcdBinaries> {
        let host = HostPlatform::current().ok_or_else(|| {
            CommandError::msg(
                Failure::Other,
                "compiling etcd needs Linux on amd64 or arm64",
            )
            .hint("use etcd.source = \"release\" on this machine")
        })?;
        let scratch = self.means.store.scratch().or_fail(Failure::Storage)?;
        let go = HostGo::find();
        let toolchain = self.toolchain(lock, host, go.as_ref(), scratch.path())?;
        let modules = self.modules(lock, host, go, &toolchain, scratch.path())?;
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

    /// The pinned compiler as one verified object.
    fn toolchain(
        &self,
        lock: &BuildLock,
        host: HostPlatform,
        go: Option<&HostGo>,
        scratch: &Path,
    ) -> Result<Object> {
        let pinned = lock.go.toolchain.bundles.get(&host).copied();
        let pinned = pinned.ok_or_else(|| {
            let text = format!("the lock pins no Go toolchain for {host}");
            CommandError::msg(Failure::Lock, text).hint("lock the recipe anew")
        })?;
        self.bundle(pinned, "Go toolchain", scratch, |work, out| {
            let fetch = fetch_to_file(&self.means.fetcher);
            let sources = Sources { go, fetch: &fetch };
            toolchain::acquire(&lock.go.toolchain, host, sources, work, out).or_fail(Failure::Fetch)
        })
    }

    /// The pinned modules as one verified object.
    fn modules(
        &self,
        lock: &BuildLock,
        host: HostPlatform,
        go: Option<HostGo>,
        toolchain: &Object,
        scratch: &Path,
    ) -> Result<Object> {
        self.bundle(lock.go.modules, "Go modules", scratch, |work, out| {
            // The pinned go downloads, with the settings of the host's where there is one.
            let dir = scratch.join("go");
            fs_err::create_dir(&dir).or_fail(Failure::Storage)?;
            toolchain::unpack(&lock.go.toolchain, host, toolchain.path(), &dir)
                .or_fail(Failure::Verify)?;
            let pinned = dir.join("bin/go");
            let go = match go {
                Some(go) => go.with_binary(&pinned),
                None => HostGo::at(&pinned).or_fail(Failure::Other)?,
            };
            modules::acquire(&lock.go, &go, work, out).or_fail(Failure::Fetch)
        })
    }

    /// A bundle from the store, or made in a directory of its own and kept.
    fn bundle(
        &self,
        digest: Digest,
        what: &str,
        scratch: &Path,
        make: impl FnOnce(&Path, &Path) -> Result<()>,
    ) -> Result<Object> {
        let store = &self.means.store;
        if let Some(object) = store.object(digest).or_fail(Failure::Storage)? {
            return Ok(object);
        }
        if let Some(object) = self.input_at_hand(digest)? {
            return Ok(object);
        }
        if self.means.offline {
            let text = format!("the {what} ({}) is not in the store", digest.short());
            return Err(CommandError::msg(Failure::Fetch, text)
                .hint("build once without --offline, or use another etcd.source"));
        }
        let task = self.events.start(
            format!("fetching the {what}"),
            None,
            imgbuild_base::event::Unit::Items,
        );
        let work = scratch.join(digest.short());
        fs_err::create_dir(&work).or_fail(Failure::Storage)?;
        let out = scratch.join(format!("{}.bundle", digest.short()));
        make(&work, &out)?;
        drop(task);
        adopt(store, &out, digest)
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

/// Takes a file that was made elsewhere into the store, if it is what it must be.
pub(crate) fn adopt(store: &Store, path: &Path, digest: Digest) -> Result<Object> {
    if let Some(object) = store.object(digest).or_fail(Failure::Storage)? {
        return Ok(object);
    }
    let mut file = fs_err::File::open(path).or_fail(Failure::Storage)?;
    let mut writer = store.writer().or_fail(Failure::Storage)?;
    let len = std::io::copy(&mut file, &mut writer).or_fail(Failure::Storage)?;
    writer
        .commit_expecting(digest, Some(len))
        .or_fail(Failure::Verify)
}
