//! Pinning a recipe's inputs anew: the only command that asks what is newest.

use super::sets::combine;
use super::{Debian, Etcd, Lock};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::means::Means;
use crate::plan;
use crate::realise::fetch_failed;
use imgbuild_base::{Epoch, Events};
use imgbuild_debian::index::Index;
use imgbuild_debian::lock::{Component, LockedPackage, SuiteName};
use imgbuild_debian::relation::{Dependency, PackageName};
use imgbuild_debian::release::{Keyring, Release, verify_inrelease};
use imgbuild_debian::resolve::{Options, Pin, ResolveError, resolve as solve};
use imgbuild_etcd::{BuildLock, EtcdVersion, build, debian, release};
use imgbuild_fetch::mirrors::Archive;
use imgbuild_fetch::{Fetcher, Item, Location};
use imgbuild_golang::HostGo;
use imgbuild_golang::toolchain::Sources;
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::EtcdSource;
use imgbuild_recipe::values::PackageName as Wished;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use time::OffsetDateTime;
use time::macros::format_description;

/// The largest InRelease anybody signs, in bytes.
const MAX_INRELEASE: u64 = 4 << 20;
/// The largest file a toolchain is fetched as, in bytes.
const MAX_ARCHIVE: u64 = 1 << 30;

/// What the user wants newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Only what is no longer to be had.
    Keep,
    /// These packages (or `etcd`) as well.
    Update(BTreeSet<String>),
    /// Everything.
    All,
}

impl Wish {
    fn wants(&self, name: &str) -> bool {
        match self {
            Self::Keep => false,
            Self::Update(names) => names.contains(name),
            Self::All => true,
        }
    }
}

/// What resolving works with.
pub(crate) struct Resolver<'a> {
    /// The recipe.
    pub(crate) recipe: &'a Recipe,
    /// Its lock so far.
    pub(crate) old: Option<&'a Lock>,
    /// What is to be newer.
    pub(crate) wish: &'a Wish,
    /// Whether the new lock's time is to be now though nothing else changed.
    pub(crate) renew: bool,
    /// Suites to leave out.
    pub(crate) skip: &'a [String],
    /// Keys that may sign the archive.
    pub(crate) keyring: &'a Keyring,
    /// Network and store.
    pub(crate) means: &'a Means,
    /// The clock: what may be trusted today, and the new lock's epoch.
    pub(crate) now: Epoch,
    /// Where work reports.
    pub(crate) events: &'a Events,
}

/// The suites a recipe's packages come from, with the archive that has them.
fn suites(recipe: &Recipe) -> Result<Vec<(SuiteName, Archive)>> {
    let suite = recipe.image.suite.as_str();
    [
        (suite.to_owned(), Archive::Main),
        (format!("{suite}-updates"), Archive::Main),
        (format!("{suite}-security"), Archive::Security),
    ]
    .into_iter()
    .map(|(name, archive)| Ok((name.parse().or_fail(Failure::Other)?, archive)))
    .collect()
}

impl Resolver<'_> {
    /// Pins everything. Where nothing changed the old lock comes back, time and all, unless
    /// it is to be renewed.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let debian = self.debian()?;
        self.check_names(&debian)?;
        let sources = self.recipe.etcd_sources().into_iter();
        let pinned = sources.map(|source| self.etcd(source));
        let etcds: Vec<Etcd> = pinned
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        if let Some(old) = self.old {
            let same = old.debian.packages == debian.packages
                && old.debian.sets == debian.sets
                && old.etcds().eq(&etcds);
            if same && !self.renew && old.check(self.recipe).is_ok() {
                return Ok(old.clone());
            }
        }
        Ok(Lock::new(self.recipe, self.now, debian, etcds))
    }

    /// What is to be newer must be something that the lock pins, or pinned so far.
    fn check_names(&self, debian: &Debian) -> Result<()> {
        let Wish::Update(names) = self.wish else {
            return Ok(());
        };
        let old = self.old.map(|lock| &lock.debian);
        let pinned = |name: &str| {
            let locks = [Some(debian), old].into_iter().flatten();
            let mut packages = locks.flat_map(|lock| &lock.packages);
            name == "etcd" || packages.any(|package| package.name.as_str() == name)
        };
        match names.iter().find(|name| !pinned(name)) {
            None => Ok(()),
            Some(name) => {
                let text = format!("--update {name}: no package of that name is locked");
                Err(CommandError::msg(Failure::Other, text)
                    .hint("it takes names from the lock, and `etcd`; --all updates everything"))
            }
        }
    }

    fn debian(&self) -> Result<Debian> {
        let mut verified = Vec::new();
        let mut newest = Epoch::ZERO;
        let mut used = Vec::new();
        for (suite, archive) in suites(self.recipe)? {
            if self.skip.iter().any(|skipped| skipped == suite.as_str()) {
                let text = format!("{suite} is left out: what it has newer is not taken");
                self.events.warn(text);
                continue;
            }
            used.push(suite.clone());
            let release = self.release(&suite, archive)?;
            newest = newest.max(release.date());
            for component in &self.recipe.image.components {
                let component: Component = component.as_str().parse().or_fail(Failure::Other)?;
                let index = release
                    .index(&component, self.recipe.image.arch)
                    .or_fail(Failure::Verify)?;
                let path = format!("dists/{suite}/{}", index.by_hash);
                let item = Item {
                    what: format!("the index of {suite}/{component}"),
                    candidates: self.means.debian(archive, &path)?,
                    digest: index.sha256,
                    size: Some(index.size.get()),
                };
                let bytes = self.means.fetcher.fetch_bytes(vec![item]);
                let bytes = bytes.map_err(|error| index_failed(&error, &suite))?;
                verified.push(index.verify(&bytes[0]).or_fail(Failure::Verify)?);
            }
        }
        let indexes: Vec<Index<'_>> = verified
            .iter()
            .map(|index| index.parse().or_fail(Failure::Verify))
            .collect::<Result<_>>()?;
        let resolved = self.recipe.package_sets().into_iter();
        let resolved = resolved.map(|wished| Ok((wished, self.packages(&indexes, wished)?)));
        let (packages, sets) = combine(resolved.collect::<Result<_>>()?)?;
        Ok(Debian {
            snapshot: snapshot_time(newest)?,
            suites: used,
            packages,
            sets,
        })
    }

    /// A suite's release from the first mirror whose copy can be trusted.
    fn release(&self, suite: &SuiteName, archive: Archive) -> Result<Release> {
        let candidates = self
            .means
            .debian(archive, &format!("dists/{suite}/InRelease"))?;
        let what = format!("the release of {suite}");
        let mut problems = Vec::new();
        let mut failure = Failure::Fetch;
        for candidate in &candidates {
            match self.verified_release(&what, candidate, suite) {
                Ok(release) => return Ok(release),
                Err(error) => {
                    if error.failure() == Failure::Verify {
                        failure = Failure::Verify;
                    }
                    problems.push(format!("\n  {candidate}: {error}"));
                }
            }
        }
        let text = format!("{what} is to be had from no mirror:{}", problems.concat());
        Err(CommandError::msg(failure, text)
            .hint("name a mirror with --mirror URL, or check the clock of this machine"))
    }

    fn verified_release(&self, what: &str, place: &Location, suite: &SuiteName) -> Result<Release> {
        let places = std::slice::from_ref(place);
        let fetched = self.means.fetcher.get_unpinned(what, places, MAX_INRELEASE);
        let (bytes, _) = fetched.map_err(|error| fetch_failed(&error))?;
        bytes
            .verify(|bytes| verify_inrelease(&bytes, self.keyring, self.now, suite))
            .or_fail(Failure::Verify)
    }

    /// The packages of nodes with these further ones.
    fn packages(&self, indexes: &[Index<'_>], wished: &[Wished]) -> Result<Vec<LockedPackage>> {
        let selection = plan::selection(self.recipe)?;
        let mut roots: BTreeSet<String> = selection.roots;
        let image = &self.recipe.image;
        roots.extend(wished.iter().map(|name| name.as_str().to_owned()));
        if self.recipe.etcd_sources().contains(&EtcdSource::Debian) {
            roots.extend(debian::PACKAGES.map(str::to_owned));
        }
        let wanted: Vec<Dependency> = roots
            .iter()
            .map(|name| name.parse().or_fail(Failure::Recipe))
            .collect::<Result<_>>()?;
        let exclude: BTreeSet<PackageName> = selection
            .exclude
            .iter()
            .filter(|name| !roots.contains(*name))
            .map(|name| name.parse().or_fail(Failure::Other))
            .collect::<Result<_>>()?;
        let pins = self.pins(indexes);
        let mut options = Options {
            arch: image.arch,
            exclude,
            pins,
        };
        match solve(indexes, &wanted, &options) {
            Err(ResolveError::Conflict(_)) if !options.pins.is_empty() => {
                // What was pinned no longer goes together with what is new.
                self.events
                    .note("the locked versions no longer fit together: taking newer ones");
                options.pins = BTreeMap::new();
                solve(indexes, &wanted, &options).or_fail(Failure::Recipe)
            }
            other => other.or_fail(Failure::Recipe),
        }
    }

    /// The locked versions that are still to be had.
    fn pins(&self, indexes: &[Index<'_>]) -> BTreeMap<PackageName, Pin> {
        let Some(old) = self.old else {
            return BTreeMap::new();
        };
        let available: BTreeSet<(&str, _)> = indexes
            .iter()
            .flat_map(|index| &index.records)
            .map(|record| (record.name, record.sha256))
            .collect();
        old.debian
            .packages
            .iter()
            .filter(|package| !self.wish.wants(package.name.as_str()))
            .filter(|package| available.contains(&(package.name.as_str(), package.sha256)))
            .map(|package| (package.name.clone(), Pin::Version(package.version.clone())))
            .collect()
    }

    /// Pins one etcd; nothing where it is among the Debian packages.
    fn etcd(&self, source: EtcdSource) -> Result<Option<Etcd>> {
        let Some(version) = source.version() else {
            return Ok(None);
        };
        let version: EtcdVersion = version.to_string().parse().or_fail(Failure::Recipe)?;
        let old = self
            .old
            .and_then(|lock| lock.etcds().find(|old| old.is(source)));
        match (source, old) {
            (_, Some(old)) if !self.wish.wants("etcd") => Ok(Some(old.clone())),
            (EtcdSource::Build { .. }, _) => self.build_lock(version).map(Some),
            (EtcdSource::Release { .. }, _) => self.release_lock(version).map(Some),
            (EtcdSource::Debian, _) => Ok(None),
        }
    }

    fn build_lock(&self, version: EtcdVersion) -> Result<Etcd> {
        let scratch = self.means.store.scratch().or_fail(Failure::Storage)?;
        let go = HostGo::find();
        let fetch = fetch_to_file(&self.means.fetcher);
        let sources = Sources {
            go: go.as_ref(),
            fetch: &fetch,
        };
        let modules = build::modules(version);
        let request = build::request(&modules);
        let resolved = imgbuild_golang::resolve(&request, sources, scratch.path(), self.events)
            .or_fail(Failure::Fetch)
            .map_err(|error| error.context(format!("pinning the modules of etcd {version}")))?;
        for (digest, path) in &resolved.bundles {
            crate::realise::adopt(&self.means.store, path, *digest)?;
        }
        Ok(Etcd::Build(BuildLock {
            version,
            go: resolved.lock,
        }))
    }

    fn release_lock(&self, version: EtcdVersion) -> Result<Etcd> {
        let scratch = self.means.store.scratch().or_fail(Failure::Storage)?;
        let fetch = fetch_to_file(&self.means.fetcher);
        let arches = [self.recipe.image.arch];
        release::resolve(version, &arches, &self.means.etcd, &fetch, scratch.path())
            .map(Etcd::Release)
            .or_fail(Failure::Fetch)
    }
}

/// Fetches an address into a file, for crates that check what they get themselves.
pub(crate) fn fetch_to_file(
    fetcher: &Fetcher,
) -> impl Fn(&str, &Path) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> + Sync
{
    move |url, path| {
        let place: Location = url.parse()?;
        let (bytes, _) = fetcher.get_unpinned(url, &[place], MAX_ARCHIVE)?;
        bytes.verify(|bytes| fs_err::write(path, bytes))?;
        Ok(())
    }
}

/// A mirror that is being updated, or was updated badly, has another index than its release
/// says: then only other mirrors, time, or doing without the suite help.
fn index_failed(error: &imgbuild_fetch::FetchError, suite: &SuiteName) -> CommandError {
    fetch_failed(error).with_hint(format!(
        "the mirror does not have what its signed release promises: try later, name another \
         with --mirror URL, or leave the suite out with --skip-suite {suite}"
    ))
}

/// A time as the snapshot archive names its directories.
fn snapshot_time(epoch: Epoch) -> Result<String> {
    let seconds = i64::try_from(epoch.seconds()).or_fail(Failure::Other)?;
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    OffsetDateTime::from_unix_timestamp(seconds)
        .or_fail(Failure::Other)?
        .format(format)
        .or_fail(Failure::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_times_have_the_archives_form() {
        let time = snapshot_time(Epoch::from_u32(1_794_622_501)).unwrap();
        assert_eq!(time, "20261114T021501Z");
    }
}
