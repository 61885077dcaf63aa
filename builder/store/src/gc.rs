//! What the store takes up, and how it gets smaller.

use crate::error::StoreError;
use crate::files::{entries, remove};
use crate::lock::{self, Mode};
use crate::result::{StepKey, StepKind, StepResult};
use crate::store::Store;
use imgbuild_base::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What [`Store::gc`] may remove. What a root reaches always stays; results that name missing
/// objects always go.
#[derive(Clone, Debug)]
pub struct GcPolicy {
    /// The time that ages are counted from: the caller's clock.
    pub now: SystemTime,
    /// Removes what was last used longer ago than this; `Some(ZERO)` everything without a root.
    pub older_than: Option<Duration>,
    /// Removes what was used longest ago until no more bytes than this remain.
    pub max_size: Option<u64>,
    /// Roots that are removed too, so that what only they reach may go. They must be there.
    pub forget: BTreeSet<String>,
    /// Only says what would be removed.
    pub dry_run: bool,
}

/// What [`Store::gc`] removed, or would have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Results of steps, in the order of their keys.
    pub results: Vec<StepKey>,
    /// Objects, in the order of their digests.
    pub objects: Vec<Digest>,
    /// Cut-off downloads.
    pub partials: u64,
    /// The bytes of those objects and downloads.
    pub freed: u64,
    /// The objects that stay.
    pub kept_objects: u64,
    /// Their bytes.
    pub kept: u64,
}

/// What the store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// By kind of step. An object that several results name counts for each of them.
    pub kinds: BTreeMap<StepKind, KindUsage>,
    /// All objects, each once.
    pub objects: KindUsage,
    /// Objects that no result names.
    pub unreferenced: KindUsage,
    /// Downloads that were cut off.
    pub partials: KindUsage,
}

/// A number of things and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindUsage {
    /// How many.
    pub count: u64,
    /// Their bytes together.
    pub bytes: u64,
}

impl KindUsage {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

struct Found {
    path: PathBuf,
    len: u64,
    used: SystemTime,
}

/// All there is, as it lies on the disk.
struct Inventory {
    results: BTreeMap<StepKey, (Found, Option<StepResult>)>,
    objects: BTreeMap<Digest, Found>,
    partials: Vec<Found>,
}

impl Inventory {
    fn take(store: &Store) -> Result<Self, StoreError> {
        let mut objects = BTreeMap::new();
        for (_, directory) in entries(&store.inner.layout.objects())? {
            for (name, path) in entries(&directory)? {
                if let (Ok(digest), Some(found)) = (name.parse(), found(path)?) {
                    objects.insert(digest, found);
                }
            }
        }
        let mut results = BTreeMap::new();
        for (key, path) in store.result_files()? {
            let Some(found) = found(path)? else { continue };
            let result = fs_err::read(&found.path).ok();
            let result = result.and_then(|text| serde_json::from_slice(&text).ok());
            results.insert(key, (found, result));
        }
        let mut partials = Vec::new();
        for (_, path) in entries(&store.inner.layout.partials())? {
            partials.extend(found(path)?);
        }
        Ok(Self {
            results,
            objects,
            partials,
        })
    }
}

/// `None` when the file went away meanwhile.
fn found(path: PathBuf) -> Result<Option<Found>, StoreError> {
    match fs_err::symlink_metadata(&path) {
        Ok(metadata) => {
            let used = metadata
                .modified()
                .map_err(StoreError::at("reading", &path))?;
            Ok(Some(Found {
                path,
                len: metadata.len(),
                used,
            }))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("reading", &path, error)),
    }
}

/// What the roots name.
struct Roots {
    steps: BTreeSet<StepKey>,
    objects: BTreeSet<Digest>,
}

impl Roots {
    /// Reads all roots but those that are to be forgotten, whose files are returned beside.
    fn read(store: &Store, forget: &BTreeSet<String>) -> Result<(Self, Vec<PathBuf>), StoreError> {
        let mut roots = Self {
            steps: BTreeSet::new(),
            objects: BTreeSet::new(),
        };
        let all = entries(&store.inner.layout.roots())?;
        if let Some(name) = forget
            .iter()
            .find(|name| all.iter().all(|(it, _)| it != *name))
        {
            return Err(StoreError::NoRoot {
                name: name.clone(),
                roots: all.into_iter().map(|(name, _)| name).collect(),
            });
        }
        let mut forgotten = Vec::new();
        for (name, path) in all {
            if forget.contains(&name) {
                forgotten.push(path);
                continue;
            }
            let text = fs_err::read_to_string(&path).map_err(StoreError::at("reading", &path))?;
            for line in text.lines() {
                if let Ok(step) = line.parse() {
                    roots.steps.insert(step);
                } else if let Ok(digest) = line.parse() {
                    roots.objects.insert(digest);
                } else {
                    // Nothing may be removed on the word of a root that cannot be read.
                    let wrong = format!("{line:?} is neither a step's key nor a SHA-256");
                    let wrong = std::io::Error::new(std::io::ErrorKind::InvalidData, wrong);
                    return Err(StoreError::io("reading", &path, wrong));
                }
            }
        }
        Ok((roots, forgotten))
    }
}

impl Store {
    /// Removes what the policy lets go. Nobody else may have the store open, and this must be
    /// its only handle in the process, with no writer under way.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when somebody has; otherwise when the file system refuses.
    pub fn gc(&self, policy: &GcPolicy) -> Result<GcReport, StoreError> {
        if policy.dry_run {
            return self.collect(policy);
        }
        self.needs_writing("collecting garbage")?;
        let in_use = || StoreError::InUse {
            path: self.path().to_owned(),
        };
        if Arc::strong_count(&self.inner) > 1 {
            return Err(in_use());
        }
        let lease = self.inner.lease.as_ref().ok_or_else(in_use)?;
        // A failed conversion may have given the shared lock up (flock(2)), hence the wait.
        let alone = lock::attempt(lease, Mode::Exclusive)?;
        let collected = if alone {
            self.collect(policy)
        } else {
            Err(in_use())
        };
        lock::wait(lease, Mode::Shared)?;
        collected
    }

    fn collect(&self, policy: &GcPolicy) -> Result<GcReport, StoreError> {
        let mut all = Inventory::take(self)?;
        let (roots, forgotten) = Roots::read(self, &policy.forget)?;
        let doomed = select(&all, &roots, policy);
        let mut report = GcReport::default();
        if !policy.dry_run {
            for root in &forgotten {
                remove(root)?;
            }
        }
        // Results first: killed in between, no result is left that names a missing object.
        for key in doomed.results {
            if let Some((found, _)) = all.results.remove(&key) {
                if !policy.dry_run {
                    remove(&found.path)?;
                }
                report.results.push(key);
            }
        }
        for digest in doomed.objects {
            if let Some(found) = all.objects.remove(&digest) {
                if !policy.dry_run {
                    remove(&found.path)?;
                }
                report.freed += found.len;
                report.objects.push(digest);
            }
        }
        for found in all.partials.iter().filter(|found| policy.is_old(found)) {
            if !policy.dry_run {
                remove(&found.path)?;
            }
            report.freed += found.len;
            report.partials += 1;
        }
        if !policy.dry_run {
            // Nobody else has the store open, so nobody holds or waits for one of these.
            for (_, path) in entries(&self.inner.layout.locks())? {
                remove(&path)?;
            }
        }
        report.kept_objects = all.objects.len() as u64;
        report.kept = all.objects.values().map(|found| found.len).sum();
        Ok(report)
    }

    /// What the store holds, by kind of step.
    ///
    /// # Errors
    /// When the file system refuses to say.
    pub fn du(&self) -> Result<Usage, StoreError> {
        let all = Inventory::take(self)?;
        let mut usage = Usage::default();
        let mut named = BTreeSet::new();
        for (key, (_, result)) in &all.results {
            let kind = usage.kinds.entry(key.kind().clone()).or_default();
            kind.count += 1;
            for output in result.iter().flat_map(|result| result.outputs.values()) {
                named.insert(output.digest);
                kind.bytes += output.len;
            }
        }
        for (digest, found) in &all.objects {
            usage.objects.add(found.len);
            if !named.contains(digest) {
                usage.unreferenced.add(found.len);
            }
        }
        for found in &all.partials {
            usage.partials.add(found.len);
        }
        Ok(usage)
    }
}

impl GcPolicy {
    fn is_old(&self, found: &Found) -> bool {
        // A file from the future was used just now, by somebody whose clock differs.
        let age = self.now.duration_since(found.used).unwrap_or_default();
        self.older_than.is_some_and(|limit| age >= limit)
    }
}

struct Doomed {
    results: BTreeSet<StepKey>,
    objects: BTreeSet<Digest>,
}

/// Decides what goes: pure, and the same for the same inventory.
fn select(all: &Inventory, roots: &Roots, policy: &GcPolicy) -> Doomed {
    let mut doomed = Doomed {
        results: BTreeSet::new(),
        objects: BTreeSet::new(),
    };
    // How many of the results that stay name each object; roots count as one that stays.
    let mut named: BTreeMap<Digest, u64> = BTreeMap::new();
    for digest in &roots.objects {
        *named.entry(*digest).or_default() += 1;
    }
    let whole = |result: &Option<StepResult>| {
        result.as_ref().is_some_and(|result| {
            let there = |digest| all.objects.get(digest).map(|found| found.len);
            let mut outputs = result.outputs.values();
            outputs.all(|output| there(&output.digest) == Some(output.len))
        })
    };
    for (key, (found, result)) in &all.results {
        let stays = whole(result) && (roots.steps.contains(key) || !policy.is_old(found));
        if !stays {
            doomed.results.insert(key.clone());
            continue;
        }
        for output in result.iter().flat_map(|result| result.outputs.values()) {
            *named.entry(output.digest).or_default() += 1;
        }
    }
    let mut size = 0_u64;
    for (digest, found) in &all.objects {
        if !named.contains_key(digest) && policy.is_old(found) {
            doomed.objects.insert(*digest);
        } else {
            size += found.len;
        }
    }
    let Some(max) = policy.max_size else {
        return doomed;
    };

    // Oldest first; ties by name, so that two runs agree.
    enum Candidate<'a> {
        Result(&'a StepKey, &'a StepResult),
        Object(Digest),
    }
    let mut candidates = Vec::new();
    for (key, (found, result)) in &all.results {
        if let Some(result) = result
            && !doomed.results.contains(key)
            && !roots.steps.contains(key)
        {
            let name = key.to_string();
            candidates.push((found.used, name, Candidate::Result(key, result)));
        }
    }
    for (digest, found) in &all.objects {
        if !named.contains_key(digest) && !doomed.objects.contains(digest) {
            let name = digest.to_string();
            candidates.push((found.used, name, Candidate::Object(*digest)));
        }
    }
    candidates.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    for (_, _, candidate) in candidates {
        if size <= max {
            break;
        }
        let mut drop = |digest: Digest| {
            if doomed.objects.insert(digest) {
                size -= all.objects.get(&digest).map_or(0, |found| found.len);
            }
        };
        match candidate {
            Candidate::Object(digest) => drop(digest),
            Candidate::Result(key, result) => {
                doomed.results.insert(key.clone());
                for output in result.outputs.values() {
                    if let Some(count) = named.get_mut(&output.digest) {
                        *count -= 1;
                        if *count == 0 {
                            drop(output.digest);
                        }
                    }
                }
            }
        }
    }
    doomed
}
