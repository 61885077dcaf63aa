//! `imgbuild lock` believes only what is signed, fresh and whole; etcd's upstream release is
//! used where it can be had, and its absence is explained where it cannot.

use crate::support::archive::{Archive, now};
use crate::support::inputs::{
    assert_nothing_written, assert_says, cloned_store, files_below, isolate, isolated_build,
    object, package, recipe_copy, reference, scratch_beside_store, sha256, sums,
};
use crate::support::server::{Manner, Server};
use crate::support::upstream::{lock, release_recipe, release_site};
use crate::support::{imgbuild, must, must_fail, scratch, shared_store};

#[test]
fn only_a_fresh_and_untouched_release_is_locked() {
    reference();
    let dir = scratch();
    let recipe = recipe_copy(dir.path(), "vm-1node");
    let file = recipe.with_extension("lock");
    let before = fs_err::read(&file).unwrap();
    let archive = Archive::of_lock(&dir.path().join("archive"), &file, "amd64");
    must(&mut lock(&recipe, &archive, &[]));

    let inrelease = archive.suite("trixie-security").join("InRelease");
    let good = fs_err::read_to_string(&inrelease).unwrap();
    let refused = |says: &[&str]| {
        fs_err::write(&file, &before).unwrap();
        let error = must_fail(&mut lock(&recipe, &archive, &[]), 6);
        assert_says(&error, says);
        assert_eq!(fs_err::read(&file).unwrap(), before, "the lock was touched");
    };
    fs_err::write(
        &inrelease,
        good.replacen("Components: main", "Components: Main", 1),
    )
    .unwrap();
    refused(&["trixie-security", "no valid signature by a trusted key"]);
    fs_err::write(&inrelease, "Suite: trixie-security\n").unwrap();
    refused(&["trixie-security", "not a clear-signed InRelease"]);
    fs_err::copy(
        archive.suite("trixie-updates").join("InRelease"),
        &inrelease,
    )
    .unwrap();
    refused(&["trixie-security", "trixie-updates"]);
    archive.sign(now() - 9000, now() - 60);
    refused(&["valid until", "stale"]);
    archive.sign_as_stranger();
    refused(&["no valid signature by a trusted key"]);
    archive.sign(now() - 3600, now() + 3600);
    let index = archive
        .suite("trixie")
        .join("main/binary-amd64/Packages.xz");
    let packages = fs_err::read(&index).unwrap();
    let mut spoilt = packages.clone();
    spoilt[packages.len() / 2] ^= 1;
    fs_err::write(&index, spoilt).unwrap();
    refused(&["index of trixie", "wrong bytes"]);
    // Debian's own keys did not sign this archive.
    fs_err::write(&index, packages).unwrap();
    let mut own = imgbuild();
    own.arg("lock").arg(&recipe);
    isolate(&mut own, &shared_store(), Some(&archive.mirror()));
    assert_says(
        &must_fail(&mut own, 6),
        &["no valid signature by a trusted key"],
    );
    must(&mut lock(&recipe, &archive, &[]));
}

#[test]
fn upstreams_release_is_used_and_its_absence_explained() {
    reference();
    let dir = scratch_beside_store();
    let recipe = release_recipe(dir.path());
    let file = recipe.with_extension("lock");
    let archive = Archive::of_lock(&dir.path().join("archive"), &file, "amd64");
    fs_err::remove_file(&file).unwrap();

    // Upstream cannot be reached: the error names the other two sources, no lock is written.
    let nowhere = ["--etcd-mirror", "http://127.0.0.1:1"];
    let error = must_fail(&mut lock(&recipe, &archive, &nowhere), 5);
    assert_says(&error, &["etcd", "\"build\"", "\"debian\"", "127.0.0.1:1"]);
    assert!(!file.exists());

    let upstream = release_site(&dir.path().join("upstream"));
    let server = Server::start(&upstream);
    let there = ["--etcd-mirror", &server.url("")];
    must(&mut lock(&recipe, &archive, &there));

    let out = dir.path().join("out");
    let store = dir.path().join("store");
    cloned_store(&store, |what| what.starts_with("etcd"));
    // Another test may have had the same archive.
    let served = files_below(&upstream);
    for digest in served.iter().map(|file| sha256(file)) {
        let _ = fs_err::remove_file(object(&store, &digest));
    }
    let mirror = archive.mirror();
    let build = |options: &[&str]| {
        let mut command = isolated_build(&recipe, &out, &store, Some(&mirror));
        command.args(options);
        command
    };
    let error = must_fail(&mut build(&nowhere), 5);
    assert_says(&error, &["etcd", "\"build\"", "\"debian\""]);
    assert_nothing_written(&out);

    let path = files_below(&upstream)
        .into_iter()
        .find(|file| file.to_string_lossy().ends_with("amd64.tar.gz"))
        .unwrap();
    let path = path.strip_prefix(&upstream).unwrap().to_str().unwrap();
    server.always(path, Manner::Other(b"not an archive".to_vec()));
    let error = must_fail(&mut build(&there), 6);
    assert_says(&error, &["etcd-v", "linux-amd64.tar.gz"]);
    assert_nothing_written(&out);

    server.behave();
    must(&mut build(&there));
    sums(&out);
    let layer = crate::support::extract_layer(&out, "10-etcd", &dir.path().join("look"));
    let listing = crate::support::tool("unsquashfs", &["-lln", layer.to_str().unwrap()]);
    for program in ["etcd", "etcdctl", "etcdutl"] {
        assert!(
            listing
                .lines()
                .any(|line| line.ends_with(&format!("/{program}"))),
            "{listing}"
        );
    }
}

/// What becomes newer, and when: nothing by itself, what is named, everything, the time alone.
#[test]
fn options_choose_what_is_taken() {
    let dir = scratch();
    let recipe = recipe_copy(dir.path(), "debian-3node");
    let file = recipe.with_extension("lock");
    let archive = Archive::of_lock(&dir.path().join("archive"), &file, "amd64");
    let text = || fs_err::read_to_string(&file).unwrap();
    let locked = || ["zlib1g", "libc6"].map(|name| package(&file, name).version);
    let (before, old) = (text(), locked());
    let newer = ["zlib1g", "libc6"].map(|name| {
        let package = package(&file, name);
        archive.put_newer(&package, "trixie-updates")
    });
    archive.sign(now() - 3600, now() + 86_400);

    must(&mut lock(&recipe, &archive, &[]));
    assert_eq!(text(), before, "what is still to be had stays");
    let changes = must(&mut lock(&recipe, &archive, &["--all", "--diff", "--json"]));
    for (old, newer) in old.iter().zip(&newer) {
        assert!(changes.contains(&format!("{old} (")), "{changes}");
        assert!(changes.contains(&format!("{newer} (")), "{changes}");
    }
    assert_eq!(text(), before, "--diff wrote");

    must(&mut lock(&recipe, &archive, &["--update", "zlib1g"]));
    assert_eq!(locked(), [newer[0].clone(), old[1].clone()]);
    must(&mut lock(&recipe, &archive, &["--all"]));
    assert_eq!(locked(), newer);
    let error = must_fail(&mut lock(&recipe, &archive, &["--update", "zlib"]), 1);
    assert_says(&error, &["--update zlib", "no package of that name"]);

    // With nothing newer to be had only --renew changes anything, and that only the time.
    let pinned = text();
    must(&mut lock(&recipe, &archive, &["--all"]));
    assert_eq!(text(), pinned);
    let long_ago = pinned.replace(&epoch(&pinned), "epoch = 1700000000");
    fs_err::write(&file, &long_ago).unwrap();
    must(&mut lock(&recipe, &archive, &["--renew"]));
    let seconds = epoch(&text()).replace("epoch = ", "").parse::<u64>();
    assert!(now() - seconds.unwrap() < 600, "{}", epoch(&text()));
    assert_eq!(locked(), newer);

    // A suite without its index stops everything, or is left out by name.
    let updates = archive.suite("trixie-updates").join("main/binary-amd64");
    fs_err::remove_file(updates.join("Packages.xz")).unwrap();
    let error = must_fail(&mut lock(&recipe, &archive, &["--all"]), 5);
    assert_says(&error, &["trixie-updates", "--skip-suite trixie-updates"]);
    let skip = ["--all", "--skip-suite", "trixie-updates"];
    must(&mut lock(&recipe, &archive, &skip));
    assert_eq!(locked(), old);
    let suites = "suites = [\"trixie\", \"trixie-security\"]";
    assert!(text().contains(suites), "{}", text());
}

/// The line of a lock that has its time.
fn epoch(lock: &str) -> String {
    let line = lock.lines().find(|line| line.starts_with("epoch = "));
    line.unwrap().to_owned()
}
