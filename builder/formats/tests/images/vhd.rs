//! Fixed VHD as qemu-img reads it.

use crate::support::{any_image, assert_reads_as, edges, image, info, mixed, same_on_any_threads};
use imgbuild_base::{ByteSize, Epoch};
use imgbuild_formats::disk::DiskImage;
use imgbuild_formats::gpt::Guid;
use imgbuild_formats::vhd::{rounded, write};
use proptest::prelude::*;
use std::io::Cursor;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const ID: Guid = Guid::from_u128(0x0123_4567_89AB_4DEF_8123_4567_89AB_CDEF);
/// 2026-11-20T12:00:00Z
const MADE: Epoch = Epoch::from_u32(1_795_176_000);

fn bytes(image: &DiskImage) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    write(image, ID, MADE, &mut out).unwrap();
    assert_eq!(out.position(), out.get_ref().len() as u64);
    out.into_inner()
}

fn stored(dir: &Path, image: &DiskImage) -> PathBuf {
    let path = dir.join("disk.vhd");
    let mut file = fs_err::File::create(&path).unwrap();
    write(image, ID, MADE, &mut file).unwrap();
    path
}

#[test]
fn qemu_reads_every_kind_of_disk() {
    let dir = tempfile::tempdir().unwrap();
    for (name, image) in edges() {
        let path = stored(dir.path(), &image);
        let size = rounded(image.size()).get();
        assert_eq!(fs_err::metadata(&path).unwrap().len(), size + 512, "{name}");
        let info = info("vpc", &path);
        assert_eq!(info["virtual-size"], size, "{name}");
        assert_reads_as(&path, "vpc", &image, size);
    }
}

#[test]
fn zeros_take_no_space() {
    let dir = tempfile::tempdir().unwrap();
    let path = stored(dir.path(), &image(900 << 20, vec![(17, vec![0; 20 << 20])]));
    let used = fs_err::metadata(&path).unwrap().blocks() * 512;
    assert!(used <= 128 << 10, "{used} bytes");
}

#[test]
fn the_bytes_are_pinned() {
    let whole = same_on_any_threads(|| bytes(&mixed()));
    insta::assert_snapshot!(whole, @"35841582ab164eb0c48566b820499046057f7441503daa3b55612264db1d87eb");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn any_disk_comes_back(image in any_image()) {
        let dir = tempfile::tempdir().unwrap();
        let size = rounded(image.size());
        prop_assert!(size >= image.size() && size < ByteSize::bytes(image.size().get() + (1 << 20) + 1));
        assert_reads_as(&stored(dir.path(), &image), "vpc", &image, size.get());
    }
}
