//! Nothing wrong gets through: mistakes in recipes and locks, wrong bytes, lying and stalling
//! mirrors, releases nobody signed. Each is a clear error with its exit code, nothing is left
//! half-written, and the next run works.

use crate::support::inputs::{
    Package, assert_nothing_written, assert_says, cloned_store, files_below, isolated_build,
    mirror, object, packages, recipe_copy, reference, scratch_beside_store, store_with_etcd, sums,
};
use crate::support::server::{Manner, Server};
use crate::support::{imgbuild, must, must_fail, run, scratch};
use imgbuild_base::Digest;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A recipe, an output directory and a store in which some packages are missing.
struct Case {
    dir: tempfile::TempDir,
    recipe: PathBuf,
    out: PathBuf,
    store: PathBuf,
    missing: Vec<Package>,
    server: Server,
}

impl Case {
    /// A store without `count` packages and what was made of them, and a mirror with all.
    fn without(count: usize) -> Self {
        reference();
        let dir = scratch_beside_store();
        let recipe = recipe_copy(dir.path(), "vm-1node");
        let lock = recipe.with_extension("lock");
        let mut missing = packages(&lock);
        missing.retain(|package| package.size > 100_000);
        missing.sort_by_key(|package| package.size);
        missing.truncate(count);
        let store = dir.path().join("store");
        cloned_store(&store, |what| {
            what.starts_with("base-layer:")
                || what.starts_with("boot:")
                || missing
                    .iter()
                    .any(|it| what == it.sha256 || what == format!("unpack:{}", it.name))
        });
        mirror(&dir.path().join("mirror"), &lock);
        Self {
            out: dir.path().join("out"),
            server: Server::start(&dir.path().join("mirror")),
            dir,
            recipe,
            store,
            missing,
        }
    }

    fn path(&self, index: usize) -> String {
        let package = &self.missing[index];
        let archive = match package.suite.ends_with("-security") {
            true => "debian-security",
            false => "debian",
        };
        format!("{archive}/{}", package.path)
    }

    fn build(&self) -> Command {
        let mirror = self.server.url("debian");
        isolated_build(&self.recipe, &self.out, &self.store, Some(&mirror))
    }

    /// The build must fail so, saying all of this and leaving nothing; the next one, from a
    /// mirror that behaves, gives what an undisturbed build gives.
    #[track_caller]
    fn must_fail_and_recover(&self, code: i32, says: &[&str]) {
        let error = must_fail(&mut self.build(), code);
        assert_says(&error, says);
        assert_nothing_written(&self.out);
        self.server.behave();
        must(&mut self.build());
        assert_eq!(sums(&self.out), reference());
    }
}

#[test]
fn all_mistakes_of_a_recipe_are_underlined_at_once() {
    let dir = scratch();
    let recipe = dir.path().join("wrong.toml");
    let text = r#"[cluster]
name = "home"
colour = "blue"

[image]
board = "toaster"

[network]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"

[[node]]
name = "a"
address = "10.0.0.10"

[[node]]
name = "a"
address = "10.0.0.11"

[[node]]
name = "b"
address = "10.0.0.10"

[[node]]
name = "c"
address = "192.168.7.7"

[[node]]
name = "not_a.host name!"
address = "10.0.0.14"
"#;
    fs_err::write(&recipe, text).unwrap();
    let out = dir.path().join("out");
    let error = must_fail(
        imgbuild().arg("build").arg(&recipe).arg("--out").arg(&out),
        3,
    );
    let wrong = [
        "colour",
        "toaster",
        "10.0.0.10",
        "192.168.7.7",
        "not_a.host name!",
        "twice",
    ];
    for word in &wrong[..5] {
        assert!(error.contains(word), "{word} is not in:\n{error}");
    }
    // Each mistake is shown at its place in the file, with a line under it.
    let underlines = error
        .lines()
        .filter(|line| line.contains('┬') || line.contains('▲'))
        .count();
    assert!(underlines >= 6, "{underlines} underlines:\n{error}");
    assert!(error.contains("wrong.toml"), "{error}");
    assert!(!out.exists() && !dir.path().join("wrong.secret").exists());

    let error = must_fail(imgbuild().args(["build", "vm-3nodes"]), 3);
    assert_says(&error, &["vm-3nodes", "vm-3node"]);
    let out = out.to_str().unwrap();
    let error = must_fail(
        imgbuild().args(["build", "vm-1node", "--node", "x", "--out", out]),
        3,
    );
    assert_says(&error, &["no node \"x\"", "etcd-0"]);
    must_fail(imgbuild().args(["build"]), 2);
    must_fail(&mut imgbuild(), 2);
    assert!(!Path::new(out).exists());
}

#[test]
fn a_build_needs_its_own_lock() {
    let dir = scratch();
    let recipe = recipe_copy(dir.path(), "vm-1node");
    let lock = recipe.with_extension("lock");
    let good = fs_err::read_to_string(&lock).unwrap();
    let out = dir.path().join("out");
    let build = || {
        let mut command = imgbuild();
        command.arg("build").arg(&recipe).arg("--out").arg(&out);
        command
    };

    fs_err::remove_file(&lock).unwrap();
    assert_says(
        &must_fail(&mut build(), 4),
        &["has no lock", "imgbuild lock"],
    );

    let other = good.replace("\"image.arch\" = \"amd64\"", "\"image.arch\" = \"arm64\"");
    assert_ne!(good, other);
    fs_err::write(&lock, other).unwrap();
    let error = must_fail(&mut build(), 4);
    assert_says(&error, &["image.arch", "amd64", "arm64", "imgbuild lock"]);

    let half = good.len() / 2;
    let cut = good[..half].rfind('"').unwrap();
    for damaged in [
        &good[..cut],
        "version = 99\n",
        "\u{0}",
        &good.replace("sha256 = \"", "sha256 = \"x"),
    ] {
        fs_err::write(&lock, damaged).unwrap();
        let error = must_fail(&mut build(), 4);
        assert_says(&error, &["vm-1node.lock"]);
    }
    assert_nothing_written(&out);

    fs_err::write(&lock, good).unwrap();
    let reference = reference();
    must(&mut build());
    assert_eq!(sums(&out), reference);
}

/// The lock is right that something is wrong: no mirror has bytes of that hash.
#[test]
fn a_wrong_hash_in_the_lock_lets_nothing_through() {
    let case = Case::without(1);
    let lock = case.recipe.with_extension("lock");
    let good = fs_err::read_to_string(&lock).unwrap();
    let right = &case.missing[0].sha256;
    let wrong = Digest::of(b"something else").to_string();
    fs_err::write(&lock, good.replace(right.as_str(), &wrong)).unwrap();
    let error = must_fail(&mut case.build(), 6);
    assert_says(
        &error,
        &[&case.missing[0].name, right, &wrong, "http://127.0.0.1"],
    );
    assert_nothing_written(&case.out);
    assert!(!object(&case.store, &wrong).exists() && !object(&case.store, right).exists());
    fs_err::write(&lock, good).unwrap();
    must(&mut case.build());
    assert_eq!(sums(&case.out), reference());
}

#[test]
fn a_mirror_that_serves_other_bytes_is_refused() {
    let case = Case::without(2);
    let mut bytes = fs_err::read(case.dir.path().join("mirror").join(case.path(0))).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    case.server.always(&case.path(0), Manner::Other(bytes));
    let name = case.missing[0].name.clone();
    let sha256 = case.missing[0].sha256.clone();
    case.must_fail_and_recover(
        6,
        &[&name, "wrong bytes", &sha256, &case.server.url("debian")],
    );
}

#[test]
fn a_mirror_that_serves_another_file_is_refused() {
    let case = Case::without(2);
    let other = fs_err::read(case.dir.path().join("mirror").join(case.path(1))).unwrap();
    let name = case.missing[0].name.clone();
    // One of another length is not even read; of one that is as long, the hash is wrong.
    case.server
        .always(&case.path(0), Manner::Other(other.clone()));
    let error = must_fail(&mut case.build(), 6);
    let lengths = format!("{} bytes, expected {}", other.len(), case.missing[0].size);
    assert_says(&error, &[&name, &lengths, "127.0.0.1"]);
    assert_nothing_written(&case.out);
    let len = usize::try_from(case.missing[0].size).unwrap();
    let long = other.iter().copied().cycle().take(len).collect();
    case.server.always(&case.path(0), Manner::Other(long));
    case.must_fail_and_recover(6, &[&name, "wrong bytes"]);
}

#[test]
fn a_mirror_without_the_file_is_named() {
    let case = Case::without(3);
    case.server.always(&case.path(0), Manner::Missing);
    case.server.always(&case.path(2), Manner::Missing);
    let (one, two) = (case.missing[0].name.clone(), case.missing[2].name.clone());
    // Both in one go, and what could be fetched is kept.
    case.must_fail_and_recover(5, &[&one, &two, "404", &case.server.url(&case.path(0))]);
    assert_eq!(case.server.times(&case.path(1)), 1, "fetched a second time");
}

#[test]
fn downloads_that_always_break_off_are_an_error() {
    let case = Case::without(1);
    case.server.always(&case.path(0), Manner::Cut(0));
    let name = case.missing[0].name.clone();
    case.must_fail_and_recover(5, &[&name, &case.server.url(&case.path(0))]);
}

#[test]
fn downloads_that_break_off_or_stall_are_taken_up_again() {
    let case = Case::without(4);
    // Cut twice; cut and then sent whole again; stalled for as long as nobody waits; absent
    // where the user says, present where the environment says.
    case.server
        .once(&case.path(0), [Manner::Cut(5000), Manner::Cut(7000)]);
    case.server
        .once(&case.path(1), [Manner::Cut(9000), Manner::Whole]);
    case.server.once(&case.path(2), [Manner::Stall(11_000)]);
    case.server.always(&case.path(3), Manner::Missing);
    let other = Server::start(&case.dir.path().join("mirror"));
    must(case.build().env("IMGBUILD_MIRROR", other.url("debian")));
    assert_eq!(sums(&case.out), reference());
    assert!(case.server.times(&case.path(0)) >= 3);
    assert_eq!(other.times(&case.path(3)), 1);
}

#[test]
fn offline_uses_what_is_there_and_nothing_else() {
    let case = Case::without(1);
    let error = must_fail(case.build().arg("--offline"), 5);
    assert_says(&error, &[&case.missing[0].name, "offline"]);
    assert_eq!(case.server.times(&case.path(0)), 0);
    must(&mut case.build());
    fs_err::remove_dir_all(&case.out).unwrap();
    must(case.build().arg("--offline"));
    assert_eq!(sums(&case.out), reference());
}

#[test]
fn even_clusters_are_built_with_a_plain_warning() {
    reference();
    let dir = scratch_beside_store();
    for (count, tolerates) in [(2, "tolerates no failure"), (4, "tolerates one failure")] {
        let recipe = recipe_copy(&dir.path().join(count.to_string()), "vm-1node");
        let mut text = fs_err::read_to_string(&recipe).unwrap();
        for node in 1..count {
            text.push_str(&format!(
                "\n[[node]]\nname = \"etcd-{node}\"\naddress = \"10.41.0.{}\"\n",
                10 + node
            ));
        }
        fs_err::write(&recipe, text).unwrap();
        let out = recipe.with_file_name("out");
        let output = run(imgbuild().arg("build").arg(&recipe).arg("--out").arg(&out));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        let warning = format!("warning: {count} members");
        assert_says(&error, &[&warning, tolerates]);
        let images = sums(&out);
        let images = images.lines().filter(|line| line.ends_with(".img"));
        assert_eq!(images.count(), count);
    }
}

/// A store that somebody put other things into, or that another imgbuild made, is left alone.
#[test]
fn a_directory_that_is_no_store_is_left_alone() {
    let case = Case::without(1);
    let strange = case.dir.path().join("strange");
    fs_err::create_dir(&strange).unwrap();
    fs_err::write(strange.join("letter.txt"), "Dear").unwrap();
    let error = must_fail(
        &mut isolated_build(&case.recipe, &case.out, &strange, None),
        7,
    );
    assert_says(&error, &["strange", "--store"]);
    assert_eq!(files_below(&strange).len(), 1);
    let newer = case.dir.path().join("newer");
    store_with_etcd(&newer);
    fs_err::write(newer.join("VERSION"), "imgbuild store 99\n").unwrap();
    let error = must_fail(
        &mut isolated_build(&case.recipe, &case.out, &newer, None),
        7,
    );
    assert_says(&error, &["imgbuild store 99"]);
    assert_nothing_written(&case.out);
    must(&mut case.build());
    assert_eq!(sums(&case.out), reference());
}
