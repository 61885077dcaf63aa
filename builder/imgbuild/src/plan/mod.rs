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
//! An overlay archive, `overlay:NODE`, takes `etcd-layer` only: where no disk is wanted, there
//! is no package to be fetched but etcd's own.

pub(crate) mod graph;

use crate::error::{CommandError, Failure, OrFail, Result};
use crate::lock::Lock;
use graph::{Graph, Kind, StepId};
use imgbuild_base::{Arch, Epoch};
use imgbuild_debian::lock::LockedPackage;
use imgbuild_etcd::container;
use imgbuild_formats::oci::Reference;
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Board, EtcdSource, Format, Node, Run};
use imgbuild_system::Overlays;
use imgbuild_system::packages::{self, Feature, Selection};
use imgbuild_system::prune::Keep;
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
    pub(crate) keep: Keep,
    /// Where etcd's programs are on a node.
    pub(crate) bin_dir: imgbuild_base::TreePath,
    /// The name of the image in which etcd runs, if it runs in a container.
    pub(crate) container: Option<Reference>,
    /// zstd level of the layers.
    pub(crate) zstd_level: u8,
    /// The time of everything.
    pub(crate) epoch: Epoch,
    /// What only disks need, if any are wanted.
    pub(crate) system: Option<SystemSteps>,
    /// etcd's layer.
    pub(crate) etcd_layer: StepId,
}

/// The steps that only disks need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemSteps {
    /// The base layer.
    pub(crate) base_layer: StepId,
    /// What the board starts from.
    pub(crate) boot: StepId,
}

impl Plan {
    /// The steps whose results disks and archives are put together from.
    pub(crate) fn goals(&self) -> Vec<StepId> {
        let system = self.system.map(|system| [system.base_layer, system.boot]);
        let etcd = [self.etcd_layer];
        system.into_iter().flatten().chain(etcd).collect()
    }
}

/// What a recipe wishes for that takes further packages.
fn features(recipe: &Recipe) -> BTreeSet<Feature> {
    let wishes = [
        (Feature::Ssh, recipe.access.ssh.is_some()),
        (Feature::Wifi, recipe.has_wifi()),
        (Feature::Firewall, recipe.has_firewall()),
        (Feature::StaticPod, recipe.etcd.run == Run::StaticPod),
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

/// The plan for the nodes `wanted` of a recipe, in these formats.
pub(crate) fn plan(
    name: &str,
    recipe: &Recipe,
    lock: &Lock,
    epoch: Epoch,
    wanted: &[&Node],
    formats: &BTreeSet<Format>,
) -> Result<Plan> {
    let (arch, board) = (recipe.image.arch, recipe.image.board);
    let overlays = Overlays::builtin();
    let keep = Keep::new(&overlays).or_fail(Failure::Other)?;
    let mut graph = Graph::default();
    let mut packages = BTreeMap::new();
    let mut base_inputs = Vec::new();
    let mut etcd_inputs = Vec::new();
    let disks = formats.contains(&Format::Img);
    let mut pause = None;
    for package in &lock.debian.packages {
        if !disks && !is_etcd(recipe, package) {
            continue;
        }
        let (fetch, unpack) = package_steps(&mut graph, package, &keep);
        packages.insert(fetch, package.clone());
        if package.name.as_str() == container::PAUSE_PACKAGE {
            pause = Some(unpack);
        }
        if is_etcd(recipe, package) {
            etcd_inputs.push(unpack);
        } else {
            base_inputs.push(unpack);
        }
    }
    let features = features(recipe);
    let wished: Vec<&str> = features.iter().map(|feature| feature.key()).collect();
    let layer = [
        ("zstd-level", recipe.image.zstd_level.to_string()),
        ("epoch", epoch.to_string()),
    ];
    let system = disks.then(|| {
        let compose = graph.add(
            Kind::Compose,
            arch.debian(),
            [
                ("board", board.to_string()),
                ("arch", arch.to_string()),
                ("overlays", overlays.digest().to_string()),
                ("epoch", epoch.to_string()),
                ("features", wished.join(" ")),
            ],
            base_inputs,
            BASE_COST,
        );
        let inputs = vec![compose];
        SystemSteps {
            base_layer: graph.add(
                Kind::BaseLayer,
                arch.debian(),
                layer.clone(),
                inputs.clone(),
                BASE_COST,
            ),
            boot: graph.add(Kind::Boot, board.as_str(), [], inputs, BASE_COST),
        }
    });
    let etcd = etcd_step(&mut graph, recipe, lock, etcd_inputs)?;
    // Archives for other machines have a unit in its place.
    let container = match disks {
        true => container_image(recipe)?,
        false => None,
    };
    let mut etcd_layer_inputs = vec![etcd];
    let mut own = vec![("bin-dir", recipe.etcd.bin_dir.to_string())];
    if let Some(image) = &container {
        own.push(("container", image.to_string()));
        etcd_layer_inputs.push(pause.ok_or_else(|| no_pause(lock))?);
    }
    let etcd_layer = graph.add(
        Kind::EtcdLayer,
        arch.debian(),
        layer.into_iter().chain(own),
        etcd_layer_inputs,
        BASE_COST,
    );
    for node in wanted {
        let subject = node.name.as_str();
        let own = graph.add(
            Kind::NodeLayer,
            subject,
            [("node", node_text(node)?)],
            vec![],
            0,
        );
        if let Some(SystemSteps { base_layer, boot }) = system {
            let inputs = vec![base_layer, boot, etcd_layer, own];
            graph.add(Kind::Disk, subject, [], inputs, 0);
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
        bin_dir: recipe.etcd.bin_dir.clone(),
        container,
        zstd_level: recipe.image.zstd_level,
        epoch,
        system,
        etcd_layer,
    })
}

/// The name of the image in which etcd runs, if it runs in a container.
fn container_image(recipe: &Recipe) -> Result<Option<Reference>> {
    let name = recipe.etcd.container_image();
    name.map(|name| name.parse().or_fail(Failure::Other))
        .transpose()
}

fn no_pause(lock: &Lock) -> CommandError {
    let text = format!(
        "the lock's {} packages do not have {}, which holds etcd's pod together",
        lock.debian.packages.len(),
        container::PAUSE_PACKAGE
    );
    CommandError::msg(Failure::Lock, text).hint("lock the recipe anew with `imgbuild lock`")
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

/// Whether a package is etcd itself, which has a layer of its own.
fn is_etcd(recipe: &Recipe, package: &LockedPackage) -> bool {
    recipe.etcd.source == EtcdSource::Debian
        && imgbuild_etcd::debian::PACKAGES.contains(&package.name.as_str())
}

fn etcd_step(
    graph: &mut Graph,
    recipe: &Recipe,
    lock: &Lock,
    inputs: Vec<StepId>,
) -> Result<StepId> {
    let arch = recipe.image.arch.debian();
    let subject = format!("{}-{arch}", recipe.etcd.source.as_str());
    let pinned = match &lock.etcd {
        Some(etcd) => serde_json::to_vec(etcd).or_fail(Failure::Other)?,
        None => Vec::new(),
    };
    let params = [
        ("arch", arch.to_owned()),
        ("lock", imgbuild_base::Digest::of(&pinned).to_string()),
    ];
    Ok(graph.add(Kind::Etcd, subject, params, inputs, u64::MAX))
}

/// The parts of the recipe that decide a node's layer, for `why`.
fn node_text(node: &Node) -> Result<String> {
    serde_json::to_string(node).or_fail(Failure::Other)
}
