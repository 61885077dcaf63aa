//! depmod and modprobe judge what is written in their place.

use super::*;
use crate::testing;
use imgbuild_base::{Epoch, Kind, Meta, Tree, TreePath};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

const VERSION: &str = "6.12-test";

/// The test kernel's modules, all of them wanted, and our files for them.
fn indexed() -> (Tree, Vec<(&'static str, Vec<u8>)>) {
    let mut tree = Tree::new();
    let mut order = String::new();
    let dir = format!("usr/lib/modules/{VERSION}");
    let mut put = |path: String, bytes: bytes::Bytes| {
        let path = TreePath::new(&path).unwrap();
        tree.put_file(path, Meta::root(0o644, Epoch::ZERO), bytes);
    };
    let mut wanted = Vec::new();
    for (file, bytes) in testing::modules() {
        order.push_str(&format!("kernel/{file}\n"));
        let name = canonical(file.rsplit('/').next().unwrap().trim_end_matches(".ko"));
        wanted.push(Wanted {
            name,
            early: false,
            optional: false,
            by_recipe: false,
        });
        put(format!("{dir}/kernel/{file}"), bytes);
    }
    put(format!("{dir}/modules.order"), order.into());
    put(
        format!("{dir}/modules.builtin"),
        "kernel/fs/ext4/ext4.ko\n".into(),
    );
    put(
        format!("{dir}/modules.builtin.modinfo"),
        "ext4.alias=fs-ext4\0ext4.license=GPL\0".into(),
    );
    let modules = select(&tree, VERSION, &wanted).unwrap();
    let files = depmod(&tree, VERSION, &modules).unwrap();
    (tree, files)
}

/// Writes the tree to a folder, below `lib/` instead of `usr/lib/`: kmod before version 31
/// looks only there.
fn write(tree: &Tree, to: &Path) {
    for (path, entry) in tree.iter() {
        if let (Kind::File(body), Some(below)) = (&entry.kind, path.as_str().strip_prefix("usr/")) {
            let file = to.join(below);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, body.bytes()).unwrap();
        }
    }
}

fn tool(name: &str) -> Command {
    let sbin = Path::new("/usr/sbin").join(name);
    Command::new(if sbin.exists() { sbin } else { name.into() })
}

fn lines(text: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(text).into_owned();
    let kept = text.lines().filter(|line| !line.starts_with('#'));
    kept.map(str::to_owned).collect()
}

#[test]
fn depmod_says_the_same() {
    let (tree, files) = indexed();
    let dir = tempfile::tempdir().unwrap();
    write(&tree, dir.path());
    let status = tool("depmod")
        .arg("-b")
        .arg(dir.path())
        .arg(VERSION)
        .status()
        .unwrap();
    assert!(status.success());
    let modules = dir.path().join("lib/modules").join(VERSION);
    for (name, ours) in &files {
        let theirs = fs_err::read(modules.join(name)).unwrap();
        if name.ends_with(".bin") {
            assert_eq!(index::read(ours), index::read(&theirs), "{name}");
        } else {
            assert_eq!(lines(ours), lines(&theirs), "{name}");
        }
    }
}

#[test]
fn modprobe_reads_it() {
    let (tree, files) = indexed();
    let dir = tempfile::tempdir().unwrap();
    write(&tree, dir.path());
    let modules = dir.path().join("lib/modules").join(VERSION);
    for (name, bytes) in &files {
        // The text files are left out: what modprobe knows it has from the binary ones.
        if name.ends_with(".bin") || *name == "modules.softdep" {
            fs_err::write(modules.join(name), bytes).unwrap();
        }
    }
    let shown = |what: &str| {
        let output = tool("modprobe")
            .args(["--show-depends", "-S", VERSION, "-d"])
            .arg(dir.path())
            .arg(what)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let names = text.lines().map(|line| {
            let file = line.split_whitespace().last().unwrap();
            file.rsplit('/').next().unwrap().to_owned()
        });
        names.collect::<Vec<_>>()
    };
    assert_eq!(shown("vfat"), ["fat.ko", "vfat.ko"]);
    assert_eq!(shown("fs-vfat"), ["fat.ko", "vfat.ko"]);
    // With what it needs, and what it wishes for before and after it.
    let all = [
        "net_failover.ko",
        "fuse.ko",
        "virtio_net.ko",
        "fat.ko",
        "vfat.ko",
    ];
    assert_eq!(shown("virtio:d00000001v1AF4"), all);
    assert_eq!(shown("x-yb-z"), all);
    assert_eq!(shown("symbol:fat_sync"), ["fat.ko"]);
    assert_eq!(shown("fs-ext4"), ["ext4"]);
    assert!(shown("nothing-of-the-kind").is_empty());
}

#[test]
fn all_missing_modules_are_named_at_once() {
    let (tree, _) = indexed();
    let want = |name: &str, optional| Wanted {
        name: name.to_owned(),
        early: true,
        optional,
        by_recipe: false,
    };
    let wanted = [
        want("gone", false),
        want("vfat", false),
        want("lost", false),
        want("maybe", true),
    ];
    let error = select(&tree, VERSION, &wanted).unwrap_err();
    assert!(
        matches!(&error, SelectError::Missing { names, .. } if *names == ["gone", "lost"]),
        "{error}"
    );
}

#[test]
fn what_comes_early_comes_after_what_it_needs() {
    let (tree, _) = indexed();
    let mut wanted: BTreeMap<&str, bool> = BTreeMap::new();
    wanted.insert("vfat", true);
    wanted.insert("virtio_net", false);
    let wanted: Vec<Wanted> = wanted
        .into_iter()
        .map(|(name, early)| Wanted {
            name: name.to_owned(),
            early,
            optional: false,
            by_recipe: false,
        })
        .collect();
    let modules = select(&tree, VERSION, &wanted).unwrap();
    assert_eq!(modules.early, ["fat", "vfat"]);
    assert!(modules.get("net_failover").is_some());
}
