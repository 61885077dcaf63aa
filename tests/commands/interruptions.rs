//! Whatever comes in between (a full disk, a store or an output that cannot be written, another
//! build of the same thing, Ctrl-C, kill -9), nothing is left half-written and the next run
//! gives what an undisturbed one gives.

use crate::support::inputs::{
    assert_nothing_written, assert_says, cloned_store, files_below, isolated_build, mirror,
    packages, recipe_copy, reference, scratch_beside_store, store_with_etcd, sums, what,
    where_one_may_mount,
};
use crate::support::{imgbuild, must, run, shared_store};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_imgbuild");

/// A recipe, an output directory and an empty store, with all packages in a directory.
struct Case {
    dir: tempfile::TempDir,
    recipe: PathBuf,
    out: PathBuf,
    store: PathBuf,
    mirror: String,
}

impl Case {
    fn new() -> Self {
        reference();
        let dir = scratch_beside_store();
        let recipe = recipe_copy(dir.path(), "vm-1node");
        let mirror = mirror(&dir.path().join("mirror"), &recipe.with_extension("lock"));
        Self {
            out: dir.path().join("out"),
            store: dir.path().join("store"),
            mirror: mirror.display().to_string(),
            dir,
            recipe,
        }
    }

    /// With etcd compiled and nothing else in the store.
    fn with_etcd() -> Self {
        let case = Self::new();
        store_with_etcd(&case.store);
        case
    }

    fn build(&self) -> Command {
        isolated_build(&self.recipe, &self.out, &self.store, Some(&self.mirror))
    }

    fn spawn(&self) -> Child {
        let mut command = self.build();
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// The store has no damaged object, and a build from it gives the right images.
    #[track_caller]
    fn assert_sound(&self) {
        must(
            imgbuild()
                .args(["store", "verify", "--store"])
                .arg(&self.store),
        );
        must(&mut self.build());
        assert_eq!(sums(&self.out), reference());
        assert_nothing_partial(&self.out);
    }

    /// Runs a script as somebody who may mount, with the store, the output directory and the
    /// build's command line as `$1`, `$2` and the rest.
    fn script(&self, script: &str) -> String {
        let mut command = where_one_may_mount(script);
        command.arg(&self.store).arg(&self.out);
        let build = self.build();
        command.arg(BINARY).args(build.get_args());
        for (name, value) in build.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = run(command.current_dir(self.dir.path()));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}{error}");
        format!("{text}{error}")
    }
}

#[track_caller]
fn assert_nothing_partial(out: &Path) {
    let files = files_below(out);
    let partial: Vec<_> = files
        .iter()
        .filter(|file| file.to_string_lossy().ends_with(".partial"))
        .collect();
    assert!(partial.is_empty(), "left behind: {partial:?}");
}

#[test]
fn a_full_disk_under_the_store_damages_nothing() {
    let case = Case::with_etcd();
    let said = case.script(
        r#"store=$1 out=$2; shift 2
        size=$(du -sk "$store" | cut -f1)
        mv "$store" seed && mkdir "$store"
        mount -t tmpfs -o size=$((size + 20000))k tmpfs "$store"
        cp -a seed/. "$store"
        code=0; "$@" || code=$?
        echo "first: $code"; find "$out" -name '*.img' -o -name '*.partial'
        mount -o remount,size=1g "$store"
        "$@"
        echo "second: $?""#,
    );
    assert_says(
        &said,
        &["first: 7\n", "no space left", "--store", "second: 0\n"],
    );
    assert!(!said.contains(".partial\n"), "{said}");
    let between = said.split("first: 7\n").nth(1).unwrap();
    assert!(!between.starts_with('/'), "images were left: {said}");
    assert_eq!(sums(&case.out), reference());
}

#[test]
fn a_full_disk_under_the_images_leaves_none() {
    let case = Case::new();
    cloned_store(&case.store, |_| false);
    let said = case.script(
        r#"store=$1 out=$2; shift 2
        mkdir "$out" && mount -t tmpfs -o size=16m tmpfs "$out"
        code=0; "$@" || code=$?
        echo "first: $code"; find "$out" -name '*.img' -o -name '*.partial'
        echo "left: $(du -sk "$out" | cut -f1)"
        mount -o remount,size=1g "$out"
        "$@"
        echo "second: $?"; cat "$out/SHA256SUMS""#,
    );
    assert_says(&said, &["first: 7\nleft: ", "second: 0\n", reference()]);
}

#[test]
fn a_read_only_store_serves_what_it_has() {
    let case = Case::new();
    cloned_store(&case.store, |_| false);
    let read_only = r#"store=$1 out=$2; shift 2
        mount --bind "$store" "$store"
        mount -o remount,bind,ro "$store"
        code=0; "$@" || code=$?
        echo "ended: $code""#;
    let said = case.script(read_only);
    assert_says(&said, &["ended: 0\n"]);
    assert_eq!(sums(&case.out), reference());

    let case = Case::with_etcd();
    let said = case.script(read_only);
    assert_says(&said, &["ended: 7\n", "can only be read", "--store"]);
    assert_nothing_written(&case.out);
    case.assert_sound();
}

#[test]
fn an_output_directory_that_cannot_be_written_is_named() {
    let case = Case::new();
    cloned_store(&case.store, |_| false);
    let said = case.script(
        r#"store=$1 out=$2; shift 2
        mkdir "$out"
        mount --bind "$out" "$out"
        mount -o remount,bind,ro "$out"
        code=0; "$@" || code=$?
        echo "ended: $code""#,
    );
    assert_says(&said, &["ended: 7\n", "--out", case.out.to_str().unwrap()]);
    assert!(files_below(&case.out).is_empty());
    case.assert_sound();
}

#[test]
fn two_builds_at_once_share_store_and_output() {
    let case = Case::with_etcd();
    let builds = [case.spawn(), case.spawn()];
    for mut build in builds {
        assert!(build.wait().unwrap().success());
    }
    assert_eq!(sums(&case.out), reference());
    case.assert_sound();
}

/// Holds the locks of steps as an imgbuild that builds them does, until its standard input ends.
fn hold(locks: &[PathBuf]) -> Child {
    let script = "for lock; do exec {file}>>\"$lock\"; flock $file; done; echo held; cat";
    let mut holder = Command::new("bash")
        .args(["-ec", script, "hold"])
        .args(locks)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(holder.stdout.as_mut().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert_eq!(said, "held\n");
    holder
}

/// Two builds that wait for each other's steps must not do so for ever: whatever does not need
/// such a step is built, with a single job, too.
#[test]
fn a_step_of_another_build_is_waited_for_without_holding_anything_up() {
    let case = Case::new();
    cloned_store(&case.store, |what| {
        ["unpack:", "base-layer:", "boot:"]
            .iter()
            .any(|kind| what.starts_with(kind))
    });
    // The dearest package (the kernel itself, whose name has a number), which is begun first.
    let is_kernel = |result: &PathBuf| {
        let what = what(result);
        let kernel = what.strip_prefix("unpack:linux-image-");
        kernel.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
    };
    let locks: Vec<PathBuf> = files_below(&shared_store().join("results/unpack"))
        .iter()
        .filter(|result| is_kernel(result))
        .map(|result| {
            let key = result.file_name().unwrap().to_string_lossy();
            case.store.join(format!("locks/unpack-{key}"))
        })
        .collect();
    fs_err::create_dir_all(case.store.join("locks")).unwrap();
    let mut holder = hold(&locks);
    let mut build = case.build();
    let mut build = build.args(["--quiet", "--jobs", "1"]).spawn().unwrap();

    let packages = packages(&case.recipe.with_extension("lock")).len();
    let unpacked = case.store.join("results/unpack");
    let deadline = Instant::now() + Duration::from_secs(120);
    while files_below(&unpacked).len() < packages - 1 {
        let there = files_below(&unpacked).len();
        if Instant::now() > deadline {
            let _ = build.kill();
            panic!("only {there} of {packages} packages were unpacked");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(build.try_wait().unwrap().is_none(), "nobody waited");
    assert!(!files_below(&unpacked).iter().any(is_kernel));
    assert!(!case.out.join("SHA256SUMS").exists());

    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert!(build.wait().unwrap().success());
    assert_eq!(files_below(&unpacked).len(), packages);
    assert_eq!(sums(&case.out), reference());
}

/// When to interrupt: soon, in the middle, towards the end, in milliseconds.
const INSTANTS: [u64; 7] = [20, 100, 300, 700, 1500, 2500, 4000];

#[test]
fn ctrl_c_leaves_nothing_half_written() {
    let case = Case::with_etcd();
    let mut interrupted = 0;
    for instant in INSTANTS {
        let mut build = case.spawn();
        std::thread::sleep(Duration::from_millis(instant));
        signal(&build, "INT");
        let status = build.wait().unwrap();
        match status.code() {
            Some(130) => interrupted += 1,
            // Before the handler was there, the signal itself ends the process.
            None if status.signal() == Some(2) && instant < 100 => {}
            Some(0) => {}
            _ => panic!("after {instant} ms: {status}"),
        }
        assert_nothing_partial(&case.out);
        let images = files_below(&case.out);
        for image in images
            .iter()
            .filter(|file| file.to_string_lossy().ends_with(".img"))
        {
            let sum = crate::support::inputs::sha256(image);
            assert!(
                reference().contains(&sum),
                "{} is not whole",
                image.display()
            );
        }
        if status.success() {
            break;
        }
    }
    assert!(
        interrupted >= 2,
        "only {interrupted} builds were interrupted"
    );
    case.assert_sound();
}

#[test]
fn kill_9_leaves_a_sound_store() {
    let case = Case::with_etcd();
    let mut killed = 0;
    for instant in INSTANTS {
        let mut build = case.spawn();
        std::thread::sleep(Duration::from_millis(instant));
        signal(&build, "KILL");
        if build.wait().unwrap().signal() == Some(9) {
            killed += 1;
        } else {
            break;
        }
    }
    assert!(killed >= 2, "only {killed} builds were killed");
    case.assert_sound();
    let left: Vec<PathBuf> = files_below(&case.store.join("tmp"));
    assert!(left.is_empty(), "the dead left {left:?}");
}

/// A kill in the middle of the images, which take the shortest time of all.
#[test]
fn kill_9_while_images_are_written() {
    let case = Case::new();
    cloned_store(&case.store, |_| false);
    for step in 0..12 {
        let mut build = case.spawn();
        std::thread::sleep(Duration::from_millis(15 * step));
        signal(&build, "KILL");
        build.wait().unwrap();
    }
    case.assert_sound();
}

fn signal(child: &Child, name: &str) {
    // The child may have ended: then there is nobody to be told.
    let kill = format!("kill -{name} {}", child.id());
    let _ = run(Command::new("sh").args(["-c", &kill]));
}

#[test]
fn the_shared_store_is_sound_after_all_this() {
    reference();
    must(
        imgbuild()
            .args(["store", "verify", "--store"])
            .arg(shared_store()),
    );
}
