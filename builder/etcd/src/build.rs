//! What to ask of the Go compiler for a version of etcd.
//!
//! Each of etcd's programs is a module of its own on Go's module proxy; the newest Go that
//! one of the three names in its `toolchain` line is the one upstream builds the release
//! with. `etcd --version` prints the version from a constant in the code. The commit that
//! upstream's own build adds at link time is not part of a module, so it stays at the text
//! the code itself has for that case.

use crate::binaries::{BinariesError, EtcdBinaries, Origin};
use crate::version::EtcdVersion;
use imgbuild_base::Arch;
use imgbuild_golang::{Compiled, GoLock, ResolveRequest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The path of the main module that selects etcd's modules; it is never published.
const MAIN: &str = "imgbuild.invalid/etcd";

/// The programs' names and their packages, which are modules too.
const PACKAGES: [(&str, &str); 3] = [
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("etcdctl", "go.etcd.io/etcd/etcdctl/v3"),
    ("etcdutl", "go.etcd.io/etcd/etcdutl/v3"),
];

/// A version of etcd and all that decides what is compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildLock {
    /// etcd's version.
    pub version: EtcdVersion,
    /// Toolchain and modules.
    pub go: GoLock,
}

/// The modules of a version, for [`request`].
#[must_use]
pub fn modules(version: EtcdVersion) -> Vec<(String, String)> {
    let mut modules: Vec<_> = PACKAGES
        .iter()
        .map(|(_, path)| ((*path).to_owned(), version.tag()))
        .collect();
    modules.sort();
    modules
}

/// What to lock for these [`modules`].
#[must_use]
pub fn request(modules: &[(String, String)]) -> ResolveRequest<'_> {
    ResolveRequest {
        main: MAIN,
        modules,
        programs: PACKAGES
            .iter()
            .map(|(name, package)| ((*name).to_owned(), (*package).to_owned()))
            .collect(),
        go: None,
    }
}

impl BuildLock {
    /// Where binaries made from this lock come from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin::Build {
            version: self.version,
            go: self.go.toolchain.version,
            modules: self.go.modules,
            module_hashes: self
                .go
                .modules()
                .map(|(module, hash)| (module.to_string(), hash))
                .collect(),
        }
    }

    /// Checks what the compiler made.
    ///
    /// # Errors
    /// [`BinariesError`].
    pub fn binaries(&self, arch: Arch, compiled: Compiled) -> Result<EtcdBinaries, BinariesError> {
        let programs: BTreeMap<_, _> = compiled
            .programs
            .into_iter()
            .map(|program| (program.name, program.bytes.into()))
            .collect();
        EtcdBinaries::new(arch, programs, self.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_names_every_program() {
        let modules = modules(EtcdVersion::DEFAULT);
        let request = request(&modules);
        assert!(
            crate::PROGRAMS
                .iter()
                .all(|name| request.programs.contains_key(*name))
        );
        let first = (
            "go.etcd.io/etcd/etcdctl/v3".to_owned(),
            "v3.6.16".to_owned(),
        );
        assert_eq!(modules[0], first);
    }
}
