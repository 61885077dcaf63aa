//! Nodes' disks in the formats of hypervisors, straight from the layers.
//!
//! One file after the other: each writer works on all processors and keeps only what it is
//! working on in memory.

use super::target::{self, Target};
use super::{BuiltImage, NodeDisk};
use crate::assembly::Assembly;
use crate::error::{Failure, OrFail, Result};
use crate::output::OutDir;
use crate::pipeline::Request;
use imgbuild_base::event::Unit;
use imgbuild_base::{Digest, Hasher};
use imgbuild_formats::gpt::Guid;
use imgbuild_formats::ova::{self, Appliance, Firmware};
use imgbuild_formats::vmdk::{self, ContentId};
use imgbuild_formats::{FileName, FileNameError, qcow2, vhd};
use imgbuild_recipe::resolved::Format;
use std::error::Error;
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::num::{NonZeroU16, NonZeroU32};

/// Writes whole disks in qcow2, as far as they are not there already.
pub(super) fn qcow2(
    request: &Request,
    disks: &[NodeDisk<'_>],
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let write =
        |one: &NodeDisk<'_>, mut file: &fs_err::File| qcow2::write(&one.disk.image, &mut file);
    each(request, Format::Qcow2, "deflate, 1", disks, out, write)
}

/// Writes whole disks in VMDK, as far as they are not there already.
pub(super) fn vmdk(
    request: &Request,
    disks: &[NodeDisk<'_>],
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let write = |one: &NodeDisk<'_>, mut file: &fs_err::File| {
        let content = ContentId::derived(one.disk.image.digest());
        let name = file_name(one, Format::Vmdk).map_err(io::Error::other)?;
        vmdk::write(&one.disk.image, &name, content, &mut file)
    };
    each(request, Format::Vmdk, "1", disks, out, write)
}

/// Writes whole disks in VHD, as far as they are not there already.
pub(super) fn vhd(
    assembly: &Assembly<'_>,
    disks: &[NodeDisk<'_>],
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let made = assembly.plan().epoch;
    let write = |one: &NodeDisk<'_>, mut file: &fs_err::File| {
        let id = Guid::derived("vhd", one.disk.image.digest());
        vhd::write(&one.disk.image, id, made, &mut file)
    };
    let mut images = each(assembly.request(), Format::Vhd, "1", disks, out, write)?;
    for (image, one) in images.iter_mut().zip(disks) {
        image.content = one.disk.image.content().get();
    }
    Ok(images)
}

/// Processors and memory in MiB of an appliance: twice the memory that suffices.
const CPUS: NonZeroU16 = NonZeroU16::MIN;
const MEMORY: NonZeroU32 = NonZeroU32::new(512).expect("512 is not zero");

/// Writes appliances, as far as they are not there already.
pub(super) fn ova(
    assembly: &Assembly<'_>,
    disks: &[NodeDisk<'_>],
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let made = assembly.plan().epoch;
    let write = |one: &NodeDisk<'_>, mut file: &fs_err::File| {
        let appliance = Appliance {
            name: one.node.name.as_str().parse()?,
            cpus: CPUS,
            memory_mib: MEMORY,
            firmware: Firmware::Efi,
            disk: one.disk.image.digest(),
            made,
        };
        ova::write(&one.disk.image, &appliance, &mut file)
    };
    each(assembly.request(), Format::Ova, "1", disks, out, write)
}

/// What a node's file in a format is called.
fn file_name(one: &NodeDisk<'_>, format: Format) -> Result<FileName, FileNameError> {
    format!("{}{}", one.node.name, format.suffix().unwrap_or_default()).parse()
}

/// Writes each disk's file, as far as it is not there already, with `write`, whose output
/// `version` tells from that of another one.
pub(super) fn each<E: Error>(
    request: &Request,
    format: Format,
    version: &str,
    disks: &[NodeDisk<'_>],
    out: &mut OutDir,
    write: impl Fn(&NodeDisk<'_>, &fs_err::File) -> Result<(), E>,
) -> Result<Vec<BuiltImage>> {
    let targets: Vec<Target<'_>> = disks
        .iter()
        .map(|one| Target::of(out, format, one.node, one.key_of(format, version)))
        .collect();
    let missing = targets.iter().zip(disks);
    let missing: Vec<_> = missing.filter(|(target, _)| target.is_missing()).collect();
    let task = request.events.start(
        format!("writing images ({format})"),
        Some(missing.len() as u64),
        Unit::Items,
    );
    let mut digests = Vec::with_capacity(missing.len());
    for (target, one) in missing {
        digests.push(write_file(out, &target.name, |file| write(one, file))?);
        task.advance(1);
    }
    drop(task);
    target::all_done(targets, digests, out)
}

/// Writes a file through `write`, which may go back and forth in it, and returns its digest.
pub(super) fn write_file<E: Error>(
    out: &OutDir,
    name: &str,
    write: impl FnOnce(&fs_err::File) -> Result<(), E>,
) -> Result<Digest> {
    let pending = out.begin(name).or_fail(Failure::Storage)?;
    write(pending.file())
        .or_fail(Failure::Storage)
        .map_err(|error| error.context(format!("writing {name}")))?;
    let digest = digest(pending.file()).or_fail(Failure::Storage)?;
    pending.keep().or_fail(Failure::Storage)?;
    Ok(digest)
}

/// The digest of all that a file holds.
fn digest(mut file: &fs_err::File) -> io::Result<Digest> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Hasher::new();
    io::copy(&mut BufReader::with_capacity(1 << 20, file), &mut hasher)?;
    Ok(hasher.finish())
}
