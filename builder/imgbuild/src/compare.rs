//! Two builds of one thing held side by side; a difference is named by image or archive, layer
//! and path.

use crate::archive;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::export::BuiltImage;
use crate::pipeline::Built;
use bytes::Bytes;
use imgbuild_base::{Entry, Kind, Tree, TreePath};
use imgbuild_formats::disk::SECTOR;
use imgbuild_formats::{fat, gpt, mbr, squashfs};
use imgbuild_recipe::resolved::Format;
use std::path::Path;

/// How many differing paths of one layer are named.
const MOST_PATHS: usize = 20;

/// Compares all images and archives of two builds.
pub(crate) fn images(first: &Built, second: &Built) -> Result<()> {
    let mut lines = Vec::new();
    for (one, two) in first.images.iter().zip(&second.images) {
        differences(one, two, &mut lines)?;
    }
    if lines.is_empty() {
        return Ok(());
    }
    let text = format!(
        "a second build differs from the first:\n  {}",
        lines.join("\n  ")
    );
    Err(CommandError::msg(Failure::Difference, text).hint(
        "if nobody changed the images, this is a fault of imgbuild or of this machine's memory \
         or disk: `imgbuild store verify` checks the store",
    ))
}

fn differences(one: &BuiltImage, two: &BuiltImage, lines: &mut Vec<String>) -> Result<()> {
    if let (Some(a), Some(b)) = (&one.block_map, &two.block_map) {
        let (a, b) = (read(a)?, read(b)?);
        if a != b {
            lines.push(format!("{}.bmap: {}", one.name, first_difference(&a, &b)));
        }
    }
    let (a, b) = (read(&one.path)?, read(&two.path)?);
    if a == b {
        return Ok(());
    }
    let inside = match one.format {
        Format::Img => boot_files,
        Format::Overlay => archived,
        // Of no other format is the inside looked at.
        _ => {
            files(&one.name, &a, &b, lines);
            return Ok(());
        }
    };
    // Under the node's name.
    let name = one
        .name
        .split_once('.')
        .map_or(&*one.name, |(node, _)| node);
    let before = lines.len();
    if let (Some(a), Some(b)) = (inside(&a), inside(&b)) {
        trees(name, &a, &b, lines);
    }
    if lines.len() == before {
        let first = first_difference(&a, &b);
        lines.push(format!("{name}: outside any file, {first}"));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Bytes> {
    fs_err::read(path)
        .map(Bytes::from)
        .or_fail(Failure::Storage)
}

/// An archive's files; nothing when it is too damaged to have any.
fn archived(archive: &Bytes) -> Option<Tree> {
    archive::read(archive).ok()
}

/// The boot partition's files; nothing when the image is too damaged to have any.
fn boot_files(image: &Bytes) -> Option<Tree> {
    let (first, sectors) = match mbr::Table::read(image) {
        Ok(table) => {
            let part = table.partitions.first()?;
            (u64::from(part.first), u64::from(part.sectors))
        }
        Err(_) => {
            let table = gpt::Table::read(image).ok()?;
            let part = table.partitions.first()?;
            (part.first, part.last.checked_sub(part.first)? + 1)
        }
    };
    let start = usize::try_from(first * SECTOR).ok()?;
    let end = start.checked_add(usize::try_from(sectors * SECTOR).ok()?)?;
    if end > image.len() {
        return None;
    }
    let mut files = Tree::new();
    for (path, entry) in fat::read(&image.slice(start..end)).ok()? {
        let (path, entry) = without_digest(path, entry);
        files.put(path, entry);
    }
    Some(files)
}

/// A layer's file is named by its content: without that part of the name, a layer that differs
/// meets its counterpart.
fn without_digest(path: TreePath, entry: Entry) -> (TreePath, Entry) {
    let name = path.as_str().strip_suffix(".squashfs");
    let plain = name
        .and_then(|name| name.rsplit_once('-'))
        .and_then(|(plain, _)| TreePath::new(&format!("{plain}.squashfs")).ok());
    (plain.unwrap_or(path), entry)
}

fn trees(place: &str, one: &Tree, two: &Tree, lines: &mut Vec<String>) {
    let mut paths: Vec<_> = one.iter().chain(two.iter()).map(|(path, _)| path).collect();
    paths.sort();
    paths.dedup();
    let mut found = 0;
    for path in paths {
        let (a, b) = (one.get(path), two.get(path));
        if a == b {
            continue;
        }
        found += 1;
        if found > MOST_PATHS {
            lines.push(format!("{place}: and more"));
            return;
        }
        let (Some(a), Some(b)) = (a, b) else {
            let which = if a.is_some() { "first" } else { "second" };
            lines.push(format!("{place}/{path}: only in the {which} build"));
            continue;
        };
        match (&a.kind, &b.kind) {
            (Kind::File(a), Kind::File(b)) if a != b => {
                files(&format!("{place}/{path}"), a.bytes(), b.bytes(), lines);
            }
            (a, b) if a != b => {
                let (a, b) = (a.describe(), b.describe());
                lines.push(format!(
                    "{place}/{path}: {a} against {b}, or another target"
                ));
            }
            _ => lines.push(format!("{place}/{path}: {:?} against {:?}", a.meta, b.meta)),
        }
    }
}

/// Two files that differ; a layer is looked into.
fn files(place: &str, one: &Bytes, two: &Bytes, lines: &mut Vec<String>) {
    if place.ends_with(".squashfs") {
        match (squashfs::read(one), squashfs::read(two)) {
            (Ok(one), Ok(two)) if one != two => return trees(place, &one, &two, lines),
            (Err(error), _) => lines.push(format!("{place}: the first build's: {error}")),
            (_, Err(error)) => lines.push(format!("{place}: the second build's: {error}")),
            (Ok(_), Ok(_)) => {}
        }
    }
    lines.push(format!("{place}: {}", first_difference(one, two)));
}

fn first_difference(one: &[u8], two: &[u8]) -> String {
    match one.iter().zip(two).position(|(a, b)| a != b) {
        Some(at) => format!("first at byte {at}"),
        None => format!("{} bytes against {}", one.len(), two.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgbuild_base::{Digest, Epoch, Meta};

    /// An archive with one file of this content.
    fn archive_of(dir: &Path, name: &str, content: &str) -> BuiltImage {
        let mut tree = Tree::new();
        let file = TreePath::new("etc/etcd/key").unwrap();
        let meta = Meta::root(0o600, Epoch::ZERO);
        tree.put_file(file, meta, content.to_owned());
        let bytes = archive::last_part(&tree).unwrap();
        let path = dir.join(name);
        fs_err::write(&path, &bytes).unwrap();
        BuiltImage {
            owner: None,
            format: Format::Overlay,
            name: "etcd-0.overlay.tar.gz".to_owned(),
            block_map: None,
            path,
            sha256: Digest::of(&bytes),
            size: bytes.len() as u64,
            content: bytes.len() as u64,
            unchanged: false,
        }
    }

    #[test]
    fn a_difference_between_archives_is_named_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let one = archive_of(dir.path(), "a", "same");
        let mut lines = Vec::new();
        let same = archive_of(dir.path(), "b", "same");
        differences(&one, &same, &mut lines).unwrap();
        assert!(lines.is_empty(), "{lines:?}");
        let other = archive_of(dir.path(), "c", "sane");
        differences(&one, &other, &mut lines).unwrap();
        assert_eq!(lines, ["etcd-0/etc/etcd/key: first at byte 2"]);
    }
}
