//! A release's images: written, and described.

use super::staging::{Access, Staging};
use crate::contents;
use crate::error::{Failure, OrFail, Result};
use imgbuild_base::event::Unit;
use imgbuild_base::{Digest, Events, Hashed};
use imgbuild_formats::bmap;
use imgbuild_formats::compress::{self, Codec};
use imgbuild_formats::disk::DiskImage;
use imgbuild_release::manifest::{ImageRecord, Packing};
use imgbuild_release::{FileRecord, ReleasePath};
use rayon::prelude::*;
use std::io::{self, Write as _};

/// An image that is to be part of a release.
pub(super) struct Planned<'a> {
    /// Its file's name, without what tells how it is packed.
    pub(super) stem: String,
    /// For which nodes it is.
    pub(super) nodes: Vec<String>,
    /// Who may read it.
    pub(super) access: Access,
    /// The disk.
    pub(super) disk: &'a DiskImage,
}

/// Writes the images and their block maps.
pub(super) fn write(
    images: &[Planned<'_>],
    packing: Packing,
    staging: &Staging,
    events: &Events,
) -> Result<Vec<ImageRecord>> {
    let disks: Vec<&DiskImage> = images.iter().map(|image| image.disk).collect();
    let files = pack(images, &disks, packing, staging, events)?;
    let maps = bmap::maps(&disks);
    let each = images.par_iter().zip(files).zip(maps);
    each.map(|((image, file), map)| {
        let path: ReleasePath = format!("{}.img.bmap", image.stem)
            .parse()
            .or_fail(Failure::Other)?;
        // It says what blocks with keys are like, though not what they are.
        let mut out = staging
            .create(&path, image.access)
            .or_fail(Failure::Storage)?;
        out.write_all(map.as_bytes()).or_fail(Failure::Storage)?;
        let block_map = FileRecord {
            path,
            size: map.len() as u64,
            sha256: Digest::of(map.as_bytes()),
        };
        Ok(ImageRecord {
            file,
            packing,
            block_map,
            nodes: image.nodes.clone(),
            secret: image.access == Access::Private,
            disk: contents::of(image.disk, image.disk.digest())
                .or_fail(Failure::Other)
                .map_err(|error| error.context(format!("looking into {}", image.stem)))?,
        })
    })
    .collect()
}

/// Writes the images and nothing else.
fn pack(
    images: &[Planned<'_>],
    disks: &[&DiskImage],
    packing: Packing,
    staging: &Staging,
    events: &Events,
) -> Result<Vec<FileRecord>> {
    let mut paths: Vec<ReleasePath> = Vec::with_capacity(images.len());
    let mut files = Vec::with_capacity(images.len());
    for image in images {
        let path = format!("{}{}", image.stem, packing.suffix()).parse();
        let path = path.or_fail(Failure::Other)?;
        let file = staging.create(&path, image.access);
        files.push(file.or_fail(Failure::Storage)?);
        paths.push(path);
    }
    let total = disks.iter().map(|disk| disk.size().get()).sum();
    let task = events.start("writing images", Some(total), Unit::Bytes);
    let codec = match packing {
        Packing::Zstd => Some(Codec::Zstd),
        Packing::Xz => Some(Codec::Xz),
        Packing::Raw => None,
    };
    let written: io::Result<Vec<(Digest, u64)>> = match codec {
        Some(codec) => {
            let mut writers: Vec<_> = files.iter().map(Hashed::new).collect();
            compress::write(codec, disks, &mut writers, |count| task.advance(count))
                .map(|()| writers.into_iter().map(Hashed::finish).collect())
        }
        None => {
            let each = files.par_iter().zip(disks);
            each.map(|(file, disk)| {
                disk.write_sparse(file)?;
                task.advance(disk.size().get());
                Ok((disk.digest(), disk.size().get()))
            })
            .collect()
        }
    };
    let written = written.or_fail(Failure::Storage)?;
    let synced: io::Result<()> = files.par_iter().try_for_each(|file| file.sync_data());
    synced.or_fail(Failure::Storage)?;
    let each = paths.into_iter().zip(written);
    let records = each.map(|(path, (sha256, size))| FileRecord { path, size, sha256 });
    Ok(records.collect())
}
