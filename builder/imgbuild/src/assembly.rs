//! What a build puts together before it writes anything: the layers that nodes share, each
//! node's own, and the disks they make.
//!
//! Everything here is in memory or mapped from the store. Nodes' layers hold keys: who takes
//! one writes it to the user's own output only. What needs no secret ([`Assembly::realise`],
//! [`Assembly::blanks`]) asks for none.

use crate::error::{CommandError, Failure, OrFail, Result};
use crate::image::{self, Disk, Layer};
use crate::pipeline::Request;
use crate::plan::Plan;
use crate::realise::{self, Ground, Shared};
use imgbuild_base::{Digest, Epoch, Hasher, NodeName, Tree};
use imgbuild_cluster::Composer;
use imgbuild_formats::squashfs;
use imgbuild_pki::{ClusterSecret, KeyLabel};
use imgbuild_recipe::resolved::Node;
use imgbuild_system::check;
use rayon::prelude::*;
use std::io::Cursor;

/// All that nodes share, made and at hand.
#[derive(Debug)]
pub(crate) struct Assembly<'a> {
    request: &'a Request,
    plan: Plan,
    shared: Shared,
    /// What the disks of each platform have in common, as a digest.
    keys: Vec<Digest>,
    steps: realise::Count,
}

/// A disk that lacks a node's layer: it may be given to anybody.
#[derive(Debug)]
pub(crate) struct Blank {
    /// The nodes for which it is.
    pub(crate) nodes: Vec<NodeName>,
    /// What the disk is made from, as a digest.
    pub(crate) key: Digest,
    /// The disk.
    pub(crate) disk: Disk,
}

/// A node's layer, in memory only.
#[derive(Debug)]
pub(crate) struct NodeLayer<'a> {
    /// Whose it is.
    pub(crate) node: &'a Node,
    /// The file.
    pub(crate) layer: Layer,
    /// Keyed digest of its content.
    seal: Digest,
    /// What lies below it, by its place in the plan.
    platform: usize,
}

impl<'a> Assembly<'a> {
    /// Makes what the plan asks for and the store does not have.
    pub(crate) fn realise(request: &'a Request, plan: Plan) -> Result<Self> {
        let (shared, steps) = realise::shared(&plan, &request.means, &request.events)?;
        let mut assembly = Self {
            request,
            plan,
            shared,
            keys: Vec::new(),
            steps,
        };
        let grounds = assembly.shared.grounds().par_iter();
        assembly.keys = grounds
            .map(|ground| image::common_key(&assembly.common(ground)))
            .collect();
        Ok(assembly)
    }

    /// What is built.
    pub(crate) const fn request(&self) -> &'a Request {
        self.request
    }

    /// The steps that led here.
    pub(crate) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The layers below the nodes' own.
    pub(crate) const fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How many steps were done, and how many found.
    pub(crate) const fn steps(&self) -> realise::Count {
        self.steps
    }

    /// The layers of the nodes wanted.
    pub(crate) fn node_layers(&self, composer: &Composer<'_>) -> Result<Vec<NodeLayer<'a>>> {
        let nodes = self.request.nodes().into_par_iter();
        nodes
            .map(|node| {
                self.node_layer(composer, node)
                    .map_err(|error| error.context(format!("the layer of {}", node.name)))
            })
            .collect()
    }

    fn node_layer(&self, composer: &Composer<'_>, node: &'a Node) -> Result<NodeLayer<'a>> {
        let (platform, ground) = self.shared.of(&self.plan, &node.name)?;
        let tree = composer.node(node, &ground.below);
        let tree = tree.or_fail(Failure::Recipe)?;
        check::check_node(&ground.outline, &tree).or_fail(Failure::Recipe)?;
        imgbuild_cluster::check_clock(&tree).or_fail(Failure::Other)?;
        let seal = composer.seal(&tree);
        let name = format!("20-{}-{}.squashfs", node.name, seal.short());
        Ok(NodeLayer {
            node,
            layer: Layer::own(name, squash(&tree, self.plan.epoch)?),
            seal,
            platform,
        })
    }

    /// The disk of a node.
    pub(crate) fn disk(&self, own: &NodeLayer<'_>) -> Result<Disk> {
        image::disk(&self.common(self.ground(own)?), Some(&own.layer))
    }

    /// What a node's disk is made from, as a digest that only the secret's holder can compute.
    pub(crate) fn disk_key(&self, secret: &ClusterSecret, own: &NodeLayer<'_>) -> Result<Digest> {
        let common = self
            .keys
            .get(own.platform)
            .ok_or_else(|| nothing_below(own))?;
        let mut hasher = Hasher::new();
        hasher
            .field(common.as_bytes())
            .field(own.node.name.as_str())
            .field(own.seal.as_bytes());
        Ok(secret.keyed_digest(&KeyLabel::new(["disk"]), hasher.finish().as_bytes()))
    }

    /// The disks without nodes' layers, one for each platform. A node's layer, put below
    /// `layers/` on the boot partition, completes them.
    pub(crate) fn blanks(&self) -> Result<Vec<Blank>> {
        let grounds = self.shared.grounds().par_iter().zip(&self.keys);
        grounds
            .enumerate()
            .map(|(at, (ground, key))| {
                let of_it = self.plan.platform_of.iter();
                let of_it = of_it.filter(|(_, platform)| **platform == at);
                Ok(Blank {
                    nodes: of_it.map(|(name, _)| name.clone()).collect(),
                    key: *key,
                    disk: image::disk(&self.common(ground), None)?,
                })
            })
            .collect()
    }

    fn ground(&self, own: &NodeLayer<'_>) -> Result<&Ground> {
        let ground = self.shared.grounds().get(own.platform);
        ground.ok_or_else(|| nothing_below(own))
    }

    fn common<'b>(&'b self, ground: &'b Ground) -> image::Common<'b> {
        let recipe = &self.request.project.recipe;
        image::Common {
            cluster: &recipe.cluster.name,
            board: recipe.image.board,
            image: ground.image,
            epoch: self.plan.epoch,
            boot: &ground.boot,
            loader: ground.loader.as_ref(),
            shared: &ground.layers,
        }
    }
}

fn nothing_below(own: &NodeLayer<'_>) -> CommandError {
    let text = format!("{} has nothing below its layer", own.node.name);
    CommandError::msg(Failure::Other, text)
}

fn squash(tree: &Tree, epoch: Epoch) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    squashfs::write(tree, &squashfs::Options::new(epoch), &mut bytes).or_fail(Failure::Other)?;
    Ok(bytes.into_inner())
}
