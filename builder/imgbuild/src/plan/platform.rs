//! Which base layer and which boot files a node has.
//!
//! All nodes of a cluster have the same, unless the recipe gives some of them further packages
//! (another base layer), other words for the kernel (other boot files), another etcd (another
//! layer), or an image of another size or firmware.

use super::etcd;
use super::graph::StepId;
use crate::error::{CommandError, Failure, OrFail, Result};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Node, NodeImage};
use imgbuild_recipe::values::{ModuleName, PackageName};
use imgbuild_system::{Overlays, kmod};
use std::collections::BTreeSet;

/// The steps of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    /// The base layer.
    pub(crate) base_layer: StepId,
    /// What the board starts from.
    pub(crate) boot: StepId,
    /// The etcd layer.
    pub(crate) etcd_layer: StepId,
    /// What the disk is like.
    pub(crate) image: NodeImage,
}

/// What sets a node's platform apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wishes<'a> {
    /// The node's further packages.
    pub(super) packages: &'a [PackageName],
    /// Further words of its kernel's command line.
    pub(super) args: String,
    /// Its etcd.
    etcd: etcd::Wish<'a>,
    /// What its disk is like.
    image: NodeImage,
}

impl<'a> Wishes<'a> {
    pub(super) fn of(node: &'a Node) -> Self {
        let args = node.system.kernel.args.iter();
        let args: Vec<&str> = args.map(|arg| arg.as_str()).collect();
        Self {
            packages: &node.system.packages,
            args: args.join(" "),
            etcd: etcd::Wish::of(node),
            image: node.image,
        }
    }

    /// Whether the board starts from the same files.
    pub(super) fn start_as(&self, other: &Self) -> bool {
        self.packages == other.packages && self.args == other.args
    }
}

/// What steps of a platform are called: as the first platform's, with the name of the first
/// node that has it unless that is the cluster's first node.
pub(super) fn subject(plain: &str, recipe: &Recipe, has_it: impl Fn(&Node) -> bool) -> String {
    match recipe.nodes.iter().position(has_it) {
        None | Some(0) => plain.to_owned(),
        Some(at) => format!("{plain}-{}", recipe.nodes[at].name),
    }
}

/// The modules that any node loads: every base layer has them all.
pub(super) fn modules(recipe: &Recipe, overlays: &Overlays) -> Result<Vec<ModuleName>> {
    let mut modules = BTreeSet::new();
    let wanted =
        kmod::wanted(overlays, recipe.image.board, &BTreeSet::new()).or_fail(Failure::Other)?;
    for node in &recipe.nodes {
        let kernel = &node.system.kernel;
        let needed = |name: &&ModuleName| {
            wanted
                .iter()
                .any(|one| one.early && one.name == name.as_str())
        };
        if let Some(name) = kernel.blacklist.iter().find(needed) {
            let text = format!(
                "kernel.blacklist: {} cannot do without {name}, with which it reaches its disk",
                node.name
            );
            return Err(CommandError::msg(Failure::Recipe, text).hint("leave it out"));
        }
        modules.extend(kernel.modules.iter().cloned());
    }
    Ok(modules.into_iter().collect())
}
