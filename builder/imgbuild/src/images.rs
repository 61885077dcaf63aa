//! Nodes' disks as files: raw images, sparse, hashed while they are written.

use crate::assembly::{Assembly, NodeLayer};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::image::Disk;
use crate::output::OutDir;
use crate::pipeline::BuiltImage;
use imgbuild_base::Digest;
use imgbuild_base::event::{Task, Unit};
use imgbuild_formats::disk::{self, Head};
use imgbuild_pki::ClusterSecret;
use imgbuild_recipe::resolved::{Format, Node};
use rayon::prelude::*;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Writes the images of these nodes, as far as they are not there already.
pub(crate) fn write(
    assembly: &Assembly<'_>,
    layers: &[NodeLayer<'_>],
    secret: &ClusterSecret,
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let request = assembly.request();
    let planned: Vec<Planned<'_>> = layers
        .par_iter()
        .map(|own| {
            let key = assembly.disk_key(secret, own)?;
            let name = format!("{}.img", own.node.name);
            Ok(Planned {
                node: own.node,
                key,
                disk: assembly.disk(own)?,
                found: out.unchanged(&name, key).map(|state| state.sha256),
                name,
            })
        })
        .collect::<Result<_>>()?;
    let fresh: Vec<&Planned<'_>> = planned.iter().filter(|one| one.found.is_none()).collect();
    let task = request
        .events
        .start("writing images", Some(fresh.len() as u64), Unit::Items);
    let (digests, head) = write_and_digest(&fresh, out, request.means.jobs, &task)?;
    drop(task);
    let mut digests = digests.into_iter();
    let mut images = Vec::with_capacity(planned.len());
    for one in &planned {
        let sha256 = match one.found {
            Some(found) => found,
            None => digests.next().ok_or_else(|| {
                CommandError::msg(Failure::Other, format!("{} was not hashed", one.name))
            })?,
        };
        out.remember(&one.name, one.key, sha256)
            .or_fail(Failure::Storage)?;
        images.push(BuiltImage {
            node: one.node.name.clone(),
            address: one.node.address,
            format: Format::Img,
            path: out.path().join(&one.name),
            sha256,
            size: one.disk.image.size().get(),
            content: one.disk.image.content().get(),
            unchanged: one.found.is_some(),
        });
    }
    out.remember_head(head);
    Ok(images)
}

/// An image that is to be there in the end.
struct Planned<'a> {
    node: &'a Node,
    /// Its file's name.
    name: String,
    key: Digest,
    disk: Disk,
    /// The digest of the file, if it is there already.
    found: Option<Digest>,
}

/// Writes images and hashes them meanwhile. Each is on the disk, and moved into place, when
/// this returns; threads of their own write, because they wait for the disk at the end of each.
fn write_and_digest(
    images: &[&Planned<'_>],
    out: &OutDir,
    jobs: NonZeroUsize,
    task: &Task,
) -> Result<(Vec<Digest>, Option<Head>)> {
    let next = AtomicUsize::new(0);
    let write = || {
        while let Some(one) = images.get(next.fetch_add(1, Ordering::Relaxed)) {
            let written = out.write(&one.name, |file| one.disk.image.write_sparse(file));
            if written.is_err() {
                // The others need not begin.
                next.store(images.len(), Ordering::Relaxed);
                return written;
            }
            task.advance(1);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..jobs.get().min(images.len()))
            .map(|_| scope.spawn(write))
            .collect();
        let disks: Vec<_> = images
            .iter()
            .map(|one| (&one.disk.image, one.disk.own))
            .collect();
        let hashed = disk::digests(&disks, out.head());
        for writer in writers {
            match writer.join() {
                Ok(written) => written.or_fail(Failure::Storage)?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(hashed)
    })
}
