//! The Go compiler and Go's modules as verified objects of the store.

use crate::error::{CommandError, Failure, OrFail, Result};
use crate::lock::resolve::fetch_to_file;
use crate::means::Means;
use imgbuild_base::event::Unit;
use imgbuild_base::{Digest, Events};
use imgbuild_golang::toolchain::{self, Sources, ToolchainError};
use imgbuild_golang::{GoLock, HostGo, HostPlatform, ToolchainLock, modules};
use imgbuild_store::{Object, Store};
use std::path::Path;

/// What a compiler needs is got with this.
pub(crate) struct GoInputs<'a> {
    /// Store and network.
    pub(crate) means: &'a Means,
    /// Where work reports.
    pub(crate) events: &'a Events,
    /// This machine.
    pub(crate) host: HostPlatform,
    /// A directory of the caller's own, who removes it.
    pub(crate) scratch: &'a Path,
}

/// This machine, if a compiler runs on it.
pub(crate) fn go_host() -> Result<HostPlatform> {
    HostPlatform::current().ok_or_else(|| {
        CommandError::msg(
            Failure::Other,
            "compiling etcd needs Linux on amd64 or arm64",
        )
        .hint("use etcd.source = \"release\" on this machine")
    })
}

impl GoInputs<'_> {
    /// The pinned compiler.
    pub(crate) fn toolchain(&self, lock: &ToolchainLock) -> Result<Object> {
        let host = self.host;
        let pinned = lock.bundles.get(&host).copied();
        let pinned = pinned.ok_or_else(|| {
            let text = format!("the lock pins no Go toolchain for {host}");
            CommandError::msg(Failure::Lock, text).hint("lock the recipe anew")
        })?;
        self.bundle(pinned, "Go toolchain", |work, out| {
            self.with_sources(|sources| toolchain::acquire(lock, host, sources, work, out))
        })
    }

    /// Does something with all places a compiler may come from.
    pub(crate) fn with_sources<T>(
        &self,
        get: impl FnOnce(Sources<'_>) -> std::result::Result<T, ToolchainError>,
    ) -> Result<T> {
        let go = HostGo::find();
        let fetch = fetch_to_file(&self.means.fetcher);
        let sources = Sources {
            go: go.as_ref(),
            fetch: &fetch,
        };
        get(sources).or_fail(Failure::Fetch)
    }

    /// The pinned modules.
    pub(super) fn modules(&self, lock: &GoLock, toolchain: &Object) -> Result<Object> {
        self.bundle(lock.modules, "Go modules", |work, out| {
            let go = self.go(&lock.toolchain, toolchain)?;
            modules::acquire(lock, &go, work, out).or_fail(Failure::Fetch)
        })
    }

    /// The pinned go for downloads, with the settings of the host's where there is one.
    pub(crate) fn go(&self, lock: &ToolchainLock, toolchain: &Object) -> Result<HostGo> {
        let dir = self.scratch.join("go");
        fs_err::create_dir(&dir).or_fail(Failure::Storage)?;
        toolchain::unpack(lock, self.host, toolchain.path(), &dir).or_fail(Failure::Verify)?;
        let pinned = dir.join("bin/go");
        match HostGo::find() {
            Some(go) => Ok(go.with_binary(&pinned)),
            None => HostGo::at(&pinned).or_fail(Failure::Other),
        }
    }

    /// A bundle from the store, or made in a directory of its own and kept.
    fn bundle(
        &self,
        digest: Digest,
        what: &str,
        make: impl FnOnce(&Path, &Path) -> Result<()>,
    ) -> Result<Object> {
        let store = &self.means.store;
        if let Some(object) = store.object(digest).or_fail(Failure::Storage)? {
            return Ok(object);
        }
        if let Some(object) = self.means.input_at_hand(digest)? {
            return Ok(object);
        }
        if self.means.offline {
            let text = format!("the {what} ({}) is not in the store", digest.short());
            return Err(CommandError::msg(Failure::Fetch, text)
                .hint("build once without --offline, or use another etcd.source"));
        }
        let task = self
            .events
            .start(format!("fetching the {what}"), None, Unit::Items);
        let work = self.scratch.join(digest.short());
        fs_err::create_dir(&work).or_fail(Failure::Storage)?;
        let out = self.scratch.join(format!("{}.bundle", digest.short()));
        make(&work, &out)?;
        drop(task);
        adopt(store, &out, digest)
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
