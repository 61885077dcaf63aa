use super::*;
use crate::disk::DiskImage;
use crate::source::Source as _;
use bytes::Bytes;
use imgbuild_base::{Digest, Kind, Meta};
use proptest::prelude::*;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

/// 2026-11-20T12:00:00Z
const EPOCH: Epoch = Epoch::from_u32(1_795_176_000);

fn options(size: ByteSize) -> Options {
    Options {
        volume_id: 0xABCD_1234,
        label: "BOOT".parse().unwrap(),
        size,
        epoch: EPOCH,
        hidden_sectors: 2048,
        last: Vec::new(),
    }
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn tree(files: &[(&str, Vec<u8>)]) -> Tree {
    let mut tree = Tree::new();
    for (name, bytes) in files {
        tree.put_file(path(name), Meta::root(0o644, EPOCH), bytes.clone());
    }
    tree
}

fn sample() -> Tree {
    let noise = |length: u32| (0..length).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]);
    let mut tree = tree(&[
        ("EFI/BOOT/BOOTX64.EFI", noise(300_000).collect()),
        ("config.txt", b"arm_64bit=1\n".to_vec()),
        ("empty", Vec::new()),
        (
            "layers/00-base-0123abcd.squashfs",
            noise(1_000_001).collect(),
        ),
        ("layers/10-etcd-4567cdef.squashfs", noise(4096).collect()),
        ("layers/20-node-one.squashfs", noise(513).collect()),
        (
            "overlays/Été ça va?".trim_end_matches('?'),
            b"unicode".to_vec(),
        ),
        ("overlays/a name of exactly 26 chars", b"26".to_vec()),
        ("a/b/c/d/e", b"deep".to_vec()),
    ]);
    for n in 0..200 {
        let name = format!("many/device-tree-number-{n}.dtb");
        tree.put_file(path(&name), Meta::root(0o644, EPOCH), format!("{n}"));
    }
    tree
}

fn bytes(volume: &FatVolume) -> Vec<u8> {
    let disk = DiskImage::new(volume.size, volume.extents.clone()).unwrap();
    let mut bytes = Vec::new();
    disk.reader().read_to_end(&mut bytes).unwrap();
    bytes
}

fn write(volume: &FatVolume, path: &Path) {
    let disk = DiskImage::new(volume.size, volume.extents.clone()).unwrap();
    disk.write_sparse(&fs_err::File::create(path).unwrap())
        .unwrap();
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text
}

#[test]
fn foreign_tools_agree_at_every_cluster_size() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("boot.img");
    let tree = sample();
    for mib in [33, 64, 100, 256, 512, 8192, 16384, 32768] {
        write(
            &layout(&tree, &options(ByteSize::mib(mib))).unwrap(),
            &image,
        );
        let text = run(Command::new("fsck.fat").args(["-n", "-v"]).arg(&image));
        for complaint in ["Free cluster summary", "differences", "Dirty", "wrong"] {
            assert!(!text.contains(complaint), "{mib} MiB: {text}");
        }
        assert!(text.contains("219 files"), "{mib} MiB: {text}");
    }
    let text = run(Command::new("file").arg("-b").arg(&image));
    assert!(text.contains("FAT (32 bit)"), "{text}");
    assert!(text.contains("serial number 0xabcd1234"), "{text}");
    assert!(text.contains("label: \"BOOT       \""), "{text}");
}

#[test]
fn extents_say_all_even_on_a_medium_with_a_past() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("boot.img");
    let size = ByteSize::mib(64);
    let volume = layout(&sample(), &options(size)).unwrap();
    let mut medium = vec![0xA5; usize::try_from(size.get()).unwrap()];
    for extent in &volume.extents {
        let at = usize::try_from(extent.offset).unwrap();
        medium[at..at + extent.bytes.len()].copy_from_slice(&extent.bytes);
    }
    fs_err::write(&image, medium).unwrap();
    let text = run(Command::new("fsck.fat").args(["-n", "-v"]).arg(&image));
    assert!(text.contains("219 files"), "{text}");
    assert!(!text.contains("differ"), "{text}");
}

#[test]
fn mtools_reads_every_file() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("boot.img");
    let tree = sample();
    write(&layout(&tree, &options(ByteSize::mib(64))).unwrap(), &image);
    let mtools = |name: &str| {
        let mut command = Command::new(name);
        command
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .arg("-i")
            .arg(&image);
        command
    };
    let info = run(mtools("minfo").arg("::"));
    for part in [
        "serial number: ABCD1234",
        "hidden sectors: 2048",
        "disk type=\"FAT32   \"",
    ] {
        assert!(info.contains(part), "{part} is missing in {info}");
    }
    let listing = run(mtools("mdir").arg("::"));
    assert!(listing.contains("Volume in drive : is BOOT"), "{listing}");
    assert!(listing.contains("2026-11-20  12:00"), "{listing}");
    assert!(
        listing.contains("config.txt") || listing.contains("CONFIG"),
        "{listing}"
    );
    let out = dir.path().join("out");
    fs_err::create_dir(&out).unwrap();
    run(mtools("mcopy").args(["-s", "-Q", "::/*"]).arg(&out));
    let mut files = 0;
    for (path, entry) in tree.iter() {
        if let Kind::File(body) = &entry.kind {
            let found = fs_err::read(out.join(path.as_str())).unwrap();
            assert_eq!(Digest::of(&found), body.digest(), "/{path}");
            files += 1;
        }
    }
    assert_eq!(files, 209);
}

#[test]
fn what_was_written_is_read_without_copying() {
    let tree = sample();
    let volume = layout(&tree, &options(ByteSize::mib(33))).unwrap();
    let whole = Bytes::from(bytes(&volume));
    let found = read(&whole).unwrap();
    let contents = |tree: &Tree| -> Vec<(TreePath, Kind)> {
        let entries = tree
            .iter()
            .map(|(path, entry)| (path.clone(), entry.kind.clone()));
        entries.collect()
    };
    assert_eq!(contents(&found), contents(&tree));
    assert!(found.iter().all(|(_, entry)| entry.meta.mtime == EPOCH));
    let body = found.file("layers/00-base-0123abcd.squashfs").unwrap();
    assert!(whole.as_ptr_range().contains(&body.as_ptr()));
    let info = info(&whole[..]).unwrap();
    assert_eq!((info.volume_id, info.label.as_str()), (0xABCD_1234, "BOOT"));
    assert_eq!((info.hidden_sectors, info.cluster), (2048, volume.cluster));
}

#[test]
fn bodies_are_referred_to() {
    let tree = sample();
    let volume = layout(&tree, &options(ByteSize::mib(64))).unwrap();
    let body = tree.file("layers/00-base-0123abcd.squashfs").unwrap();
    let same = |extent: &Extent| extent.bytes.as_ptr() == body.as_ptr();
    assert!(volume.extents.iter().any(same));
}

#[test]
fn what_is_put_last_lies_at_the_end_and_changes_nothing_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("boot.img");
    let with = |name: &str, node: &[u8]| {
        let name = format!("layers/{name}");
        let tree = tree(&[
            ("layers/00-base", vec![1; 5000]),
            (&name, node.to_vec()),
            ("zz-boot", vec![2; 9000]),
        ]);
        let last = vec![path("layers"), path(&name)];
        let options = Options {
            last,
            ..options(SMALLEST)
        };
        let volume = layout(&tree, &options).unwrap();
        write(&volume, &image);
        run(Command::new("fsck.fat").args(["-n", "-v"]).arg(&image));
        assert_eq!(
            read(&bytes(&volume).into()).unwrap().file(&name).unwrap(),
            node
        );
        volume
    };
    let one = with("20-a", &[3; 900]);
    let two = with("20-longer-name", &[4; 1000]);
    let end = SMALLEST.get() - SMALLEST.get() % one.cluster.get();
    assert_eq!(
        one.last,
        end - 3 * one.cluster.get(),
        "a directory, two clusters"
    );
    assert_eq!(one.last, two.last);
    let until = usize::try_from(one.last).unwrap();
    assert_eq!(bytes(&one)[..until], bytes(&two)[..until]);
    assert_ne!(bytes(&one)[until..], bytes(&two)[until..]);
    let missing = Options {
        last: vec![path("layers/y")],
        ..options(SMALLEST)
    };
    assert_eq!(
        layout(&tree(&[("layers/x", vec![])]), &missing),
        Err(FatError::NoSuchEntry(path("layers/y")))
    );
}

#[test]
fn the_smallest_volume_fits_and_leaves_the_reserve() {
    for (length, reserve) in [(0, 0), (40 << 20, 0), (60 << 20, 10 << 20), (300 << 20, 1)] {
        let mut tree = Tree::new();
        tree.put(
            path("body"),
            imgbuild_base::Entry {
                meta: Meta::root(0o644, EPOCH),
                kind: Kind::File(imgbuild_base::Body::known(
                    Bytes::from(vec![0; length]),
                    Digest::of(b"not looked at"),
                )),
            },
        );
        let reserve = ByteSize::bytes(reserve);
        let size = min_size(&tree, reserve).unwrap();
        let volume = layout(&tree, &options(size)).unwrap();
        assert!(volume.free >= reserve);
        assert!(volume.free.get() < reserve.get() + (34 << 20));
        if length > 40 << 20 {
            assert!(
                volume.free.get() < reserve.get() + (2 << 20),
                "{length}: {}",
                volume.free
            );
        }
    }
}

#[test]
fn what_fat_cannot_hold_is_refused() {
    let small = options(SMALLEST);
    let fails = |files: &[(&str, Vec<u8>)]| layout(&tree(files), &small).unwrap_err();
    assert_eq!(
        fails(&[("d/Name", vec![]), ("d/name", vec![])]),
        FatError::Case {
            first: path("d/Name"),
            second: path("d/name")
        }
    );
    assert!(matches!(fails(&[("a:b", vec![])]), FatError::Name { .. }));
    assert!(matches!(
        fails(&[("big", vec![0; 33 << 20])]),
        FatError::Full { .. }
    ));
    let mut link = Tree::new();
    link.put_link(path("l"), "x", EPOCH);
    assert_eq!(
        layout(&link, &small),
        Err(FatError::Kind {
            path: path("l"),
            what: "a symbolic link"
        })
    );
    let mut orphan = tree(&[("d/x", vec![])]);
    orphan.remove(&path("d"));
    assert_eq!(layout(&orphan, &small), Err(FatError::Orphan(path("d/x"))));
    for bad in ["", "boot", "TWELVE CHARS", " A", "A "] {
        assert_eq!(bad.parse::<Label>(), Err(LabelError(bad.to_owned())));
    }
}

#[test]
fn the_bytes_are_pinned() {
    let volume = layout(&sample(), &options(SMALLEST)).unwrap();
    let disk = DiskImage::new(volume.size, volume.extents).unwrap();
    assert_eq!(
        disk.digest().to_string(),
        "682acc7a38a9efa07684b11343023ec709732e701027e0161218c592e4094565"
    );
}

#[test]
fn damage_is_named() {
    let tree = tree(&[("a", vec![1; 2000])]);
    let good = bytes(&layout(&tree, &options(SMALLEST)).unwrap());
    assert_eq!(
        read(&Bytes::new()),
        Err(ReadError::NotFat32("shorter than one sector"))
    );
    let short = Bytes::copy_from_slice(&good[..1 << 20]);
    assert_eq!(
        read(&short),
        Err(ReadError::Truncated {
            expected: 33 << 20,
            found: 1 << 20
        })
    );
    // The file's four clusters follow the root directory's one: make the last lead back.
    let fat = Geometry::new(SMALLEST).unwrap().fats()[0];
    let at = usize::try_from(fat).unwrap() + 6 * 4;
    let mut looped = good;
    looped[at..at + 4].copy_from_slice(&3_u32.to_le_bytes());
    assert_eq!(
        read(&Bytes::from(looped)),
        Err(ReadError::Chain {
            path: "a".to_owned(),
            cluster: 3,
            what: "its chain runs into itself or another"
        })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_damage_panics_the_reader(
        area in 0_usize..3,
        changes in proptest::collection::vec((0_usize..4096, any::<u8>()), 1..40),
    ) {
        let geometry = Geometry::new(SMALLEST).unwrap();
        let mut damaged = VOLUME.with(|volume| volume.clone());
        let areas = [0, geometry.fats()[0], geometry.offset(2)];
        let start = usize::try_from(areas[area]).unwrap();
        for (at, value) in changes {
            // The boot sector's fields are all within its first 96 bytes.
            let at = if area == 0 { at % 96 } else { at };
            damaged[start + at] = value;
        }
        let _ = read(&Bytes::from(damaged));
    }
}

thread_local! {
    static VOLUME: Vec<u8> = bytes(&layout(&sample(), &options(SMALLEST)).unwrap());
}

#[test]
fn a_volume_is_listed_where_it_lies() {
    let tree = tree(&[("dir/long name.txt", vec![7; 5000]), ("empty", Vec::new())]);
    let volume = layout(&tree, &options(SMALLEST)).unwrap();
    let start = 1 << 20;
    let size = ByteSize::bytes(start + SMALLEST.get());
    let extents = volume.extents.into_iter().map(|part| part.shifted(start));
    let disk = DiskImage::new(size, extents).unwrap();
    let part = crate::source::Part::new(&disk, start..size.get()).unwrap();
    let listing = list(&part).unwrap();
    let paths: Vec<&str> = listing.keys().map(TreePath::as_str).collect();
    assert_eq!(paths, ["dir", "dir/long name.txt", "empty"]);
    let sizes = listing.values().map(|entry| match &entry.kind {
        ListedKind::Directory => None,
        ListedKind::File(content) => Some(content.size().get()),
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [None, Some(5000), Some(0)]);
    let ListedKind::File(content) = &listing[&"dir/long name.txt".parse().unwrap()].kind else {
        panic!("a file became a directory");
    };
    let mut bytes = Vec::new();
    content.reader(&part).read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, vec![7; 5000]);

    // In pieces, as on a volume that was used for long.
    let pieces = read::stretches(vec![10..13, 4..6, 0..1]);
    let volume: &[u8] = b"0123456789abc";
    let mut text = String::new();
    pieces.reader(volume).read_to_string(&mut text).unwrap();
    assert_eq!(text, "abc450");
    let source = pieces.source(volume);
    assert_eq!(source.bytes(2, 3).unwrap(), b"c45");
    assert!(source.bytes(5, 2).is_err());
}
