//! What has to be made, as a pure function of recipe and lock.
//!
//! [`graph`] has steps and keys; here is which steps a recipe gives:
//!
//! ```text
//! fetch:PACKAGE ─► unpack:PACKAGE ─┬─► compose ─┬─► base-layer ─┐
//!                                  │            └─► boot ───────┤
//!                etcd:VERSION ─► etcd-layer ────────────────────┼─► disk:NODE
//!                                               node-layer:NODE ┘
//! ```
//!
//! Where nodes have packages or kernel arguments of their own there are several platforms: each
//! has its own steps from compose on, or its own boot step. [`etcd`] has the steps of nodes with
//! another etcd.
//!
//! An overlay archive, `overlay:NODE`, takes `etcd-layer` only: where no disk is wanted, there
//! is no package to be fetched but etcd's own.

pub(crate) mod etcd;
pub(crate) mod graph;
mod platform;

use crate::error::{Failure, OrFail, Result};
use crate::lock::Lock;
use etcd::{Etcds, is_etcd};
use graph::{Graph, Kind, StepId};
use imgbuild_base::{Arch, Digest, Epoch, NodeName};
use imgbuild_cluster::Sources;
use imgbuild_debian::lock::LockedPackage;
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Board, Format, Node};
use imgbuild_recipe::values::{ModuleName, PackageName};
use imgbuild_system::Overlays;
use imgbuild_system::packages::{self, Feature, Selection};
use imgbuild_system::prune::Keep;
pub(crate) use platform::Platform;
use platform::Wishes;
use std::collections::{BTreeMap, BTreeSet};

/// Everything a build needs to know before it begins.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The recipe's name, under which the store keeps the results.
    pub(crate) name: String,
    /// All steps.
    pub(crate) graph: Graph,
    /// The packages by their fetch step.
    pub(crate) packages: BTreeMap<StepId, LockedPackage>,
    /// The kind of machine.
    pub(crate) board: Board,
    /// Its architecture.
    pub(crate) arch: Arch,
    /// The files that are ours.
    pub(crate) overlays: Overlays,
    /// What the recipe wishes for.
    pub(crate) features: BTreeSet<Feature>,
    /// What of a package is kept.
    keep: Keep,
    /// What of a kernel's package is kept.
    keep_of_kernel: Keep,
    /// Modules that the recipe names.
    pub(crate) modules: Vec<ModuleName>,
    /// zstd level of the layers.
    pub(crate) zstd_level: u8,
    /// The time of everything.
    pub(crate) epoch: Epoch,
    /// What the nodes wanted have below their own layers, each platform once; nothing
    /// where no disk is wanted.
    pub(crate) platforms: Vec<Platform>,
    /// Which of them a node has.
    pub(crate) platform_of: BTreeMap<NodeName, usize>,
    /// etcd's steps.
    pub(crate) etcds: Etcds,
}

impl Plan {
    /// The steps whose results disks and archives are put together from.
    pub(crate) fn goals(&self) -> Vec<StepId> {
        let platforms = self.platforms.iter();
        let own = platforms.flat_map(|platform| [platform.base_layer, platform.boot]);
        own.chain(self.etcds.layouts.keys().copied()).collect()
    }

    /// What of the package of that name is kept.
    pub(crate) fn keep(&self, package: &str) -> &Keep {
        if is_kernel(package) {
            &self.keep_of_kernel
        } else {
            &self.keep
        }
    }
}

/// Whether a package holds a kernel and its modules.
fn is_kernel(package: &str) -> bool {
    package.starts_with("linux-image-")
}

/// What a recipe wishes for that takes further packages.
fn features(recipe: &Recipe) -> BTreeSet<Feature> {
    let wishes = [
        (Feature::Ssh, recipe.any_ssh()),
        (Feature::Login, recipe.any_login()),
        (Feature::Wifi, recipe.has_wifi()),
        (Feature::Firewall, recipe.has_firewall()),
        (Feature::StaticPod, recipe.any_static_pod()),
        (Feature::Bios, recipe.any_bios()),
    ];
    let wished = wishes.into_iter().filter(|(_, wished)| *wished);
    wished.map(|(feature, _)| feature).collect()
}

/// The packages a recipe's board and features take.
pub(crate) fn selection(recipe: &Recipe) -> Result<Selection> {
    let features = features(recipe);
    let image = &recipe.image;
    packages::select(&Overlays::builtin(), image.board, image.arch, &features)
        .or_fail(Failure::Other)
}

/// The plan for the nodes `wanted` of a recipe, in these formats, with the files beside it that
/// it names.
pub(crate) fn plan(
    name: &str,
    recipe: &Recipe,
    lock: &Lock,
    epoch: Epoch,
    wanted: &[&Node],
    formats: &BTreeSet<Format>,
    sources: &Sources,
) -> Result<Plan> {
    let (arch, board) = (recipe.image.arch, recipe.image.board);
    let overlays = Overlays::builtin();
    let keep = Keep::new(&overlays).or_fail(Failure::Other)?;
    let modules = platform::modules(recipe, &overlays)?;
    let keep_of_kernel = match modules[..] {
        [] => keep.clone(),
        _ => Keep::with_all_modules(&overlays).or_fail(Failure::Other)?,
    };
    let mut graph = Graph::default();
    let mut packages = BTreeMap::new();
    let mut unpacked = BTreeMap::new();
    let disks = formats.iter().any(|format| format.has_system());
    for package in &lock.debian.packages {
        if !disks && !is_etcd(recipe, package) {
            continue;
        }
        let name = package.name.as_str();
        let keep = if is_kernel(name) {
            &keep_of_kernel
        } else {
            &keep
        };
        let (fetch, unpack) = package_steps(&mut graph, package, keep);
        packages.insert(fetch, package.clone());
        unpacked.insert(package.name.clone(), unpack);
    }
    let features = features(recipe);
    let wished: Vec<&str> = features.iter().map(|feature| feature.key()).collect();
    let layer = [
        ("zstd-level", recipe.image.zstd_level.to_string()),
        ("epoch", epoch.to_string()),
    ];
    let mut platforms: Vec<(Wishes<'_>, StepId, StepId)> = Vec::new();
    let mut boots: Vec<(Wishes<'_>, StepId)> = Vec::new();
    let mut composed: Vec<(&[PackageName], StepId, StepId)> = Vec::new();
    let mut platform_of = BTreeMap::new();
    for node in wanted.iter().filter(|_| disks) {
        let wishes = Wishes::of(node);
        let known = platforms.iter().position(|(other, ..)| *other == wishes);
        let place = known.unwrap_or(platforms.len());
        platform_of.insert(node.name.clone(), place);
        if known.is_some() {
            continue;
        }
        let same_base = |other: &Node| other.system.packages == wishes.packages;
        let base = composed.iter().find(|(set, ..)| *set == wishes.packages);
        let (compose, base_layer) = match base {
            Some((_, compose, base_layer)) => (*compose, *base_layer),
            None => {
                let own = lock.debian.of(wishes.packages)?.into_iter();
                let own = own.filter(|package| !is_etcd(recipe, package));
                let inputs = own.filter_map(|package| unpacked.get(&package.name).copied());
                let subject = platform::subject(arch.debian(), recipe, same_base);
                let mut params = vec![
                    ("board", board.to_string()),
                    ("arch", arch.to_string()),
                    ("overlays", overlays.digest().to_string()),
                    ("epoch", epoch.to_string()),
                    ("features", wished.join(" ")),
                ];
                if !modules.is_empty() {
                    let names: Vec<&str> = modules.iter().map(ModuleName::as_str).collect();
                    params.push(("modules", names.join(" ")));
                }
                let inputs = inputs.collect();
                let compose = graph.add(Kind::Compose, subject.clone(), params, inputs, BASE_COST);
                let base_layer = graph.add(
                    Kind::BaseLayer,
                    subject,
                    layer.clone(),
                    vec![compose],
                    BASE_COST,
                );
                composed.push((wishes.packages, compose, base_layer));
                (compose, base_layer)
            }
        };
        let booted = boots.iter().find(|(other, _)| other.start_as(&wishes));
        let boot = match booted {
            Some((_, boot)) => *boot,
            None => {
                let same = |other: &Node| Wishes::of(other).start_as(&wishes);
                let subject = platform::subject(board.as_str(), recipe, same);
                let args = Some(("args", wishes.args.clone()));
                let args = args.filter(|(_, args)| !args.is_empty());
                let boot = graph.add(Kind::Boot, subject, args, vec![compose], BASE_COST);
                boots.push((wishes.clone(), boot));
                boot
            }
        };
        platforms.push((wishes, base_layer, boot));
    }
    let around = etcd::Around {
        recipe,
        lock,
        disks,
        unpacked: &unpacked,
        layer,
    };
    let etcds = etcd::add(&mut graph, wanted, &around)?;
    let mut placed = Vec::with_capacity(platforms.len());
    for node in wanted {
        let subject = node.name.as_str();
        let own = graph.add(
            Kind::NodeLayer,
            subject,
            node_params(node, sources)?,
            vec![],
            0,
        );
        let etcd_layer = etcds.layer_of[&node.name];
        let at = platform_of.get(&node.name).copied();
        if let Some((at, (_, base_layer, boot))) = at.and_then(|at| Some((at, platforms.get(at)?)))
        {
            let inputs = vec![*base_layer, *boot, etcd_layer, own];
            graph.add(Kind::Disk, subject, [], inputs, 0);
            // Platforms are in the order of the nodes that have them first.
            if at == placed.len() {
                placed.push(Platform {
                    base_layer: *base_layer,
                    boot: *boot,
                    etcd_layer,
                    image: node.image,
                });
            }
        }
        if formats.contains(&Format::Overlay) {
            graph.add(Kind::Overlay, subject, [], vec![etcd_layer, own], 0);
        }
    }
    Ok(Plan {
        name: name.to_owned(),
        graph,
        packages,
        board,
        arch,
        overlays,
        features,
        keep,
        keep_of_kernel,
        modules,
        zstd_level: recipe.image.zstd_level,
        epoch,
        platforms: placed,
        platform_of,
        etcds,
    })
}

/// Work on the whole base system, in bytes; only its order of magnitude matters.
const BASE_COST: u64 = 100 << 20;

fn package_steps(graph: &mut Graph, package: &LockedPackage, keep: &Keep) -> (StepId, StepId) {
    let name = package.name.to_string();
    let size = package.size.get();
    let sha256 = ("sha256", package.sha256.to_string());
    let fetch = graph.add(Kind::Fetch, name.clone(), [sha256], vec![], size);
    let keep = ("keep", keep.digest().to_string());
    let unpack = graph.add(Kind::Unpack, name, [keep], vec![fetch], size);
    (fetch, unpack)
}

/// The parts of the recipe that decide a node's layer, for `why`, and the digests of the files
/// that it names: not of those that not everybody on the node may read, because a digest
/// confirms a guess.
fn node_params(node: &Node, sources: &Sources) -> Result<Vec<(&'static str, String)>> {
    let text = serde_json::to_string(node).or_fail(Failure::Other)?;
    let files = node.system.files.iter();
    let files = files
        .filter(|file| file.mode.is_public())
        .map(|file| &file.content);
    let units = node.system.units.iter();
    let units = units.filter_map(|unit| unit.action.content());
    let read: BTreeMap<String, String> = files
        .chain(units)
        .filter_map(|content| {
            let path = content.source()?;
            let digest = Digest::of(sources.get(path)?);
            Some((path.to_string(), digest.to_string()))
        })
        .collect();
    let mut params = vec![("node", text)];
    if !read.is_empty() {
        let text = serde_json::to_string(&read).or_fail(Failure::Other)?;
        params.push(("sources", text));
    }
    Ok(params)
}
