//! Disks to write, and what other programs say about the result.

use imgbuild_base::{ByteSize, Digest};
use imgbuild_formats::disk::{DiskImage, Extent};
use proptest::prelude::*;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

/// 64 KiB: a qcow2 cluster, and a VMDK grain.
pub(crate) const CELL: u64 = 64 << 10;

pub(crate) fn image(size: u64, parts: Vec<(u64, Vec<u8>)>) -> DiskImage {
    let extents = parts
        .into_iter()
        .map(|(offset, bytes)| Extent::new(offset, bytes));
    DiskImage::new(ByteSize::bytes(size), extents).unwrap()
}

/// Bytes that do not shrink.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
}

/// Bytes that shrink to a part.
pub(crate) fn prose(length: usize) -> Vec<u8> {
    (0..)
        .flat_map(|line: u32| format!("line {line} of {}\n", line % 7).into_bytes())
        .take(length)
        .collect()
}

/// Some of everything: the image whose digest is pinned.
pub(crate) fn mixed() -> DiskImage {
    let mut broken = noise(3 * 65536, 1);
    broken[70_000..160_000].fill(0);
    image(
        (70 << 20) + 512,
        vec![
            (0, b"boot".to_vec()),
            (CELL - 100, noise(200, 2)),
            (3 * CELL, prose(300_000)),
            (10 * CELL + 17, broken),
            (40 << 20, prose(1_000_000)),
            ((48 << 20) - 1, vec![7; 2]),
            ((70 << 20) + 500, b"end".to_vec()),
        ],
    )
}

/// Disks at the edges of what can be.
pub(crate) fn edges() -> Vec<(&'static str, DiskImage)> {
    vec![
        ("empty", image(0, vec![])),
        ("all a hole", image(33 << 20, vec![])),
        ("one sector", image(512, vec![(0, vec![1; 512])])),
        (
            "no whole sector",
            image(CELL + 700, vec![(CELL + 699, vec![9])]),
        ),
        (
            "zeros as content",
            image(4 * CELL, vec![(100, vec![0; 150_000])]),
        ),
        ("full", image(2 * CELL, vec![(0, noise(2 * 65536, 3))])),
        (
            "the last byte of a table's reach",
            image(
                600 << 20,
                vec![((512 << 20) - 1, vec![1, 2]), ((600 << 20) - 1, vec![3])],
            ),
        ),
        ("mixed", mixed()),
    ]
}

/// Any disk of up to some twenty cells.
pub(crate) fn any_image() -> impl Strategy<Value = DiskImage> {
    let content = (0_usize..200_000, 0_u8..4).prop_map(|(length, kind)| match kind {
        0 => vec![0; length],
        1 => vec![0xA5; length],
        2 => prose(length),
        _ => noise(length, 77),
    });
    let parts = proptest::collection::vec((0_u64..200_000, content), 0..5);
    (parts, 0_u64..100_000).prop_map(|(parts, tail)| {
        let (mut extents, mut at) = (Vec::new(), 0);
        for (gap, bytes) in parts {
            let offset = at + gap;
            at = offset + bytes.len() as u64;
            extents.push((offset, bytes));
        }
        image((at + tail).next_multiple_of(512), extents)
    })
}

/// The whole disk, zeros after it up to `length` bytes.
pub(crate) fn flat(image: &DiskImage, length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.reader().read_to_end(&mut bytes).unwrap();
    assert!(bytes.len() as u64 <= length);
    bytes.resize(usize::try_from(length).unwrap(), 0);
    bytes
}

/// What the program prints; it must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text
}

pub(crate) fn qemu_img(arguments: &[&str], files: &[&Path]) -> String {
    run(Command::new("qemu-img").args(arguments).args(files))
}

/// `qemu-img info` as JSON.
pub(crate) fn info(format: &str, file: &Path) -> serde_json::Value {
    let said = qemu_img(&["info", "--output=json", "-f", format], &[file]);
    serde_json::from_str(&said).unwrap()
}

/// qemu-img reads from `file`, in `format`, what `image` holds, and zeros up to `length`.
pub(crate) fn assert_reads_as(file: &Path, format: &str, image: &DiskImage, length: u64) {
    let raw = file.with_extension("read-back");
    qemu_img(&["convert", "-f", format, "-O", "raw"], &[file, &raw]);
    let seen = fs_err::read(&raw).unwrap();
    fs_err::remove_file(&raw).unwrap();
    assert_eq!(seen.len() as u64, length, "{}", file.display());
    let expected = flat(image, length);
    let differs = seen.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!(differs, None, "{}: first difference", file.display());
}

/// What `write` writes, on one thread, on three, and the digest of both, which must be equal.
pub(crate) fn same_on_any_threads(write: impl Fn() -> Vec<u8> + Sync) -> Digest {
    let [one, three] = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| Digest::of(&write()))
    });
    assert_eq!(one, three, "the number of threads shows");
    one
}
