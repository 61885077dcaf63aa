//! Overlay archives: a node for a machine that has an operating system already.
//!
//! An archive has the etcd layer's files and the node's own part
//! ([`imgbuild_cluster::overlay`]), of which the second holds keys: like images, archives are
//! made in memory and written to the output directory only.

use super::BuiltImage;
use super::target::{self, Target};
use crate::archive;
use crate::assembly::Assembly;
use crate::error::{Failure, OrFail, Result};
use crate::image::Layer;
use crate::output::OutDir;
use imgbuild_base::event::Unit;
use imgbuild_base::{Digest, Hasher, Tree};
use imgbuild_cluster::{Composer, overlay};
use imgbuild_etcd::container;
use imgbuild_formats::squashfs;
use imgbuild_pki::{ClusterSecret, KeyLabel};
use imgbuild_recipe::resolved::Format;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write;

/// The version of what is written: an archive of another version is made anew.
const VERSION: &str = "imgbuild overlay 1";

/// Writes the archives of the nodes wanted, as far as they are not there already.
pub(super) fn write(
    assembly: &Assembly<'_>,
    composer: &Composer<'_>,
    secret: &ClusterSecret,
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let request = assembly.request();
    let overlays: Vec<(Target<'_>, (&Layer, Tree))> = request
        .nodes()
        .into_par_iter()
        .map(|node| {
            let tree = composer.overlay(node).or_fail(Failure::Other)?;
            let etcd = assembly.shared().etcd(&node.name)?;
            let key = key(secret, etcd, composer.seal(&tree));
            Ok((Target::of(out, Format::Overlay, node, key), (etcd, tree)))
        })
        .collect::<Result<_>>()?;
    let (targets, parts): (Vec<_>, Vec<_>) = overlays.into_iter().unzip();
    let missing = targets.iter().zip(&parts);
    let missing: Vec<_> = missing.filter(|(target, _)| target.is_missing()).collect();
    let task = request
        .events
        .start("writing archives", Some(missing.len() as u64), Unit::Items);
    let mut shared: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    for (_, (etcd, _)) in &missing {
        if let Entry::Vacant(place) = shared.entry(etcd.body.digest()) {
            place.insert(etcd_part(etcd)?);
        }
    }
    let written: Vec<Digest> = missing
        .par_iter()
        .map(|(target, (etcd, tree))| {
            let own = archive::last_part(tree).or_fail(Failure::Other)?;
            let bytes = [&shared[&etcd.body.digest()][..], &own].concat();
            out.write(&target.name, |mut file| file.write_all(&bytes))
                .or_fail(Failure::Storage)?;
            task.advance(1);
            Ok(Digest::of(&bytes))
        })
        .collect::<Result<_>>()?;
    drop(task);
    target::all_done(targets, written, out)
}

/// The part that archives with this layer share.
fn etcd_part(etcd: &Layer) -> Result<Vec<u8>> {
    let mut tree = squashfs::read(etcd.body.bytes()).or_fail(Failure::Storage)?;
    // On such a machine a unit runs etcd, not a container.
    tree.retain(|path, _| !path.is_within(container::STORE_HOME));
    overlay::leave_out_common(&mut tree);
    archive::part(&tree).or_fail(Failure::Other)
}

/// What an archive is made from, as a digest that only the secret's holder can compute.
fn key(secret: &ClusterSecret, etcd: &Layer, seal: Digest) -> Digest {
    let mut hasher = Hasher::new();
    hasher
        .field(VERSION)
        .field(etcd.body.digest().as_bytes())
        .field(seal.as_bytes());
    secret.keyed_digest(&KeyLabel::new(["overlay"]), hasher.finish().as_bytes())
}
