//! Nodes that differ from the rest of their cluster: each has the disk, the layers and the etcd
//! that it asks for, and the others have what they had.

use crate::support::archive::Archive;
use crate::support::inputs::{
    files_below, isolated_build, recipe_copy, reference, scratch_beside_store,
};
use crate::support::server::Server;
use crate::support::upstream::{add_release, lock, release_recipe, release_site};
use crate::support::{extract_boot, imgbuild, must, must_fail, scratch, shared_store, tool};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Adds a second node with these lines to a recipe of one.
fn second_node(recipe: &Path, lines: &str) {
    let text = fs_err::read_to_string(recipe).unwrap();
    let node = format!("\n[[node]]\nname = \"etcd-1\"\naddress = \"10.41.0.11\"\n{lines}\n");
    fs_err::write(recipe, text + &node).unwrap();
}

/// The names of the layers on an image's boot partition.
fn layers(image: &Path, scratch: &Path) -> Vec<String> {
    let to = scratch.join(image.file_stem().unwrap());
    extract_boot(image, &to);
    let files = files_below(&to.join("layers"));
    let names = files.iter().map(|file| file.file_name().unwrap());
    names
        .map(|name| name.to_str().unwrap().to_owned())
        .collect()
}

fn build(recipe: &Path, out: &Path, formats: &str) -> Command {
    let mut build = imgbuild();
    build.arg("build").arg(recipe).arg("--out").arg(out);
    build.args(["--quiet", "--format", formats]);
    build
}

#[test]
fn a_node_has_a_disk_and_an_etcd_layer_of_its_own() {
    reference();
    let dir = scratch();
    let plain = recipe_copy(&dir.path().join("plain"), "vm-1node");
    second_node(&plain, "");
    let own = recipe_copy(&dir.path().join("own"), "vm-1node");
    second_node(
        &own,
        "image.size = \"512M\"\nimage.boot_reserve = \"80M\"\netcd.bin_dir = \"/opt/etcd\"",
    );
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    must(&mut build(&plain, &before, "img,qcow2-thin"));
    must(&mut build(&own, &after, "img,qcow2-thin"));

    // The node that says nothing for itself is the same to the bit.
    must(
        Command::new("cmp")
            .arg(before.join("etcd-0.img"))
            .arg(after.join("etcd-0.img")),
    );
    let size = |out: &Path, node: &str| {
        let image = out.join(format!("{node}.img"));
        tool("sgdisk", &["--verify", image.to_str().unwrap()]);
        fs_err::metadata(image).unwrap().len() >> 20
    };
    assert_eq!(
        [size(&before, "etcd-1"), size(&after, "etcd-0")],
        [384, 384]
    );
    assert_eq!(size(&after, "etcd-1"), 512);

    let of = |node: &str| layers(&after.join(format!("{node}.img")), dir.path());
    let (first, second) = (of("etcd-0"), of("etcd-1"));
    assert!(first[0].starts_with("00-base-amd64-"), "{first:?}");
    assert_eq!(first[0], second[0], "one base system");
    assert!(second[1].starts_with("10-etcd-amd64-"), "{second:?}");
    assert_ne!(first[1], second[1], "etcd lies elsewhere");

    // Thin disks: one that both share before, one for each of the two kinds after.
    let shared = |out: &Path| -> Vec<PathBuf> {
        let files = files_below(out).into_iter();
        files
            .filter(|file| file.to_string_lossy().contains("/shared_"))
            .collect()
    };
    assert_eq!((shared(&before).len(), shared(&after).len()), (1, 2));
    for node in ["etcd-0", "etcd-1"] {
        let (thin, raw) = (format!("{node}.thin.qcow2"), format!("{node}.img"));
        let compare = ["compare", "-f", "qcow2", "-F", "raw", &thin, &raw];
        must(Command::new("qemu-img").args(compare).current_dir(&after));
    }
}

#[test]
fn another_release_of_etcd_is_locked_and_built_for_the_node_that_asks_for_it() {
    reference();
    let dir = scratch_beside_store();
    let recipe = release_recipe(dir.path());
    second_node(&recipe, "[node.etcd]\nversion = \"3.6.15\"");
    let file = recipe.with_extension("lock");
    let archive = Archive::of_lock(&dir.path().join("archive"), &file, "amd64");
    fs_err::remove_file(&file).unwrap();
    let upstream = release_site(&dir.path().join("upstream"));
    add_release(&dir.path().join("upstream"), "3.6.15");
    let server = Server::start(&upstream);
    let there = ["--etcd-mirror", &server.url("")];
    let changes = must(&mut lock(&recipe, &archive, &there));
    assert!(changes.contains("3.6.15 release"), "{changes}");
    let locked = fs_err::read_to_string(&file).unwrap();
    assert!(locked.contains("[[further-etcd]]"), "{locked}");
    // What is pinned is kept.
    must(&mut lock(&recipe, &archive, &[]));
    assert_eq!(fs_err::read_to_string(&file).unwrap(), locked);

    // Archives need no Debian package, so this is quick.
    let out = dir.path().join("out");
    let mirror = archive.mirror();
    let build = || {
        let mut build = isolated_build(&recipe, &out, &shared_store(), Some(&mirror));
        build.args(["--format", "overlay"]).args(there);
        build
    };
    must(&mut build());
    let note = |node: &str| {
        let archive = out.join(format!("{node}.overlay.tar.gz"));
        let archive = archive.to_str().unwrap();
        let listing = tool("tar", &["-tzf", archive]);
        let mut files = listing.lines();
        let note = files
            .find(|file| file.ends_with("etcd-origin.json"))
            .unwrap();
        tool("tar", &["-xOzf", archive, note])
    };
    assert!(note("etcd-0").contains("3.6.16"), "{}", note("etcd-0"));
    assert!(note("etcd-1").contains("3.6.15"), "{}", note("etcd-1"));

    // A lock that lacks one of them says so, and names the node.
    let text = fs_err::read_to_string(&recipe).unwrap();
    fs_err::write(&recipe, text.replace("3.6.15", "3.6.14")).unwrap();
    let error = must_fail(&mut build(), 4);
    assert!(
        error.contains("node.etcd-1.etcd.version is \"3.6.14\" in the recipe"),
        "{error}"
    );
}
