//! Which packages are needed for what is wanted, and in which versions.
//!
//! The question is put to a SAT solver ([`resolvo`]), so an answer is found whenever there is
//! one. Among several answers it takes, like apt: the first alternative of a dependency that
//! will do; the package of that name before those that only provide it, and these by their
//! priority, then name; the newest version; a suite that is not automatic (backports) only
//! where it is pinned or nothing else will do. `Recommends` are not followed, and essential
//! packages are not added by themselves.

mod universe;

use crate::index::Index;
use crate::lock::{LockedPackage, PackageArch, SuiteName};
use crate::relation::{Dependency, PackageName};
use crate::version::{Version, VersionError};
use imgbuild_base::{Arch, TreePath};
use resolvo::{DenseIndex, Problem, Solver, UnsolvableOrCancelled};
use std::collections::{BTreeMap, BTreeSet};
use universe::Universe;

/// What the answer has to respect.
#[derive(Clone, Debug)]
pub struct Options {
    /// The architecture packages are chosen for.
    pub arch: Arch,
    /// Names left out on purpose: these packages are never chosen, and a dependency that
    /// names one of them among its alternatives, or that only they could meet, counts as met.
    pub exclude: BTreeSet<PackageName>,
    /// Packages that are to come in one version or from one suite.
    pub pins: BTreeMap<PackageName, Pin>,
}

/// What a pinned package must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Exactly this version.
    Version(Version),
    /// The newest version of this suite.
    Suite(SuiteName),
}

impl Options {
    /// No exclusions and no pins.
    #[must_use]
    pub const fn new(arch: Arch) -> Self {
        Self {
            arch,
            exclude: BTreeSet::new(),
            pins: BTreeMap::new(),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// No index has the package.
    #[error(
        "no package is or provides {wanted:?} in {suites}: is the name right, and the architecture?"
    )]
    Unknown {
        /// What was wanted.
        wanted: String,
        /// Where it was looked for.
        suites: String,
    },
    /// A package is wanted and excluded.
    #[error("{0} is both wanted and excluded")]
    Excluded(PackageName),
    /// The wishes contradict each other, or a dependency cannot be met.
    #[error("the wanted packages cannot be installed together:\n{0}")]
    Conflict(String),
    /// An index has a malformed version.
    #[error("in the index of {suite}: package {package}: {source}")]
    Version {
        /// The suite.
        suite: SuiteName,
        /// The package.
        package: String,
        /// What is wrong.
        source: VersionError,
    },
    /// A chosen package's stanza has a field that cannot go into a lock.
    #[error("in the index of {suite}: package {package} cannot be used: {why}")]
    Record {
        /// The suite.
        suite: SuiteName,
        /// The package.
        package: String,
        /// What is wrong.
        why: String,
    },
}

/// Chooses packages that meet every wish, and what they depend on.
///
/// The indexes may be of several suites and components; of one version found in several, the
/// first index's is taken. The answer is sorted by name and depends on nothing but the
/// arguments.
///
/// # Errors
/// [`ResolveError`]: a wish nothing can meet, wishes that contradict each other (explained in
/// words), or an index with malformed fields.
pub fn resolve(
    indexes: &[Index<'_>],
    wanted: &[Dependency],
    options: &Options,
) -> Result<Vec<LockedPackage>, ResolveError> {
    let universe = Universe::new(indexes, options)?;
    let mut requirements = Vec::new();
    for wish in wanted {
        for relation in wish.alternatives() {
            if options.exclude.contains(&relation.name) {
                return Err(ResolveError::Excluded(relation.name.clone()));
            }
        }
        if !universe.knows(wish) {
            let suites: BTreeSet<&str> = indexes.iter().map(|i| i.suite.as_str()).collect();
            return Err(ResolveError::Unknown {
                wanted: wish.to_string(),
                suites: suites.into_iter().collect::<Vec<_>>().join(", "),
            });
        }
        requirements.extend(universe.requirement(wish));
    }
    let mut solver = Solver::new(universe);
    let problem = Problem::new().requirements(requirements);
    let chosen = match solver.solve(problem) {
        Ok(chosen) => chosen,
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            let words = conflict.display_user_friendly(&solver).to_string();
            return Err(ResolveError::Conflict(words));
        }
        Err(UnsolvableOrCancelled::Cancelled(_)) => {
            return Err(ResolveError::Conflict("cancelled".to_owned()));
        }
    };
    let mut locked = chosen
        .into_iter()
        .map(|id| lock(solver.provider().package(id.to_index()), indexes))
        .collect::<Result<Vec<_>, _>>()?;
    locked.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(locked)
}

fn lock(
    package: &universe::Package<'_>,
    indexes: &[Index<'_>],
) -> Result<LockedPackage, ResolveError> {
    let index = &indexes[package.index];
    let record = package.record;
    let bad = |why: String| ResolveError::Record {
        suite: index.suite.clone(),
        package: record.name.to_owned(),
        why,
    };
    let path = TreePath::new(record.filename).map_err(|error| bad(error.to_string()))?;
    if path.as_str() != record.filename {
        return Err(bad(format!("its path {:?} is not plain", record.filename)));
    }
    let arch: PackageArch = record
        .architecture
        .parse()
        .map_err(|error: crate::lock::LockError| bad(error.to_string()))?;
    Ok(LockedPackage {
        name: record
            .name
            .parse()
            .map_err(|error: crate::relation::RelationError| bad(error.to_string()))?,
        version: package.version.clone(),
        arch,
        suite: index.suite.clone(),
        component: index.component.clone(),
        path,
        size: record.size,
        sha256: record.sha256,
    })
}
