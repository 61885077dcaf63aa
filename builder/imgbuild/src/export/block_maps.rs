//! A block map beside each image, `IMAGE.bmap`: where bmaptool looks for it.

use super::BuiltImage;
use super::NodeDisk;
use crate::error::{Failure, OrFail, Result};
use crate::output::OutDir;
use imgbuild_base::{Digest, Hasher};
use imgbuild_formats::bmap;
use imgbuild_formats::disk::DiskImage;
use std::io::Write as _;

/// The version of what is written: a map of another version is made anew.
const VERSION: &str = "imgbuild block map 1";

/// A map that is to be there in the end.
struct Map<'a> {
    name: String,
    key: Digest,
    disk: &'a NodeDisk<'a>,
}

/// Writes the maps of these images, as far as they are not there already, and notes them.
pub(super) fn write(
    disks: &[NodeDisk<'_>],
    images: &mut [BuiltImage],
    out: &mut OutDir,
) -> Result<()> {
    let mut missing = Vec::new();
    for image in images {
        let name = format!("{}.bmap", image.name);
        image.block_map = Some(out.path().join(&name));
        let own = |one: &&NodeDisk<'_>| image.is_of(&one.node.name);
        let Some(disk) = disks.iter().find(own) else {
            continue;
        };
        let key = key(disk);
        if out.unchanged(&name, key).is_none() {
            missing.push(Map { name, key, disk });
        }
    }
    let images: Vec<&DiskImage> = missing.iter().map(|map| &map.disk.disk.image).collect();
    for (map, text) in missing.iter().zip(bmap::maps(&images)) {
        out.write(&map.name, |mut file| file.write_all(text.as_bytes()))
            .or_fail(Failure::Storage)?;
        out.remember(&map.name, map.key, Digest::of(text.as_bytes()))
            .or_fail(Failure::Storage)?;
    }
    Ok(())
}

fn key(disk: &NodeDisk<'_>) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(VERSION).field(disk.key.as_bytes());
    hasher.finish()
}
