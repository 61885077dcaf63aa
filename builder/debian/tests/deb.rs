//! Unpacking, judged by `dpkg-deb` and by hand-made hostile packages.

// Helpers of tests may unwrap as the tests do.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use imgbuild_base::{Epoch, Kind, TreePath};
use imgbuild_debian::deb::{DebError, UnpackedDeb, unpack};
use proptest::prelude::*;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use tar::{EntryType, Header};

const ALL: &dyn Fn(&TreePath) -> bool = &|_| true;

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        writeln!(
            out,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
            0,
            0,
            0,
            100644,
            bytes.len()
        )
        .unwrap();
        out.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

/// One tar entry: name as written, type, link target, body.
type Item<'a> = (&'a str, EntryType, &'a str, &'a [u8]);

fn tar_of(items: &[Item<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, target, body) in items {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o4755);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_700_000_000);
        header.set_size(body.len() as u64);
        if *kind == EntryType::Char {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(body);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

const FILE: EntryType = EntryType::Regular;
const DIR: EntryType = EntryType::Directory;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;

fn control() -> Vec<u8> {
    tar_of(&[("./control", FILE, "", b"Package: x\nVersion: 1\n")])
}

fn deb(items: &[Item<'_>]) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control()),
        ("data.tar", &tar_of(items)),
    ])
}

fn xz(bytes: &[u8], block: u64) -> Vec<u8> {
    let stream = liblzma::stream::MtStreamBuilder::new()
        .threads(2)
        .block_size(block)
        .preset(1)
        .check(liblzma::stream::Check::Crc64)
        .encoder()
        .unwrap();
    let mut out = Vec::new();
    liblzma::bufread::XzEncoder::new_stream(bytes, stream)
        .read_to_end(&mut out)
        .unwrap();
    out
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    output.stdout
}

#[test]
fn unpacks_what_dpkg_packs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let put = |path: &str, body: &str| {
        let path = root.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, body).unwrap();
    };
    let long = format!("usr/share/{}/{}", "d".repeat(120), "f".repeat(200));
    put(
        "DEBIAN/control",
        "Package: demo\nVersion: 1.2-3\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: demo\n more\n",
    );
    put("DEBIAN/conffiles", "/etc/demo.conf\n");
    put("etc/demo.conf", "conf");
    put("lib/systemd/system/demo.service", "[Unit]\n");
    put("bin/demo", "#!/bin/sh\n");
    put("usr/bin/empty", "");
    put(&long, "long");
    fs_err::set_permissions(root.join("bin/demo"), PermissionsExt::from_mode(0o4755)).unwrap();
    fs_err::hard_link(root.join("etc/demo.conf"), root.join("etc/other.conf")).unwrap();
    symlink("x".repeat(150), root.join("usr/bin/link")).unwrap();
    for compression in ["xz", "gzip", "zstd", "none"] {
        let file = dir.path().join(format!("{compression}.deb"));
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "-b", &format!("-Z{compression}")])
            .args([&root, &file])
            .env("SOURCE_DATE_EPOCH", "1700000000"));
        let unpacked = unpack(&fs_err::read(&file).unwrap(), ALL).unwrap();
        assert_eq!(unpacked.control().get("Version"), Some("1.2-3"));
        assert_eq!(unpacked.conffiles()[0].as_str(), "etc/demo.conf");
        let tree = unpacked.tree();
        assert_eq!(tree.file(&long).unwrap().as_ref(), b"long");
        assert_eq!(tree.file("etc/other.conf").unwrap().as_ref(), b"conf");
        assert_eq!(tree.file("usr/bin/empty").unwrap().as_ref(), b"");
        assert_eq!(tree.at("usr/bin/demo").unwrap().meta.mode, 0o4755);
        assert_eq!(
            tree.at("usr/bin/link").unwrap().kind,
            Kind::Symlink("x".repeat(150))
        );
        assert!(tree.at("bin").is_none() && tree.at("lib").is_none());
        // Each body once: the hard link shares its first name's.
        assert_eq!(
            unpacked.pack().len(),
            "conf".len() + "[Unit]\n#!/bin/sh\nlong".len()
        );
        // dpkg's own list names the same files, but for merged /usr.
        let list = run(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(&file));
        let mut names: Vec<TreePath> = tar::Archive::new(list.as_slice())
            .entries()
            .unwrap()
            .filter_map(|entry| {
                TreePath::new(entry.unwrap().path().unwrap().to_str().unwrap()).ok()
            })
            .map(|path| match path.as_str() {
                text if text.starts_with("bin") || text.starts_with("lib") => {
                    TreePath::new(&format!("usr/{text}")).unwrap()
                }
                _ => path,
            })
            .collect();
        names.sort();
        names.dedup();
        assert!(unpacked.paths().eq(names.iter()));
    }
}

#[test]
fn owners_devices_and_base_files_links() {
    let bytes = deb(&[
        ("./", DIR, "", b""),
        ("./bin", LINK, "usr/bin", b""),
        ("./lib/", DIR, "", b""),
        ("./usr/", DIR, "", b""),
        ("./usr/lib/", DIR, "", b""),
        ("./dev/null", EntryType::Char, "", b""),
    ]);
    let tree = unpack(&bytes, ALL).unwrap().tree();
    assert_eq!(
        tree.at("bin").unwrap().kind,
        Kind::Symlink("usr/bin".into())
    );
    assert_eq!(tree.at("usr/lib").unwrap().kind, Kind::Directory);
    let null = tree.at("dev/null").unwrap();
    assert_eq!(null.kind, Kind::CharDevice { major: 1, minor: 3 });
    assert_eq!(
        (null.meta.uid, null.meta.gid, null.meta.mode),
        (7, 8, 0o4755)
    );
    assert_eq!(null.meta.mtime, Epoch::from_u32(1_700_000_000));
}

#[test]
fn what_is_not_wanted_leaves_no_trace() {
    let bytes = deb(&[
        ("./a", FILE, "", b"aaaa"),
        ("./b", FILE, "", b"bb"),
        ("./c", HARD, "./a", b""),
        ("./d", HARD, "./c", b""),
    ]);
    let only =
        |names: &'static str| unpack(&bytes, &move |path| names.contains(path.as_str())).unwrap();
    let one = only("b");
    assert_eq!(
        (one.pack().as_ref(), one.tree().len()),
        (b"bb".as_slice(), 1)
    );
    // A hard link outlives its first name, even over several steps.
    for name in ["c", "d"] {
        let kept = only(name);
        assert_eq!(kept.pack().as_ref(), b"aaaa");
        assert_eq!(kept.tree().file(name).unwrap().as_ref(), b"aaaa");
        assert_eq!(kept.tree().len(), 1);
    }
}

#[test]
fn many_blocks_decode_as_one() {
    let body: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let tar = tar_of(&[("./big", FILE, "", &body), ("./small", FILE, "", b"s")]);
    for block in [0, 100_000] {
        let bytes = ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar.xz", &xz(&control(), 0)),
            ("data.tar.xz", &xz(&tar, block)),
        ]);
        let tree = unpack(&bytes, ALL).unwrap().tree();
        assert_eq!(tree.file("big").unwrap().as_ref(), body);
        assert_eq!(tree.file("small").unwrap().as_ref(), b"s");
    }
}

#[test]
fn hostile_entries_are_refused() {
    let error = |items: &[Item<'_>]| unpack(&deb(items), ALL).unwrap_err();
    assert!(matches!(
        error(&[("./../x", FILE, "", b"")]),
        DebError::Path(_)
    ));
    assert!(
        matches!(error(&[("/etc/x", FILE, "", b"")]), DebError::Absolute(name) if name == "/etc/x")
    );
    assert!(matches!(
        error(&[("./x", HARD, "../../etc/shadow", b"")]),
        DebError::Path(_)
    ));
    assert!(matches!(
        error(&[("./x", HARD, "/etc/shadow", b"")]),
        DebError::HardLink { .. }
    ));
    assert!(matches!(
        error(&[("./x", LINK, "", b"")]),
        DebError::EmptyLink(_)
    ));
    assert!(matches!(
        error(&[("./x", EntryType::Fifo, "", b"")]),
        DebError::Kind { .. }
    ));
    assert!(matches!(
        error(&[("./x", FILE, "", b""), ("x", FILE, "", b"")]),
        DebError::Duplicate(path) if path.as_str() == "x"
    ));
    let below = error(&[("./x", LINK, "/etc", b""), ("./x/passwd", FILE, "", b"")]);
    assert_eq!(
        below.to_string(),
        "the package holds x/passwd, but x is a symbolic link"
    );
    // The same when the link itself is not kept.
    let hidden = deb(&[("./x", LINK, "/etc", b""), ("./x/passwd", FILE, "", b"")]);
    let error = unpack(&hidden, &|path| path.as_str() != "x").unwrap_err();
    assert!(matches!(error, DebError::Below { .. }));
}

#[test]
fn malformed_archives_are_refused() {
    let (c, d) = (control(), tar_of(&[]));
    let two = b"2.0\n".as_slice();
    let error = |members: &[(&str, &[u8])]| unpack(&ar(members), ALL).unwrap_err();
    assert!(matches!(
        unpack(b"PK", ALL),
        Err(DebError::NotAnArchive { len: 2 })
    ));
    assert!(matches!(error(&[]), DebError::Truncated { offset: 8 }));
    assert!(matches!(
        error(&[("debian-binary", b"3.0\n")]),
        DebError::Format(format) if format == "3.0"
    ));
    assert!(matches!(
        error(&[
            ("debian-binary", two),
            ("data.tar", &d),
            ("control.tar", &c)
        ]),
        DebError::Member {
            expected: "control.tar",
            ..
        }
    ));
    assert!(matches!(
        error(&[("debian-binary", two), ("control.tar.lz", &c)]),
        DebError::Compression(name) if name == "control.tar.lz"
    ));
    assert!(matches!(
        error(&[
            ("debian-binary", two),
            ("control.tar", &d),
            ("data.tar", &d)
        ]),
        DebError::NoControl(_)
    ));
}

/// A small package compressed with xz, whose every part matters.
fn sample() -> Vec<u8> {
    let data = tar_of(&[
        ("./etc/", DIR, "", b""),
        ("./etc/a", FILE, "", b"hello"),
        ("./etc/b", LINK, "a", b""),
        ("./etc/c", HARD, "./etc/a", b""),
        ("./dev/null", EntryType::Char, "", b""),
    ]);
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", &xz(&control(), 0)),
        ("data.tar.xz", &xz(&data, 0)),
    ])
}

#[test]
fn every_truncation_is_an_error() {
    let whole = sample();
    assert!(unpack(&whole, ALL).is_ok());
    // The last byte may be the padding that makes the size even.
    for len in 0..whole.len() - 1 {
        assert!(unpack(&whole[..len], ALL).is_err(), "{len} bytes");
    }
    let tar = tar_of(&[("./a", FILE, "", b"hello")]);
    let short = ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control()),
        ("data.tar", &tar[..514]),
    ]);
    let error = unpack(&short, ALL).unwrap_err();
    assert!(matches!(error, DebError::Short { .. }), "{error}");
}

#[test]
fn a_package_comes_back_from_manifest_and_pack() {
    let unpacked = unpack(&sample(), ALL).unwrap();
    let manifest = unpacked.encode_manifest();
    let whole = Bytes::from([&manifest, &unpacked.pack()[..]].concat());
    let again = UnpackedDeb::decode(&whole).unwrap();
    assert_eq!(again, unpacked);
    assert_eq!(again.tree().digest(), unpacked.tree().digest());
    let body = again.tree().file("etc/a").unwrap().clone();
    assert_eq!(body.as_ptr(), again.pack().as_ptr(), "no copy");
    assert_eq!(again.pack().as_ptr(), whole[manifest.len()..].as_ptr());
    let error = UnpackedDeb::decode(&whole.slice(..whole.len() - 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the manifest describes a pack of 5 bytes, but 4 follow it"
    );
    for len in 0..whole.len() {
        assert!(UnpackedDeb::decode(&whole.slice(..len)).is_err());
    }
}

proptest! {
    #[test]
    fn damaged_packages_never_panic(at in 0_usize..10_000, value: u8) {
        let mut bytes = sample();
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = unpack(&bytes, ALL);
    }

    #[test]
    fn a_manifest_has_one_encoding(changes in prop::collection::vec((0_usize..1000, any::<u8>()), 1..4)) {
        let unpacked = unpack(&sample(), ALL).unwrap();
        let mut manifest = unpacked.encode_manifest();
        for (at, value) in changes {
            let at = at % manifest.len();
            manifest[at] = value;
        }
        let whole = Bytes::from([&manifest, &unpacked.pack()[..]].concat());
        if let Ok(read) = UnpackedDeb::decode(&whole) {
            let again = [&read.encode_manifest(), &read.pack()[..]].concat();
            prop_assert_eq!(&again[..], &whole[..]);
            prop_assert!(read.tree().len() >= read.paths().count());
        }
    }
}
