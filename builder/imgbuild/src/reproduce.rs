//! Whether upstream's etcd comes out of upstream's source: the list of verbs.
//!
//! Upstream's archive says how it was built ([`Upstream`]); with the same Go, from the same
//! modules, by the same flags the programs are built here, in the same sandbox as those of
//! `etcd.source = "build"`, and compared. What is got and built is kept in the store.

use crate::error::{CommandError, Failure, OrFail, Result};
use crate::lock::resolve::fetch_to_file;
use crate::lock::{Etcd, Lock};
use crate::means::Means;
use crate::realise::{GoInputs, StepFailure, adopt, go_host, release_archive};
use imgbuild_base::event::Unit;
use imgbuild_base::{Arch, Digest, Events, Hasher};
use imgbuild_etcd::reproduce::{Comparison, MAIN_MODULES, Upstream};
use imgbuild_etcd::{BuildLock, EtcdVersion, ReleaseLock, release};
use imgbuild_golang::repository::{self, Bundle, Bundles, RepositoryBuild, RepositoryRequest};
use imgbuild_golang::sandbox::Namespaces;
use imgbuild_golang::toolchain;
use imgbuild_golang::{GoVersion, Program, ToolchainLock};
use imgbuild_store::{Object, Output, StepKey, StepKind, StepResult};
use std::path::Path;

/// Changes when the same inputs would give other programs, or other bundles.
const VERSION: &str = "1";

/// What was found.
pub(crate) struct Reproduced {
    /// etcd's version.
    pub(crate) version: EtcdVersion,
    /// The file name of upstream's archive, and its SHA-256.
    pub(crate) archive: (String, Digest),
    /// How upstream built.
    pub(crate) upstream: Upstream,
    /// The programs.
    pub(crate) programs: Vec<Comparison>,
}

impl Reproduced {
    /// Whether every program is the same to the bit.
    pub(crate) fn is_identical(&self) -> bool {
        self.programs.iter().all(|one| one.place.is_none())
    }
}

/// Fetches upstream's release, builds the same here, compares.
pub(crate) fn reproduce(
    lock: &Lock,
    arch: Arch,
    means: &Means,
    events: &Events,
) -> Result<Reproduced> {
    let lock = wanted(lock)?;
    let work = Work {
        lock,
        arch,
        means,
        events,
    };
    let release = work.release()?;
    let archive = release_archive(means, &release, arch).map_err(elsewhere)?;
    let bytes = archive.bytes().or_fail(Failure::Storage)?;
    let theirs = release.unpack(arch, &bytes).or_fail(Failure::Verify)?;
    let upstream = Upstream::of(&theirs).or_fail(Failure::Verify)?;
    for limit in upstream.limits() {
        events.warn(limit);
    }
    let programs = work.programs(&upstream)?;
    Ok(Reproduced {
        version: lock.version,
        archive: (
            release::archive_name(lock.version, arch).or_fail(Failure::Recipe)?,
            archive.digest(),
        ),
        programs: upstream
            .compare(&theirs, &programs)
            .or_fail(Failure::Other)?,
        upstream,
    })
}

/// The lock of the etcd that is built from source; where nodes build several, the first.
fn wanted(lock: &Lock) -> Result<&BuildLock> {
    let built = lock.etcds().find_map(|etcd| match etcd {
        Etcd::Build(lock) => Some(lock),
        Etcd::Release(_) => None,
    });
    built.ok_or_else(|| {
        CommandError::msg(
            Failure::Recipe,
            "the recipe does not build etcd: there are no modules that upstream's release could \
             be built from",
        )
        .hint("set etcd.source = \"build\" and lock the recipe anew")
    })
}

fn elsewhere(error: CommandError) -> CommandError {
    match error.failure() {
        Failure::Fetch => error.with_hint(
            "this needs upstream's archive; --etcd-mirror URL names another place that has it",
        ),
        _ => error,
    }
}

/// What it is done with.
struct Work<'a> {
    lock: &'a BuildLock,
    arch: Arch,
    means: &'a Means,
    events: &'a Events,
}

impl Work<'_> {
    /// The archive that upstream's sums name today.
    fn release(&self) -> Result<ReleaseLock> {
        let scratch = self.means.store.scratch().or_fail(Failure::Storage)?;
        let fetch = fetch_to_file(&self.means.fetcher);
        let (version, arches) = (self.lock.version, [self.arch]);
        release::resolve(version, &arches, &self.means.etcd, &fetch, scratch.path()).map_err(
            |error| match error {
                release::ReleaseError::NoArchive(_) => {
                    let text = format!("upstream releases no etcd for {}", self.arch);
                    CommandError::msg(Failure::Recipe, text)
                        .hint("only recipes for amd64 and arm64 can be compared with upstream")
                }
                error => elsewhere(CommandError::new(Failure::Fetch, &error)),
            },
        )
    }

    /// The programs, built as upstream built its.
    fn programs(&self, upstream: &Upstream) -> Result<Vec<Program>> {
        let scratch = self.means.store.scratch().or_fail(Failure::Storage)?;
        let inputs = GoInputs {
            means: self.means,
            events: self.events,
            host: go_host()?,
            scratch: scratch.path(),
        };
        let toolchain = self.toolchain(&inputs, upstream.go)?;
        let compiler = inputs.toolchain(&toolchain)?;
        let bundles = self.bundles(&inputs, &toolchain, &compiler)?;
        let flags = upstream.flags();
        let mut key = Hasher::new();
        key.field(VERSION)
            .field(compiler.digest().as_bytes())
            .field(bundles.tree.digest.as_bytes())
            .field(bundles.modules.digest.as_bytes())
            .field(self.arch.debian())
            .field(flags.join("\n"))
            .field(format!("{:?} {:?}", upstream.commit, upstream.top()));
        let what = format!("etcd {} as upstream builds it", self.lock.version);
        let step = self.step("etcd-as-upstream", key.finish(), &what, || {
            let dir = directory(scratch.path(), "compile")?;
            let request = RepositoryBuild {
                toolchain: (&toolchain, compiler.path()),
                bundles: &bundles,
                programs: &MAIN_MODULES,
                arch: self.arch,
                flags: &flags,
                commit: upstream.commit.as_ref(),
                top: upstream.top(),
                scratch: &dir,
                namespaces: Namespaces::Try,
            };
            let built = repository::build(&request, self.events).or_fail(Failure::Other)?;
            let mut result = StepResult::default();
            for program in built {
                let object = self.means.store.put(&program.bytes);
                let object = object.or_fail(Failure::Storage)?;
                result.outputs.insert(program.name, Output::from(&object));
            }
            Ok(result)
        })?;
        step.outputs
            .keys()
            .map(|name| {
                let bytes = self.output(&step, name)?.bytes();
                Ok(Program {
                    name: name.clone(),
                    bytes: bytes.or_fail(Failure::Storage)?.to_vec(),
                })
            })
            .collect()
    }

    /// The compiler: the lock's where it is upstream's, otherwise one that Go's checksum database
    /// vouches for.
    fn toolchain(&self, inputs: &GoInputs<'_>, version: GoVersion) -> Result<ToolchainLock> {
        let own = &self.lock.go.toolchain;
        if own.version == version {
            return Ok(own.clone());
        }
        let host = inputs.host;
        let mut key = Hasher::new();
        key.field(VERSION).field(version.module_version(host));
        let what = format!("Go {version} for {host}");
        let step = self.step("go-toolchain", key.finish(), &what, || {
            self.online(&what)?;
            let dir = directory(inputs.scratch, "discover")?;
            let out = inputs.scratch.join("discovered.bundle");
            let digest = inputs
                .with_sources(|sources| toolchain::discover(version, host, sources, &dir, &out))?;
            let object = adopt(&self.means.store, &out, digest)?;
            Ok(StepResult {
                outputs: [("bundle".to_owned(), Output::from(&object))].into(),
                ..StepResult::default()
            })
        })?;
        let bundle = self.output(&step, "bundle")?.digest();
        Ok(ToolchainLock {
            version,
            bundles: [(host, bundle)].into(),
        })
    }

    /// The repository's modules, and those that they need.
    fn bundles(
        &self,
        inputs: &GoInputs<'_>,
        toolchain: &ToolchainLock,
        compiler: &Object,
    ) -> Result<Bundles> {
        let version = self.lock.version.tag();
        let known = &self.lock.go.go_sum;
        let mut key = Hasher::new();
        key.field(VERSION).field(&version).field(known.to_string());
        let what = format!("the modules of etcd's repository at {version}");
        let step = self.step("etcd-repository", key.finish(), &what, || {
            self.online(&what)?;
            let go = inputs.go(toolchain, compiler)?;
            let request = RepositoryRequest {
                version: &version,
                programs: &MAIN_MODULES,
                known,
            };
            let dir = directory(inputs.scratch, "repository")?;
            let got = repository::acquire(&request, &go, &dir).or_fail(Failure::Fetch)?;
            let mut result = StepResult::default();
            for (name, bundle) in [("tree", got.tree), ("modules", got.modules)] {
                let object = adopt(&self.means.store, &bundle.path, bundle.digest)?;
                result
                    .outputs
                    .insert(name.to_owned(), Output::from(&object));
            }
            Ok(result)
        })?;
        let bundle = |name: &str| -> Result<Bundle> {
            let object = self.output(&step, name)?;
            Ok(Bundle {
                path: object.path().to_owned(),
                digest: object.digest(),
            })
        };
        Ok(Bundles {
            tree: bundle("tree")?,
            modules: bundle("modules")?,
        })
    }

    fn online(&self, what: &str) -> Result<()> {
        match self.means.offline {
            false => Ok(()),
            true => Err(
                CommandError::msg(Failure::Fetch, format!("{what} is not in the store"))
                    .hint("run it once without --offline"),
            ),
        }
    }

    /// A step's result, from the store or by doing it.
    fn step(
        &self,
        kind: &str,
        digest: Digest,
        what: &str,
        run: impl FnOnce() -> Result<StepResult>,
    ) -> Result<StepResult> {
        let key = StepKey::new(StepKind::new(kind).or_fail(Failure::Other)?, digest);
        let done = self.means.store.realise::<StepFailure>(&key, what, || {
            let _task = self.events.start(what, None, Unit::Items);
            Ok(StepResult {
                what: format!("{kind}: {what}"),
                ..run()?
            })
        });
        match done {
            Ok(done) => Ok(done.into_result()),
            Err(StepFailure(error)) => Err(error.context(format!("getting {what}"))),
        }
    }

    /// An object that a step gave.
    fn output(&self, result: &StepResult, name: &str) -> Result<Object> {
        let named = result.outputs.get(name);
        let object = match named {
            Some(output) => self
                .means
                .store
                .object(output.digest)
                .or_fail(Failure::Storage)?,
            None => None,
        };
        object.ok_or_else(|| {
            let text = format!("{name} of {} vanished from the store", result.what);
            CommandError::msg(Failure::Storage, text).hint("run it again")
        })
    }
}

fn directory(scratch: &Path, name: &str) -> Result<std::path::PathBuf> {
    let dir = scratch.join(name);
    fs_err::create_dir(&dir).or_fail(Failure::Storage)?;
    Ok(dir)
}
