//! Overlay archives: a node for a machine that has an operating system already.
//!
//! An archive has the etcd layer's files and the node's own part
//! ([`imgbuild_cluster::overlay`]), of which the second holds keys: like images, archives are
//! made in memory and written to the output directory only.

use crate::archive;
use crate::error::{Failure, OrFail, Result};
use crate::image::Layer;
use crate::output::OutDir;
use crate::pipeline::{BuiltImage, Request};
use imgbuild_base::event::Unit;
use imgbuild_base::{Digest, Hasher, Tree};
use imgbuild_cluster::{Composer, overlay};
use imgbuild_etcd::container;
use imgbuild_formats::squashfs;
use imgbuild_pki::{ClusterSecret, KeyLabel};
use imgbuild_recipe::resolved::{Format, Node};
use rayon::prelude::*;
use std::io::Write;

/// The version of what is written: an archive of another version is made anew.
const VERSION: &str = "imgbuild overlay 1";

struct Overlay<'a> {
    node: &'a Node,
    name: String,
    tree: Tree,
    key: Digest,
    found: Option<Digest>,
}

/// Writes the archives of the nodes wanted, as far as they are not there already.
pub(crate) fn write(
    request: &Request,
    composer: &Composer<'_>,
    etcd: &Layer,
    secret: &ClusterSecret,
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let overlays: Vec<Overlay<'_>> = request
        .nodes()
        .into_par_iter()
        .map(|node| {
            let tree = composer.overlay(node).or_fail(Failure::Other)?;
            let key = key(secret, etcd, composer.seal(&tree));
            let name = format!("{}{}", node.name, Format::Overlay.suffix());
            Ok(Overlay {
                found: out.unchanged(&name, key).map(|state| state.sha256),
                node,
                name,
                tree,
                key,
            })
        })
        .collect::<Result<_>>()?;
    let fresh = overlays.iter().filter(|one| one.found.is_none()).count();
    let task = request
        .events
        .start("writing archives", Some(fresh as u64), Unit::Items);
    let shared = match fresh {
        0 => Vec::new(),
        _ => etcd_part(etcd)?,
    };
    let written: Vec<Digest> = overlays
        .par_iter()
        .map(|one| match one.found {
            Some(found) => Ok(found),
            None => {
                let own = archive::last_part(&one.tree).or_fail(Failure::Other)?;
                let bytes = [&shared[..], &own].concat();
                out.write(&one.name, |mut file| file.write_all(&bytes))
                    .or_fail(Failure::Storage)?;
                task.advance(1);
                Ok(Digest::of(&bytes))
            }
        })
        .collect::<Result<_>>()?;
    overlays
        .into_iter()
        .zip(written)
        .map(|(one, sha256)| {
            let size = out
                .remember(&one.name, one.key, sha256)
                .or_fail(Failure::Storage)?;
            Ok(BuiltImage {
                node: one.node.name.clone(),
                address: one.node.address,
                format: Format::Overlay,
                path: out.path().join(&one.name),
                sha256,
                size,
                content: size,
                unchanged: one.found.is_some(),
            })
        })
        .collect()
}

/// The part that all archives of a build share.
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
