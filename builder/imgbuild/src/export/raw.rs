//! Nodes' disks as files: raw images, sparse, hashed while they are written.

use super::BuiltImage;
use super::NodeDisk;
use super::target::{self, Target};
use crate::error::{Failure, OrFail, Result};
use crate::output::OutDir;
use crate::pipeline::Request;
use imgbuild_base::Digest;
use imgbuild_base::event::{Task, Unit};
use imgbuild_formats::disk::{self, Head};
use imgbuild_recipe::resolved::Format;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An image to be written: the name of its file, and what is on it.
type Missing<'a> = (&'a str, &'a NodeDisk<'a>);

/// Writes the images, as far as they are not there already.
pub(super) fn write(
    request: &Request,
    disks: &[NodeDisk<'_>],
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let targets: Vec<Target<'_>> = disks
        .iter()
        .map(|one| Target::of(out, Format::Img, one.node, one.key))
        .collect();
    let missing: Vec<Missing<'_>> = targets
        .iter()
        .zip(disks)
        .filter(|(target, _)| target.is_missing())
        .map(|(target, disk)| (target.name.as_str(), disk))
        .collect();
    let task = request
        .events
        .start("writing images", Some(missing.len() as u64), Unit::Items);
    let (digests, head) = write_and_digest(&missing, out, request.means.jobs, &task)?;
    drop(task);
    out.remember_head(head);
    let mut images = target::all_done(targets, digests, out)?;
    for (image, one) in images.iter_mut().zip(disks) {
        image.content = one.disk.image.content().get();
    }
    Ok(images)
}

/// Writes images and hashes them meanwhile. Each is on the disk, and moved into place, when
/// this returns; threads of their own write, because they wait for the disk at the end of each.
fn write_and_digest(
    images: &[Missing<'_>],
    out: &OutDir,
    jobs: NonZeroUsize,
    task: &Task,
) -> Result<(Vec<Digest>, Option<Head>)> {
    let next = AtomicUsize::new(0);
    let write = || {
        while let Some((name, one)) = images.get(next.fetch_add(1, Ordering::Relaxed)) {
            let written = out.write(name, |file| one.disk.image.write_sparse(file));
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
            .map(|(_, one)| (&one.disk.image, one.disk.own))
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
