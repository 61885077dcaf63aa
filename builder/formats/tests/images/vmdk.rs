//! streamOptimized VMDK as qemu-img reads it.

use crate::support::{
    CELL, any_image, assert_reads_as, edges, image, info, mixed, noise, prose, qemu_img,
    same_on_any_threads,
};
use imgbuild_base::{ByteSize, Digest};
use imgbuild_formats::disk::DiskImage;
use imgbuild_formats::vmdk::{ContentId, WriteError, write};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn content() -> ContentId {
    ContentId::derived(Digest::of(b"disk"))
}

fn bytes(image: &DiskImage) -> Vec<u8> {
    let mut out = Vec::new();
    let name = "disk.vmdk".parse().unwrap();
    write(image, &name, content(), &mut out).unwrap();
    out
}

/// The image as a file that `qemu-img check` has no complaint about.
fn checked(dir: &Path, bytes: &[u8]) -> PathBuf {
    let path = dir.join("disk.vmdk");
    fs_err::write(&path, bytes).unwrap();
    let said = qemu_img(&["check", "-f", "vmdk"], &[&path]);
    assert!(said.contains("No errors were found"), "{said}");
    path
}

fn grains(image: &DiskImage) -> u64 {
    image.size().get().next_multiple_of(CELL).max(CELL)
}

#[test]
fn qemu_reads_every_kind_of_disk() {
    let dir = tempfile::tempdir().unwrap();
    for (name, image) in edges() {
        let path = checked(dir.path(), &bytes(&image));
        let info = info("vmdk", &path);
        assert_eq!(info["virtual-size"], grains(&image), "{name}");
        let specific = &info["format-specific"]["data"];
        assert_eq!(specific["create-type"], "streamOptimized", "{name}");
        assert_eq!(specific["extents"][0]["compressed"], true, "{name}");
        let cid = u32::from_str_radix(&content().to_string()[24..], 16).unwrap();
        assert_eq!(specific["cid"], cid, "{name}");
        assert_reads_as(&path, "vmdk", &image, grains(&image));
    }
}

#[test]
fn zeros_take_no_space_and_prose_little() {
    // Overhead, the directory with its marker, the footer with its, end of stream.
    let hole = CELL + 2 * 512 + 2 * 512 + 512;
    let zeros = bytes(&image(32 << 20, vec![(17, vec![0; 20 << 20])]));
    assert_eq!(zeros.len() as u64, hole);
    let text = bytes(&image(32 << 20, vec![(0, prose(20 << 20))]));
    assert!(text.len() < 6 << 20, "{} bytes", text.len());
    let dense = bytes(&image(32 << 20, vec![(0, noise(20 << 20, 5))]));
    assert!(dense.len() < 21 << 20, "{} bytes", dense.len());
}

#[test]
fn the_bytes_are_pinned() {
    let whole = same_on_any_threads(|| bytes(&mixed()));
    insta::assert_snapshot!(whole, @"db935f195cdf62cdf4c3034166a2eec4da6bdd354766b67f7ce9bd80eefd4ad6");
}

#[test]
fn too_large_a_disk_is_refused() {
    let image = DiskImage::new(ByteSize::bytes(2 << 40), []).unwrap();
    let name = "disk.vmdk".parse().unwrap();
    let error = write(&image, &name, content(), &mut Vec::new()).unwrap_err();
    assert!(
        matches!(error, WriteError::TooLarge(2_199_023_255_552)),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_disk_comes_back(image in any_image()) {
        let dir = tempfile::tempdir().unwrap();
        let path = checked(dir.path(), &bytes(&image));
        assert_reads_as(&path, "vmdk", &image, grains(&image));
    }
}
