//! etcd's steps: one for each etcd that nodes run, and a layer for each way of having it.
//!
//! All nodes of a cluster have the same, unless the recipe gives some of them another version
//! or source, other directories, or a container.

use super::graph::{Graph, Kind, StepId};
use super::{BASE_COST, platform};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::lock::{Etcd, Lock};
use imgbuild_base::{Digest, NodeName, TreePath};
use imgbuild_debian::lock::LockedPackage;
use imgbuild_debian::relation::PackageName;
use imgbuild_etcd::container;
use imgbuild_formats::oci::Reference;
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{EtcdSource, Node, Run};
use std::collections::BTreeMap;

/// What sets a node's etcd layer apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish<'a> {
    source: EtcdSource,
    bin_dir: &'a TreePath,
    run: Run,
}

impl<'a> Wish<'a> {
    pub(super) const fn of(node: &'a Node) -> Self {
        Self {
            source: node.etcd.source,
            bin_dir: &node.etcd.bin_dir,
            run: node.etcd.run,
        }
    }
}

/// How an etcd layer is laid out.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Where etcd's programs are on a node.
    pub(crate) bin_dir: TreePath,
    /// The name of the image in which etcd runs, if it runs in a container.
    pub(crate) container: Option<Reference>,
}

/// etcd's steps.
#[derive(Debug, Default)]
pub(crate) struct Etcds {
    /// What is pinned of the etcd that a step gets; nothing of Debian's.
    pub(crate) pinned: BTreeMap<StepId, Option<Etcd>>,
    /// How the layer of a step is laid out.
    pub(crate) layouts: BTreeMap<StepId, Layout>,
    /// The layer that a node has.
    pub(crate) layer_of: BTreeMap<NodeName, StepId>,
}

/// What the steps are made for.
pub(super) struct Around<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) lock: &'a Lock,
    /// Whether disks are wanted: archives for other machines have a unit in place of a pod.
    pub(super) disks: bool,
    /// The steps that unpack packages.
    pub(super) unpacked: &'a BTreeMap<PackageName, StepId>,
    /// The parameters of every layer.
    pub(super) layer: [(&'static str, String); 2],
}

/// Adds the steps of the nodes `wanted`.
pub(super) fn add(graph: &mut Graph, wanted: &[&Node], around: &Around<'_>) -> Result<Etcds> {
    let mut etcds = Etcds::default();
    let mut sources: Vec<(EtcdSource, StepId)> = Vec::new();
    let mut layers: Vec<(Wish<'_>, StepId)> = Vec::new();
    for node in wanted {
        let wish = Wish::of(node);
        let known = layers.iter().find(|(other, _)| *other == wish);
        let layer = match known {
            Some((_, layer)) => *layer,
            None => {
                let known = sources.iter().find(|(source, _)| *source == wish.source);
                let etcd = match known {
                    Some((_, etcd)) => *etcd,
                    None => {
                        let etcd = around.etcd(graph, wish.source, &mut etcds)?;
                        sources.push((wish.source, etcd));
                        etcd
                    }
                };
                let layer = around.layer(graph, node, etcd, &mut etcds)?;
                layers.push((wish, layer));
                layer
            }
        };
        etcds.layer_of.insert(node.name.clone(), layer);
    }
    Ok(etcds)
}

impl Around<'_> {
    fn etcd(&self, graph: &mut Graph, source: EtcdSource, etcds: &mut Etcds) -> Result<StepId> {
        let arch = self.recipe.image.arch.debian();
        let same = |other: &Node| other.etcd.source == source;
        let subject = format!("{}-{arch}", source.as_str());
        let subject = platform::subject(&subject, self.recipe, same);
        let etcd = self.lock.etcd(source)?;
        let pinned = match etcd {
            Some(etcd) => serde_json::to_vec(etcd).or_fail(Failure::Other)?,
            None => Vec::new(),
        };
        let params = [
            ("arch", arch.to_owned()),
            ("lock", Digest::of(&pinned).to_string()),
        ];
        let packages = self.lock.debian.packages.iter();
        let inputs = packages
            .filter(|_| source == EtcdSource::Debian)
            .filter(|package| is_etcd(self.recipe, package))
            .filter_map(|package| self.unpacked.get(&package.name).copied());
        let step = graph.add(Kind::Etcd, subject, params, inputs.collect(), u64::MAX);
        etcds.pinned.insert(step, etcd.cloned());
        Ok(step)
    }

    fn layer(
        &self,
        graph: &mut Graph,
        node: &Node,
        etcd: StepId,
        etcds: &mut Etcds,
    ) -> Result<StepId> {
        let container = match self.disks {
            true => container_image(node)?,
            false => None,
        };
        let mut inputs = vec![etcd];
        let mut own = vec![("bin-dir", node.etcd.bin_dir.to_string())];
        if let Some(image) = &container {
            own.push(("container", image.to_string()));
            let mut pauses = self.unpacked.iter();
            let pause = pauses.find(|(name, _)| name.as_str() == container::PAUSE_PACKAGE);
            let pause = pause.map(|(_, unpack)| *unpack);
            inputs.push(pause.ok_or_else(|| no_pause(self.lock))?);
        }
        let arch = self.recipe.image.arch.debian();
        let wish = Wish::of(node);
        let subject = platform::subject(arch, self.recipe, |other| Wish::of(other) == wish);
        let params = self.layer.clone().into_iter().chain(own);
        let step = graph.add(Kind::EtcdLayer, subject, params, inputs, BASE_COST);
        let bin_dir = node.etcd.bin_dir.clone();
        etcds.layouts.insert(step, Layout { bin_dir, container });
        Ok(step)
    }
}

/// Whether a package is etcd itself, which has a layer of its own.
pub(super) fn is_etcd(recipe: &Recipe, package: &LockedPackage) -> bool {
    recipe.etcd_sources().contains(&EtcdSource::Debian)
        && imgbuild_etcd::debian::PACKAGES.contains(&package.name.as_str())
}

/// The name of the image in which etcd runs, if it runs in a container.
fn container_image(node: &Node) -> Result<Option<Reference>> {
    let name = node.etcd.container_image();
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
