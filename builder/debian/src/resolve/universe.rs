//! The packages of all indexes, in the solver's terms.
//!
//! A solvable is a package of one version; its number is its place in [`Universe::packages`].
//! A name is the name of a real package. Virtual packages need no name: a relation becomes a
//! choice between *version sets*, one for each real package that meets it, and a version set
//! is simply the list of solvables that will do. A conflict becomes, for each package it
//! hits, the set of that package's other versions.

use super::{Options, Pin, ResolveError};
use crate::index::{Index, Priority, Record};
use crate::relation::{Dependency, Relation, RelationError, parse_list};
use crate::version::Version;
use imgbuild_base::Arch;
use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, DenseIndex, Dependencies,
    DependencyProvider, HintDependenciesAvailable, Interner, KnownDependencies, NameId,
    Requirement, SolvableId, SolverCache, StringId, VersionSetId, VersionSetUnionId,
};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;

/// One version of a package.
#[derive(Debug)]
pub(super) struct Package<'a> {
    pub(super) record: &'a Record<'a>,
    pub(super) version: Version,
    /// The index it stands in.
    pub(super) index: usize,
    name: usize,
}

/// One package that provides a name.
struct Provider {
    package: usize,
    version: Option<Version>,
}

/// Some of a package's versions, and how to speak of them.
struct VersionSet {
    name: usize,
    packages: Vec<usize>,
    shown: String,
}

pub(super) struct Universe<'a> {
    arch: Arch,
    packages: Vec<Package<'a>>,
    by_name: HashMap<&'a str, usize>,
    /// Each name's packages, the preferred one first.
    of_name: Vec<Vec<usize>>,
    /// The preference of each package among those of its name.
    rank: Vec<usize>,
    /// Packages that a pin rules out, and why.
    ruled_out: HashMap<usize, StringId>,
    providers: HashMap<&'a str, Vec<Provider>>,
    /// Names that may be missing: excluded, or provided by something excluded.
    excluded: HashSet<String>,
    excluded_provides: HashSet<&'a str>,
    /// Real names, then those asked for that nothing has.
    names: RefCell<Vec<String>>,
    sets: RefCell<Vec<VersionSet>>,
    unions: RefCell<Vec<Vec<VersionSetId>>>,
    strings: RefCell<Vec<String>>,
}

impl<'a> Universe<'a> {
    pub(super) fn new(indexes: &'a [Index<'a>], options: &Options) -> Result<Self, ResolveError> {
        let mut universe = Self {
            arch: options.arch,
            packages: Vec::new(),
            by_name: HashMap::new(),
            of_name: Vec::new(),
            rank: Vec::new(),
            ruled_out: HashMap::new(),
            providers: HashMap::new(),
            excluded: options.exclude.iter().map(ToString::to_string).collect(),
            excluded_provides: HashSet::new(),
            names: RefCell::default(),
            sets: RefCell::default(),
            unions: RefCell::default(),
            strings: RefCell::default(),
        };
        for (at, index) in indexes.iter().enumerate() {
            for record in &index.records {
                universe.add(record, at, index)?;
            }
        }
        universe.order(indexes);
        universe.pin(indexes, options);
        Ok(universe)
    }

    fn add(
        &mut self,
        record: &'a Record<'a>,
        index: usize,
        from: &Index<'_>,
    ) -> Result<(), ResolveError> {
        if record.architecture != "all" && record.architecture != self.arch.debian() {
            return Ok(());
        }
        // A malformed Provides provides nothing; whoever needs it will be told so.
        let provides = || parse_list(record.provides).unwrap_or_default();
        if self.excluded.contains(record.name) {
            for (name, _) in raw_names(record.provides) {
                self.excluded_provides.insert(name);
            }
            return Ok(());
        }
        let version: Version = record
            .version
            .parse()
            .map_err(|source| ResolveError::Version {
                suite: from.suite.clone(),
                package: record.name.to_owned(),
                source,
            })?;
        let name = *self.by_name.entry(record.name).or_insert_with(|| {
            self.of_name.push(Vec::new());
            self.names.get_mut().push(record.name.to_owned());
            self.of_name.len() - 1
        });
        let known = self.of_name[name]
            .iter()
            .any(|&other| self.packages[other].version == version);
        if known {
            return Ok(());
        }
        let number = self.packages.len();
        if !record.provides.is_empty() {
            let versions = provides();
            for (at, (name, _)) in raw_names(record.provides).enumerate() {
                let version = versions
                    .get(at)
                    .and_then(|one| one.alternatives()[0].version.clone())
                    .map(|(_, version)| version);
                self.providers.entry(name).or_default().push(Provider {
                    package: number,
                    version,
                });
            }
        }
        self.of_name[name].push(number);
        self.packages.push(Package {
            record,
            version,
            index,
            name,
        });
        Ok(())
    }

    /// Sorts each name's packages by preference.
    fn order(&mut self, indexes: &[Index<'_>]) {
        let packages = &self.packages;
        self.rank = vec![0; packages.len()];
        for group in &mut self.of_name {
            group.sort_by_key(|&at| {
                let package = &packages[at];
                (
                    indexes[package.index].not_automatic,
                    Reverse(&package.version),
                    package.index,
                )
            });
            for (rank, &at) in group.iter().enumerate() {
                self.rank[at] = rank;
            }
        }
    }

    fn pin(&mut self, indexes: &[Index<'_>], options: &Options) {
        for (name, pin) in &options.pins {
            let Some(&name) = self.by_name.get(name.as_str()) else {
                continue;
            };
            let reason = match pin {
                Pin::Version(version) => format!("it is pinned to version {version}"),
                Pin::Suite(suite) => format!("it is pinned to suite {suite}"),
            };
            let reason = self.string(reason);
            for &at in &self.of_name[name] {
                let package = &self.packages[at];
                let fits = match pin {
                    Pin::Version(version) => package.version == *version,
                    Pin::Suite(suite) => indexes[package.index].suite == *suite,
                };
                if !fits {
                    self.ruled_out.insert(at, reason);
                }
            }
        }
    }

    pub(super) fn package(&self, number: usize) -> &Package<'a> {
        &self.packages[number]
    }

    /// Whether any package is or provides one of the names.
    pub(super) fn knows(&self, wish: &Dependency) -> bool {
        wish.alternatives().iter().any(|relation| {
            let name = relation.name.as_str();
            self.by_name.contains_key(name) || self.providers.contains_key(name)
        })
    }

    /// A dependency as the solver wants it; `None` when it does not apply to this
    /// architecture, or what would meet it was left out on purpose.
    pub(super) fn requirement(&self, wish: &Dependency) -> Option<ConditionalRequirement> {
        let relations: Vec<&Relation> = wish
            .alternatives()
            .iter()
            .filter(|relation| relation.applies_to(self.arch))
            .collect();
        let first = relations.first()?;
        if relations
            .iter()
            .any(|relation| self.excluded.contains(relation.name.as_str()))
        {
            return None;
        }
        let mut sets = Vec::new();
        for relation in &relations {
            for (name, packages) in self.matching(relation) {
                let shown = self.shown(name, relation);
                sets.push(self.set(name, packages, shown));
            }
        }
        if sets.is_empty() {
            let left_out =
                |relation: &&Relation| self.excluded_provides.contains(relation.name.as_str());
            if relations.iter().any(left_out) {
                return None;
            }
            let name = self.name(first.name.as_str());
            let shown = self.shown(name, first);
            sets.push(self.set(name, Vec::new(), shown));
        }
        let requirement = match sets.as_slice() {
            [one] => Requirement::Single(*one),
            _ => {
                let mut unions = self.unions.borrow_mut();
                unions.push(sets);
                Requirement::Union(VersionSetUnionId::from_index(unions.len() - 1))
            }
        };
        Some(requirement.into())
    }

    /// The packages that meet a relation, by name: the one of that name, then its providers,
    /// the most important first.
    fn matching(&self, relation: &Relation) -> Vec<(usize, Vec<usize>)> {
        let foreign = relation
            .qualifier
            .as_deref()
            .is_some_and(|q| !matches!(q, "any" | "native") && q != self.arch.debian());
        if foreign {
            return Vec::new();
        }
        let mut found = Vec::new();
        let own = self.by_name.get(relation.name.as_str()).copied();
        if let Some(name) = own {
            let packages: Vec<usize> = self.of_name[name]
                .iter()
                .copied()
                .filter(|&at| relation.accepts(Some(&self.packages[at].version)))
                .collect();
            if !packages.is_empty() {
                found.push((name, packages));
            }
        }
        let mut by_name: BTreeMap<(Priority, &str), (usize, Vec<usize>)> = BTreeMap::new();
        let providers = self.providers.get(relation.name.as_str());
        for provider in providers.into_iter().flatten() {
            let package = &self.packages[provider.package];
            if Some(package.name) != own && relation.accepts(provider.version.as_ref()) {
                // The preferred version's priority stands for all of them.
                let best = self.of_name[package.name][0];
                let priority = self.packages[best].record.priority;
                by_name
                    .entry((priority, package.record.name))
                    .or_insert_with(|| (package.name, Vec::new()))
                    .1
                    .push(provider.package);
            }
        }
        found.extend(by_name.into_values());
        found
    }

    /// How to speak of the packages of `name` that meet `relation`.
    fn shown(&self, name: usize, relation: &Relation) -> String {
        if self.names.borrow()[name] == relation.name.as_str() {
            return match &relation.version {
                Some(_) => {
                    let text = relation.to_string();
                    text[text.find('(').unwrap_or(0)..].to_owned()
                }
                None => String::new(),
            };
        }
        format!("(as {relation})")
    }

    fn set(&self, name: usize, packages: Vec<usize>, shown: String) -> VersionSetId {
        let mut sets = self.sets.borrow_mut();
        sets.push(VersionSet {
            name,
            packages,
            shown,
        });
        VersionSetId::from_index(sets.len() - 1)
    }

    /// The number of a name, real or not.
    fn name(&self, name: &str) -> usize {
        if let Some(&number) = self.by_name.get(name) {
            return number;
        }
        let mut names = self.names.borrow_mut();
        names.push(name.to_owned());
        names.len() - 1
    }

    fn string(&self, text: String) -> StringId {
        let mut strings = self.strings.borrow_mut();
        strings.push(text);
        StringId::from_index(strings.len() - 1)
    }

    fn known_dependencies(&self, number: usize) -> Result<KnownDependencies, RelationError> {
        let package = &self.packages[number];
        let record = package.record;
        let mut known = KnownDependencies::default();
        for field in [record.pre_depends, record.depends] {
            for dependency in parse_list(field)? {
                known.requirements.extend(self.requirement(&dependency));
            }
        }
        for field in [record.conflicts, record.breaks] {
            for dependency in parse_list(field)? {
                for relation in dependency.alternatives() {
                    self.conflict(package, relation, &mut known);
                }
            }
        }
        Ok(known)
    }

    /// A package does not conflict with itself, not even by a name it provides (Policy 7.4);
    /// other versions of it cannot be chosen at the same time anyway.
    fn conflict(&self, package: &Package<'_>, relation: &Relation, known: &mut KnownDependencies) {
        if !relation.applies_to(self.arch) {
            return;
        }
        for (name, hit) in self.matching(relation) {
            if name == package.name {
                continue;
            }
            let spared = self.of_name[name]
                .iter()
                .copied()
                .filter(|at| !hit.contains(at))
                .collect();
            let shown = format!("not {relation}");
            known.constrains.push(self.set(name, spared, shown));
        }
    }
}

/// The names in a `Provides` field, without parsing what else it says: most are never needed.
fn raw_names(field: &str) -> impl Iterator<Item = (&str, &str)> {
    field
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let end = part
                .find(|c: char| c.is_whitespace() || matches!(c, '(' | ':' | '['))
                .unwrap_or(part.len());
            part.split_at(end)
        })
}

impl Interner for Universe<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let package = &self.packages[solvable.to_index()];
        format!("{} {}", package.record.name, package.version)
    }

    fn display_merged_solvables(&self, solvables: &[SolvableId]) -> impl Display + '_ {
        let mut shown: Vec<String> = solvables
            .iter()
            .map(|&one| self.display_solvable(one).to_string())
            .collect();
        shown.sort();
        shown.dedup();
        shown.join(" | ")
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.names.borrow()[name.to_index()].clone()
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        self.sets.borrow()[set.to_index()].shown.clone()
    }

    fn display_string(&self, string: StringId) -> impl Display + '_ {
        self.strings.borrow()[string.to_index()].clone()
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        NameId::from_index(self.sets.borrow()[set.to_index()].name)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        NameId::from_index(self.packages[solvable.to_index()].name)
    }

    fn version_sets_in_union(
        &self,
        union: VersionSetUnionId,
    ) -> impl Iterator<Item = VersionSetId> {
        self.unions.borrow()[union.to_index()].clone().into_iter()
    }

    /// Debian has no conditional dependencies: no condition is ever made, so the solver has
    /// none to ask about; the answer only has to have the right type.
    fn resolve_condition(&self, _: ConditionId) -> Condition {
        Condition::Requirement(VersionSetId::from_index(0))
    }
}

impl DependencyProvider for Universe<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let sets = self.sets.borrow();
        let packages = &sets[set.to_index()].packages;
        candidates
            .iter()
            .copied()
            .filter(|one| packages.contains(&one.to_index()) != inverse)
            .collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates<SolvableId>> {
        let group = self.of_name.get(name.to_index())?;
        Some(Candidates {
            candidates: group.iter().copied().map(SolvableId::from_index).collect(),
            favored: None,
            locked: None,
            hint_dependencies_available: HintDependenciesAvailable::None,
            excluded: group
                .iter()
                .filter_map(|at| Some((SolvableId::from_index(*at), *self.ruled_out.get(at)?)))
                .collect(),
            allow_multiple: false,
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        solvables.sort_by_key(|one| self.rank[one.to_index()]);
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        match self.known_dependencies(solvable.to_index()) {
            Ok(known) => Dependencies::Known(known),
            Err(error) => Dependencies::Unknown(self.string(error.to_string())),
        }
    }
}
