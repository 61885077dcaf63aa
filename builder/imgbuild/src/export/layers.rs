//! The layers as files below `layers/`, named as on a boot partition: what nodes share once,
//! and each node's own.

use super::BuiltImage;
use super::NodeDisk;
use super::target::{self, Target};
use crate::assembly::{Assembly, NodeLayer};
use crate::error::{Failure, OrFail, Result};
use crate::image::Layer;
use crate::output::OutDir;
use imgbuild_base::event::Unit;
use imgbuild_base::{Digest, Hasher};
use imgbuild_recipe::resolved::Format;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::{self, Write as _};

/// The directory.
pub(super) const DIRECTORY: &str = "layers/";
/// The version of what is written: a layer of another version is written anew.
const VERSION: &str = "imgbuild layer 1";

/// Writes the layers, as far as they are not there already: the shared ones, then each node's.
pub(super) fn write(
    assembly: &Assembly<'_>,
    own: &[NodeLayer<'_>],
    disks: &[NodeDisk<'_>],
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let grounds = assembly.shared().grounds().iter();
    let shared: BTreeMap<&str, &Layer> = grounds
        .flat_map(|ground| &ground.layers)
        .map(|layer| (layer.name.as_str(), layer))
        .collect();
    let mut layers = Vec::with_capacity(shared.len() + own.len());
    let mut targets = Vec::with_capacity(shared.len() + own.len());
    let name = |layer: &Layer| format!("{DIRECTORY}{}", layer.name);
    for layer in shared.into_values() {
        let mut key = Hasher::new();
        key.field(VERSION).field(layer.body.digest().as_bytes());
        let key = key.finish();
        targets.push(Target::new(out, Format::Layers, None, name(layer), key));
        layers.push(layer);
    }
    for (own, disk) in own.iter().zip(disks) {
        let key = disk.key_of(Format::Layers, VERSION);
        let (node, name) = (Some(own.node), name(&own.layer));
        targets.push(Target::new(out, Format::Layers, node, name, key));
        layers.push(&own.layer);
    }
    let missing = targets.iter().zip(&layers);
    let missing: Vec<_> = missing.filter(|(target, _)| target.is_missing()).collect();
    let events = &assembly.request().events;
    let task = events.start("writing layers", Some(missing.len() as u64), Unit::Items);
    let digests: Vec<Digest> = missing
        .into_par_iter()
        .map(|(target, layer)| {
            out.write(&target.name, |mut file| file.write_all(layer.body.bytes()))?;
            task.advance(1);
            Ok(layer.body.digest())
        })
        .collect::<io::Result<_>>()
        .or_fail(Failure::Storage)?;
    drop(task);
    target::all_done(targets, digests, out)
}
