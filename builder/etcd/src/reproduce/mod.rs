//! Building etcd as upstream builds its releases, and holding the result against them.
//!
//! Upstream's `scripts/build-binary.sh` and `scripts/build_lib.sh` run `go build .` in a clone of
//! the repository, in the directory of each program, with `-trimpath -installsuffix=cgo`,
//! `CGO_ENABLED=0` and linker flags that leave the symbols out and set the short hash of the
//! commit. What else decides the result is in upstream's programs ([`BuildInfo`]): the version of
//! Go, the commit they are stamped with, the modules. [`Upstream`] reads that, and says of what
//! was then built here how it differs.

mod git_sha;
mod place;

pub use place::Place;

use crate::binaries::EtcdBinaries;
use crate::version::EtcdVersion;
use imgbuild_base::Digest;
use imgbuild_golang::repository::{Commit, CommitError, MainModule};
use imgbuild_golang::{BuildInfo, BuildInfoError, Difference, GoVersion, GoVersionError, Program};
use std::collections::BTreeMap;

/// The programs in upstream's repository.
pub const MAIN_MODULES: [MainModule; 3] = [
    MainModule {
        name: "etcd",
        path: "go.etcd.io/etcd/server/v3",
        dir: "server",
    },
    MainModule {
        name: "etcdctl",
        path: "go.etcd.io/etcd/etcdctl/v3",
        dir: "etcdctl",
    },
    MainModule {
        name: "etcdutl",
        path: "go.etcd.io/etcd/etcdutl/v3",
        dir: "etcdutl",
    },
];

/// The module at the top of upstream's repository; no proxy serves it.
const TOP: &str = "go.etcd.io/etcd/v3";
/// How the paths of all of the repository's modules begin.
const OWN: &str = "go.etcd.io/etcd/";
/// The variable that holds the short hash of the commit.
const GIT_SHA: &str = "go.etcd.io/etcd/api/v3/version.GitSHA";
/// The version of a module that is built from a directory.
const DEVEL: &str = "(devel)";

/// How upstream built its programs.
#[derive(Clone, Debug)]
pub struct Upstream {
    infos: BTreeMap<&'static str, BuildInfo>,
    /// The version of Go.
    pub go: GoVersion,
    /// What the programs are stamped with; `None`: nothing.
    pub commit: Option<Commit>,
    /// The short hash that `etcd --version` prints; `None` when it could not be told.
    pub git_sha: Option<String>,
}

/// Why upstream's programs do not say how they were built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// A program that does not.
    #[error("upstream's {program} does not say how it was built")]
    BuildInfo {
        /// Which.
        program: &'static str,
        /// What is wrong.
        #[source]
        source: BuildInfoError,
    },
    /// No released version of Go.
    #[error("upstream's etcd was built by another Go than a released one")]
    Go(#[from] GoVersionError),
    /// A commit that cannot be.
    #[error("upstream's etcd is stamped with a commit that cannot be")]
    Commit(#[from] CommitError),
}

/// A program of upstream's and the one that was built here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The program.
    pub name: &'static str,
    /// The SHA-256 of upstream's.
    pub upstream: Digest,
    /// The SHA-256 of the one built here.
    pub here: Digest,
    /// Where they differ; `None` when nowhere.
    pub place: Option<Place>,
    /// What was not alike when they were built, as far as programs tell: upstream's first.
    pub differences: Vec<Difference>,
}

impl Upstream {
    /// Reads it out of the programs of a release.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub fn of(binaries: &EtcdBinaries) -> Result<Self, UpstreamError> {
        let mut infos = BTreeMap::new();
        let mut bytes = BTreeMap::new();
        for (program, content) in binaries.iter() {
            let info = BuildInfo::of(content)
                .map_err(|source| UpstreamError::BuildInfo { program, source })?;
            infos.insert(program, info);
            bytes.insert(program, content);
        }
        // Every one of the three is there: that is checked when they are unpacked.
        let etcd = infos.get("etcd").cloned().unwrap_or_default();
        let go = etcd.go.strip_prefix("go").unwrap_or(&etcd.go).parse()?;
        let tags = MAIN_MODULES.iter().filter_map(|module| {
            let version = &infos.get(module.name)?.main.version;
            let released = version.strip_suffix("+dirty").unwrap_or(version);
            let number: EtcdVersion = released.strip_prefix('v')?.parse().ok()?;
            Some(format!("{}/{}", module.dir, number.tag()))
        });
        let commit = Commit::of(&etcd, tags.collect())?;
        let content = |name: &str| bytes.get(name).map_or(&[][..], |content| content);
        let git_sha = git_sha::find(
            content("etcd"),
            content("etcdutl"),
            commit.as_ref().map(Commit::revision),
        );
        Ok(Self {
            infos,
            go,
            commit,
            git_sha,
        })
    }

    /// The flags for `go build`, as upstream's scripts give them. Their very wording matters: the
    /// linker's flags go into the build id.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let mut linker = "-ldflags=-s -w".to_owned();
        if let Some(sha) = &self.git_sha {
            linker += &format!(" -X={GIT_SHA}={sha}");
        }
        vec![
            "-trimpath".to_owned(),
            "-installsuffix=cgo".to_owned(),
            linker,
        ]
    }

    /// The module at the repository's top, where go found the versions of the programs' own
    /// modules by it.
    #[must_use]
    pub fn top(&self) -> Option<&'static str> {
        let versions = self.infos.values().map(|info| info.main.version.as_str());
        let found = |version: &str| !version.is_empty() && version != DEVEL;
        versions.into_iter().any(found).then_some(TOP)
    }

    /// What cannot be done here as upstream did it.
    #[must_use]
    pub fn limits(&self) -> Vec<String> {
        let mut limits = Vec::new();
        if self.git_sha.is_none() {
            limits.push(
                "the short hash of the commit could not be told from upstream's etcd: it was not set"
                    .to_owned(),
            );
        }
        let modules = self.infos.values().flat_map(|info| info.modules.values());
        let workspace = modules.into_iter().any(|one| {
            one.module.path.starts_with(OWN)
                && one.module.version == DEVEL
                && one.replaced.is_none()
        });
        if workspace {
            limits.push(
                "upstream built in a workspace (go.work), which no module proxy serves: every \
                 program was built by its own go.mod"
                    .to_owned(),
            );
        }
        limits
    }

    /// Holds programs that were built here against upstream's.
    ///
    /// # Errors
    /// [`UpstreamError::BuildInfo`] never in practice: go writes it into every program.
    pub fn compare(
        &self,
        upstream: &EtcdBinaries,
        here: &[Program],
    ) -> Result<Vec<Comparison>, UpstreamError> {
        let mut compared = Vec::new();
        for (name, content) in upstream.iter() {
            let Some(own) = here.iter().find(|program| program.name == name) else {
                continue;
            };
            let info = BuildInfo::of(&own.bytes).map_err(|source| UpstreamError::BuildInfo {
                program: name,
                source,
            })?;
            let theirs = self.infos.get(name).cloned().unwrap_or_default();
            compared.push(Comparison {
                name,
                upstream: Digest::of(content),
                here: Digest::of(&own.bytes),
                place: place::place(content, &own.bytes),
                differences: theirs.differences(&info),
            });
        }
        Ok(compared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_those_of_every_source() {
        assert_eq!(MAIN_MODULES.map(|module| module.name), crate::PROGRAMS);
    }

    #[test]
    fn flags_and_limits_follow_what_upstream_did() {
        let mut upstream = Upstream {
            infos: BTreeMap::new(),
            go: GoVersion::new(1, 26, 10),
            commit: None,
            git_sha: Some("b342331".to_owned()),
        };
        let linker = format!("-ldflags=-s -w -X={GIT_SHA}=b342331");
        assert_eq!(
            upstream.flags(),
            ["-trimpath", "-installsuffix=cgo", &linker]
        );
        assert_eq!((upstream.top(), upstream.limits().len()), (None, 0));

        let mut info = BuildInfo::default();
        info.main.version = "v3.6.16".to_owned();
        let mut own = imgbuild_golang::Dependency::default();
        own.module.path = "go.etcd.io/etcd/api/v3".to_owned();
        own.module.version = DEVEL.to_owned();
        info.modules.insert(own.module.path.clone(), own);
        upstream.infos.insert("etcd", info);
        upstream.git_sha = None;
        assert_eq!(upstream.flags()[2], "-ldflags=-s -w");
        assert_eq!((upstream.top(), upstream.limits().len()), (Some(TOP), 2));
    }
}
