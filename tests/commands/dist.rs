//! The program alone, outside its repository: what it needs is in it.
//!
//! The binary is the one that the tests drive, copied elsewhere; `make dist-test` has these tests
//! drive the static one of `make dist`, which would take many minutes to compile here.

use crate::support::inputs::{assert_says, reference};
use crate::support::{must, must_fail, repository, scratch, shared_store};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program in a directory of its own, with an empty home and nothing of the caller's.
fn alone(dir: &Path) -> Command {
    let program = dir.join("bin/imgbuild");
    if !program.exists() {
        for part in ["bin", "home", "work"] {
            fs_err::create_dir(dir.join(part)).unwrap();
        }
        let given = std::env::var_os("IMGBUILD_DIST_BINARY");
        let built = given.unwrap_or_else(|| env!("CARGO_BIN_EXE_imgbuild").into());
        fs_err::copy(PathBuf::from(built), &program).unwrap();
    }
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", dir.join("home"))
        .current_dir(dir.join("work"));
    command
}

#[test]
fn the_program_needs_no_repository() {
    // The shared store then has what the build below needs.
    reference();
    let dir = scratch();
    let listed = must(alone(dir.path()).arg("recipes"));
    for recipe in ["pi-2node", "vm-1node"] {
        let line = listed.lines().find(|line| line.starts_with(recipe));
        assert!(
            line.is_some_and(|line| line.contains("built in")),
            "{listed}"
        );
    }
    let shown = must(alone(dir.path()).args(["show", "pi-2node"]));
    assert_says(&shown, &["controller-0", "armhf", "to be done"]);

    // Overlays are built in too: a build offline, all of whose inputs are in the store.
    let mut build = alone(dir.path());
    build.args(["--recipe", "vm-1node", "--offline", "--store"]);
    must(build.arg(shared_store()));
    let image = dir.path().join("work/images/vm-1node/etcd-0.img");
    assert!(image.exists());
    must(Command::new("sfdisk").arg("--verify").arg(&image));

    // What is built in has its lock built in; a new one is the user's.
    let error = must_fail(alone(dir.path()).args(["lock", "vm-1node"]), 4);
    assert_says(&error, &["built into imgbuild", "recipes/vm-1node.toml"]);
}

/// Without a compiler for other targets, `make dist` says which would do and how to get it.
#[test]
fn make_dist_says_what_is_missing() {
    let dir = scratch();
    let bin = dir.path().join("bin");
    fs_err::create_dir(&bin).unwrap();
    // A machine with a shell, and neither cross nor zigbuild.
    for tool in ["bash", "dirname", "env"] {
        let found = must(Command::new("sh").args(["-c", &format!("command -v {tool}")]));
        std::os::unix::fs::symlink(found.trim(), bin.join(tool)).unwrap();
    }
    let mut dist = Command::new(repository().join("packaging/dist"));
    let error = must_fail(dist.env("PATH", &bin), 1);
    assert_says(
        &error,
        &[
            "no C compiler",
            "pip install cargo-zigbuild",
            "cargo install cross",
        ],
    );
}
