//! Every image, opened: what is on its disk, against the manifest.

use super::Problems;
use super::content::Content;
use crate::contents;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::medium::{self, Medium};
use imgbuild_base::event::Unit;
use imgbuild_base::{Digest, Events, Hasher};
use imgbuild_formats::bmap;
use imgbuild_formats::compress::Codec;
use imgbuild_formats::source::Source;
use imgbuild_formats::squashfs;
use imgbuild_release::Manifest;
use imgbuild_release::manifest::{ImageRecord, Packing};
use std::io;
use std::path::Path;

/// Bytes that are hashed together.
const BLOCK: u64 = 1 << 20;

/// Opens one image after the other, and every layer.
pub(super) fn check(
    content: &Content,
    manifest: &Manifest,
    events: &Events,
    problems: &mut Problems,
) {
    let task = events.start(
        "opening images",
        Some(manifest.images.len() as u64),
        Unit::Items,
    );
    for image in &manifest.images {
        let path = &image.file.path;
        // A file that is missing or was changed has been named already.
        if let Some(file) = content.file(path) {
            match look(file, image, content) {
                Ok(lines) => lines.iter().for_each(|line| problems.add(line.clone())),
                Err(error) => problems.add(format!("{path}: {error}")),
            }
        }
        task.advance(1);
    }
    drop(task);
    for layer in &manifest.layers {
        if let Some(bytes) = content.read(&layer.path)
            && let Err(error) = squashfs::read(&bytes)
        {
            problems.add(format!("{}: {error}", layer.path));
        }
    }
}

/// What is wrong with the disk in an image file, and with its block map.
fn look(file: &Path, image: &ImageRecord, content: &Content) -> Result<Vec<String>> {
    let medium = open(file, image.packing)?;
    let digest = digest(&medium).or_fail(Failure::Storage)?;
    let found = contents::of(&medium, digest).or_fail(Failure::Verify)?;
    let path = &image.file.path;
    let mut lines: Vec<String> = contents::differences(&image.disk, &found)
        .iter()
        .map(|line| format!("{path}: {line}"))
        .collect();
    // A map that is missing or was changed has been named already.
    let map = &image.block_map.path;
    if let Some(bytes) = content.read(map)
        && let Err(error) = bmap::check(&String::from_utf8_lossy(&bytes), &medium)
    {
        lines.push(format!("{map}, the block map of {path}: {error}"));
    }
    Ok(lines)
}

/// The disk in an image file.
fn open(file: &Path, packing: Packing) -> Result<Medium> {
    let codec = fs_err::File::open(file).and_then(|mut file| medium::codec(&mut file));
    let found = match codec.or_fail(Failure::Storage)? {
        None => Packing::Raw,
        Some(Codec::Zstd) => Packing::Zstd,
        Some(Codec::Xz) => Packing::Xz,
    };
    if found != packing {
        let text = format!("it is packed by {found:?}, expected {packing:?}");
        return Err(CommandError::msg(Failure::Verify, text));
    }
    Medium::open(file)
}

fn digest(disk: &impl Source) -> io::Result<Digest> {
    let size = disk.size().get();
    let mut hasher = Hasher::new();
    let mut block = Vec::new();
    let mut at = 0;
    while at < size {
        let length = BLOCK.min(size - at);
        block.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        disk.read_at(at, &mut block)?;
        hasher.update(&block);
        at += length;
    }
    Ok(hasher.finish())
}
