//! qcow2 as qemu-img reads it.

use crate::support::{
    CELL, any_image, assert_reads_as, edges, image, info, mixed, noise, prose, qemu_img,
    same_on_any_threads,
};
use imgbuild_base::ByteSize;
use imgbuild_formats::FileName;
use imgbuild_formats::disk::{DiskImage, Extent};
use imgbuild_formats::qcow2::{WriteError, write, write_thin};
use proptest::prelude::*;
use std::io::Cursor;
use std::path::{Path, PathBuf};

fn bytes(image: &DiskImage) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    write(image, &mut out).unwrap();
    assert_eq!(out.position(), out.get_ref().len() as u64);
    out.into_inner()
}

fn thin_bytes(base: &DiskImage, name: &FileName, image: &DiskImage) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    write_thin(base, name, image, &mut out).unwrap();
    out.into_inner()
}

/// The image as a file that `qemu-img check` has no complaint about.
fn checked(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs_err::write(&path, bytes).unwrap();
    let said = qemu_img(&["check", "-f", "qcow2"], &[&path]);
    assert!(said.contains("No errors were found"), "{said}");
    path
}

fn sectors(image: &DiskImage) -> u64 {
    image.size().get().next_multiple_of(512)
}

#[test]
fn qemu_reads_every_kind_of_disk() {
    let dir = tempfile::tempdir().unwrap();
    for (name, image) in edges() {
        let path = checked(dir.path(), "disk.qcow2", &bytes(&image));
        let info = info("qcow2", &path);
        assert_eq!(info["virtual-size"], sectors(&image), "{name}");
        let specific = &info["format-specific"]["data"];
        assert_eq!(specific["compat"], "1.1", "{name}");
        assert_eq!(specific["compression-type"], "zlib", "{name}");
        assert_reads_as(&path, "qcow2", &image, sectors(&image));
    }
}

#[test]
fn zeros_take_no_space_and_prose_little() {
    let hole = bytes(&image(33 << 20, vec![])).len() as u64;
    assert_eq!(hole, 4 * CELL, "header, L1, refcount block and table");
    let zeros = bytes(&image(33 << 20, vec![(17, vec![0; 20 << 20])]));
    assert_eq!(zeros.len() as u64, hole);
    let text = bytes(&image(33 << 20, vec![(0, prose(20 << 20))]));
    assert!(text.len() < 7 << 20, "{} bytes", text.len());
    // What does not shrink costs nothing but the table.
    let dense = bytes(&image(33 << 20, vec![(0, noise(20 << 20, 5))]));
    assert_eq!(dense.len() as u64, hole + (20 << 20) + CELL);
}

#[test]
fn a_thin_image_holds_only_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let name: FileName = "base.qcow2".parse().unwrap();
    let shared = Extent::new(CELL, noise(40 * 65536, 1));
    let size = ByteSize::mib(20);
    let base_parts = [
        shared.clone(),
        Extent::new(100 * CELL, vec![1; 65536]),
        Extent::new(200 * CELL, vec![2; 65536]),
    ];
    let base = DiskImage::new(size, base_parts).unwrap();
    checked(dir.path(), "base.qcow2", &bytes(&base));

    // One cluster new, one changed, one zero that is not in the base.
    let parts = [
        shared,
        Extent::new(150 * CELL, noise(65536, 2)),
        Extent::new(200 * CELL + 5, "changed"),
    ];
    let node = DiskImage::new(size, parts).unwrap();
    let thin = thin_bytes(&base, &name, &node);
    assert!(thin.len() as u64 <= 8 * CELL, "{} bytes", thin.len());
    let path = checked(dir.path(), "node.qcow2", &thin);
    let info = info("qcow2", &path);
    assert_eq!(info["backing-filename"], "base.qcow2");
    assert_eq!(info["backing-filename-format"], "qcow2");
    assert_reads_as(&path, "qcow2", &node, size.get());

    // Nothing differs: tables only.
    assert_eq!(thin_bytes(&base, &name, &base).len() as u64, 4 * CELL);
}

#[test]
fn a_thin_image_may_be_larger_or_smaller_than_its_base() {
    let dir = tempfile::tempdir().unwrap();
    let name: FileName = "base.qcow2".parse().unwrap();
    let base = image(10 * CELL + 512, vec![(0, noise(10 * 65536 + 512, 1))]);
    checked(dir.path(), "base.qcow2", &bytes(&base));
    for size in [512, 5 * CELL, 10 * CELL + 1024, 30 * CELL] {
        let node = image(size, vec![(200, b"x".to_vec()), (size - 1, vec![1])]);
        let path = checked(dir.path(), "node.qcow2", &thin_bytes(&base, &name, &node));
        assert_reads_as(&path, "qcow2", &node, size);
    }
}

#[test]
fn the_bytes_are_pinned() {
    let base: FileName = "base.qcow2".parse().unwrap();
    let whole = same_on_any_threads(|| bytes(&mixed()));
    let over = image(50 << 20, vec![(40 << 20, prose(999_999))]);
    let thin = same_on_any_threads(|| thin_bytes(&over, &base, &mixed()));
    insta::assert_snapshot!(format!("{whole}\n{thin}"), @r"
    5256b796b1fd5fc0ba59970a9f371a09f4e6684957999e4226c6097d29918ed1
    e796077a9982141f20da51663abf91fdc16202709538afde58b8c813353580ed
    ");
}

#[test]
fn too_large_a_disk_is_refused() {
    let image = DiskImage::new(ByteSize::bytes((2 << 50) + 1), []).unwrap();
    let error = write(&image, &mut Cursor::new(Vec::new())).unwrap_err();
    assert!(
        matches!(error, WriteError::TooLarge(2_251_799_813_685_249)),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_disk_comes_back(base in any_image(), node in any_image()) {
        let dir = tempfile::tempdir().unwrap();
        let path = checked(dir.path(), "base.qcow2", &bytes(&base));
        assert_reads_as(&path, "qcow2", &base, sectors(&base));
        let name = "base.qcow2".parse().unwrap();
        let path = checked(dir.path(), "node.qcow2", &thin_bytes(&base, &name, &node));
        assert_reads_as(&path, "qcow2", &node, sectors(&node));
    }
}
