//! Thin qcow2: what nodes share is in one file, and each node's file has only what sets its
//! disk apart.
//!
//! The shared file holds a disk that lacks a node's layer, so it is no secret. Nodes' files
//! name it, and would be damaged if it changed: its name follows from its content, and one that
//! is there is never written again.

use super::hypervisor::{each, write_file};
use super::target::Target;
use super::{BuiltImage, NodeDisk};
use crate::assembly::{Assembly, Blank};
use crate::error::{Failure, OrFail, Result};
use crate::output::OutDir;
use imgbuild_base::Hasher;
use imgbuild_base::event::Unit;
use imgbuild_formats::{FileName, qcow2};
use imgbuild_recipe::resolved::Format;

/// What the names of shared files begin with. No node's does: host names have no underscore.
pub(super) const BASE: &str = "shared_";
/// The version of what is written: a file of another version is made anew.
const VERSION: &str = "deflate, 1";

/// A disk that nodes share, and its file's name.
struct Base {
    blank: Blank,
    name: FileName,
}

/// Writes shared and own files, as far as they are not there already.
pub(super) fn write(
    assembly: &Assembly<'_>,
    disks: &[NodeDisk<'_>],
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let request = assembly.request();
    let blanks = assembly.blanks()?.into_iter();
    let bases: Vec<Base> = blanks.map(base).collect::<Result<_>>()?;
    let task = request.events.start(
        "writing shared images (qcow2)",
        Some(bases.len() as u64),
        Unit::Items,
    );
    let mut files = Vec::with_capacity(bases.len() + disks.len());
    for base in &bases {
        let name = base.name.as_str().to_owned();
        let target = Target::new(out, Format::Qcow2Thin, None, name, base.blank.key);
        let image = &base.blank.disk.image;
        let digest = match target.is_missing() {
            true => Some(write_file(out, &target.name, |mut file| {
                qcow2::write(image, &mut file)
            })?),
            false => None,
        };
        files.push(target.done(out, digest)?);
        task.advance(1);
    }
    drop(task);
    let own = each(
        request,
        Format::Qcow2Thin,
        VERSION,
        disks,
        out,
        |one, mut file| {
            let below = bases
                .iter()
                .find(|base| base.blank.nodes.contains(&one.node.name));
            match below {
                Some(base) => qcow2::write_thin(
                    &base.blank.disk.image,
                    &base.name,
                    &one.disk.image,
                    &mut file,
                ),
                // Every node that is built has a platform; a file without a base is whole.
                None => qcow2::write(&one.disk.image, &mut file),
            }
        },
    )?;
    files.extend(own);
    Ok(files)
}

fn base(blank: Blank) -> Result<Base> {
    let mut key = Hasher::new();
    key.field(VERSION).field(blank.key.as_bytes());
    let name = format!("{BASE}{}.qcow2", key.finish().short());
    let name = name.parse().or_fail(Failure::Other)?;
    Ok(Base { blank, name })
}
