//! Compressed images, all nodes' at once: what they have in common is compressed once.

use super::BuiltImage;
use super::NodeDisk;
use super::target::{self, Target};
use crate::error::{Failure, OrFail, Result};
use crate::output::{OutDir, Pending};
use crate::pipeline::Request;
use imgbuild_base::event::Unit;
use imgbuild_base::{Digest, Hashed};
use imgbuild_formats::compress::{self, Codec};
use imgbuild_formats::disk::DiskImage;
use imgbuild_recipe::resolved::Format;
use rayon::prelude::*;
use std::io;

/// Writes the images in a format that this codec makes, as far as they are not there already.
pub(super) fn write(
    request: &Request,
    format: Format,
    codec: Codec,
    disks: &[NodeDisk<'_>],
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let targets: Vec<Target<'_>> = disks
        .iter()
        .map(|one| {
            let key = one.key_of(format, codec.version());
            Target::of(out, format, one.node, key)
        })
        .collect();
    let mut images: Vec<&DiskImage> = Vec::new();
    let mut files: Vec<Pending> = Vec::new();
    for (target, one) in targets.iter().zip(disks) {
        if target.is_missing() {
            images.push(&one.disk.image);
            files.push(out.begin(&target.name).or_fail(Failure::Storage)?);
        }
    }
    let total = images.iter().map(|image| image.size().get()).sum();
    let what = format!("compressing images ({format})");
    let task = request.events.start(what, Some(total), Unit::Bytes);
    let mut writers: Vec<_> = files.iter().map(|one| Hashed::new(one.file())).collect();
    compress::write(codec, &images, &mut writers, |count| task.advance(count))
        .or_fail(Failure::Storage)?;
    let digests: Vec<Digest> = writers.into_iter().map(|one| one.finish().0).collect();
    files
        .into_par_iter()
        .map(Pending::keep)
        .collect::<io::Result<()>>()
        .or_fail(Failure::Storage)?;
    drop(task);
    target::all_done(targets, digests, out)
}
