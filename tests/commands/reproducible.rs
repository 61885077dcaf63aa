//! Equal recipe, lock and secret give equal bytes, whoever builds, where, and with what around;
//! and a build needs no privilege. `--check` finds what is not so.

use crate::support::archive::Archive;
use crate::support::inputs::{
    assert_says, cloned_store, files_below, isolate, mirror, object, recipe_copy, sha256,
    store_with_bundles, store_with_etcd, sums, what,
};
use crate::support::upstream::{lock, release_recipe, release_site};
use crate::support::{imgbuild, must, must_fail, scratch, shared_store, tool};
use imgbuild_base::{Digest, Epoch, Meta, TreePath};
use imgbuild_formats::squashfs;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Somebody else: another user without any privilege (when the tests run as root), in another
/// place, with other settings and other tools to trace what is done.
struct Stranger {
    dir: tempfile::TempDir,
    recipe: PathBuf,
    out: PathBuf,
    store: PathBuf,
    mirror: PathBuf,
}

impl Stranger {
    /// Their store has what `fill` puts into it, and no result of the operating system.
    fn new(name: &str, fill: impl Fn(&Path, &Path)) -> Self {
        let dir = scratch();
        let recipe = recipe_copy(&dir.path().join("their recipes"), name);
        let lock = recipe.with_extension("lock");
        let store = dir.path().join("their store");
        fs_err::create_dir(&store).unwrap();
        fill(&store, &lock);
        let binary = dir.path().join("imgbuild");
        fs_err::copy(env!("CARGO_BIN_EXE_imgbuild"), &binary).unwrap();
        Self {
            out: dir.path().join("their images"),
            mirror: mirror(&dir.path().join("mirror"), &lock),
            dir,
            recipe,
            store,
        }
    }

    fn is_root() -> bool {
        tool("id", &["-u"]).trim() == "0"
    }

    /// Their build, started by `wrapper` (a tracer, say).
    fn build(&self, wrapper: &[&str]) -> Command {
        let home = self.dir.path().join("home");
        let _ = fs_err::create_dir(&home);
        fs_err::set_permissions(self.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "umask 077; exec \"$@\"", "sh"]);
        if Self::is_root() {
            // Directories only: files may be other names of the shared store's.
            let owned = self.dir.path().to_str().unwrap();
            tool(
                "find",
                &[
                    owned,
                    "-type",
                    "d",
                    "-exec",
                    "chown",
                    "65534:65534",
                    "{}",
                    "+",
                ],
            );
            let secret = self.recipe.with_extension("secret");
            tool("chown", &["65534:65534", secret.to_str().unwrap()]);
            command.args([
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--inh-caps=-all",
                "--ambient-caps=-all",
                "--bounding-set=-all",
            ]);
        }
        command.args(wrapper).arg(self.dir.path().join("imgbuild"));
        command
            .arg("build")
            .arg(&self.recipe)
            .arg("--out")
            .arg(&self.out);
        command.args(["--jobs", "1"]);
        isolate(
            &mut command,
            &self.store,
            Some(self.mirror.to_str().unwrap()),
        );
        command
            .current_dir(&home)
            .env_remove("IMGBUILD_STORE")
            .env_remove("XDG_CACHE_HOME")
            .env_remove("USER")
            .env("HOME", &home)
            .env("LANG", "tr_TR.UTF-8")
            .env("LC_ALL", "tr_TR.UTF-8")
            .env("TZ", "Asia/Kathmandu");
        command
    }
}

/// A build by whoever runs the tests, from the shared store.
fn own_build(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = scratch();
    let recipe = recipe_copy(dir.path(), name);
    let out = dir.path().join("out");
    let mut build = Command::new("sh");
    build.args([
        "-c",
        "umask 022; exec \"$@\"",
        "sh",
        env!("CARGO_BIN_EXE_imgbuild"),
    ]);
    build
        .arg("build")
        .arg(recipe)
        .arg("--out")
        .arg(&out)
        .args(["--jobs", "4"]);
    build
        .env("IMGBUILD_STORE", shared_store())
        .env_remove("SOURCE_DATE_EPOCH");
    must(build.env("LC_ALL", "C").env("TZ", "America/St_Johns"));
    sums(&out);
    (dir, out)
}

/// Everything a build wrote but its notes on inodes and times: mode and digest by path.
fn content(out: &Path) -> BTreeMap<String, (u32, String)> {
    files_below(out)
        .into_iter()
        .filter(|file| !file.ends_with(".state.json") && !file.ends_with(".lock"))
        .map(|file| {
            let mode = fs_err::metadata(&file).unwrap().permissions().mode();
            let path = file.strip_prefix(out).unwrap().display().to_string();
            (path, (mode, sha256(&file)))
        })
        .collect()
}

/// What the host has of mounts, loop devices and interpreters of foreign programs.
fn host() -> [String; 3] {
    [
        fs_err::read_to_string("/proc/self/mountinfo").unwrap(),
        tool("losetup", &["--all", "--list"]),
        fs_err::read_to_string("/proc/mounts")
            .unwrap()
            .matches("binfmt_misc")
            .count()
            .to_string(),
    ]
}

/// The digests of etcd's programs in a store, by the step's name.
fn programs(store: &Path) -> BTreeMap<String, String> {
    files_below(&store.join("results/etcd"))
        .into_iter()
        .map(|file| {
            let text = fs_err::read_to_string(&file).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            (
                file.file_name().unwrap().to_string_lossy().into_owned(),
                value["outputs"].to_string(),
            )
        })
        .collect()
}

/// For a machine of another architecture: the compiler's output is the same too.
#[test]
fn everything_built_by_a_stranger_is_the_same_compiler_output_included() {
    let (_dir, own) = own_build("pi-2node");
    let stranger = Stranger::new("pi-2node", store_with_bundles);
    let before = host();
    must(&mut stranger.build(&[]));
    assert_eq!(host(), before, "the build changed the host");
    let (ours, theirs) = (content(&own), content(&stranger.out));
    assert!(ours.len() >= 2 + 2 + 5, "{ours:?}");
    assert_eq!(ours, theirs);
    let (ours, theirs) = (programs(&shared_store()), programs(&stranger.store));
    assert_eq!(theirs.len(), 1, "compiled in their own store");
    for (step, outputs) in theirs {
        assert_eq!(
            ours.get(&step),
            Some(&outputs),
            "etcd was compiled to other bytes"
        );
    }
}

/// And a first build stays within its bounds: 500 MB of memory, and hardly more written than what
/// is kept, which is the new objects of the store and the images without their holes.
#[test]
fn a_virtual_machines_images_are_the_same_too() {
    let (_dir, own) = own_build("vm-3node");
    let stranger = Stranger::new("vm-3node", |store, _| store_with_etcd(store));
    let objects = stranger.store.join("objects");
    let had = on_disk(&objects);
    let figures = stranger.dir.path().join("home/figures");
    let time = [
        "/usr/bin/time",
        "-f",
        "%M %O",
        "-o",
        figures.to_str().unwrap(),
    ];
    must(&mut stranger.build(&time));
    assert_eq!(content(&own), content(&stranger.out));

    let figures = fs_err::read_to_string(&figures).unwrap();
    let numbers = figures
        .split_whitespace()
        .map(|number| number.parse::<u64>());
    let [peak, written] = numbers.collect::<Result<Vec<_>, _>>().unwrap()[..] else {
        panic!("{figures}")
    };
    let (peak, written) = (peak * 1024, written * 512);
    assert!(peak <= 500_000_000, "{peak} bytes of memory at once");
    let kept = on_disk(&objects) - had + on_disk(&stranger.out);
    assert!(
        written <= kept / 10 * 12,
        "{written} bytes written for {kept}"
    );
}

/// The bytes that the files below a directory take.
fn on_disk(dir: &Path) -> u64 {
    let sizes = tool(
        "du",
        &["--block-size=1", "--summarize", dir.to_str().unwrap()],
    );
    sizes.split_whitespace().next().unwrap().parse().unwrap()
}

/// Apart from the compiler's sandbox a build starts no other program, mounts nothing and enters
/// no namespace: strace sees every attempt.
#[test]
fn a_build_asks_the_kernel_for_nothing_special() {
    drop(own_build("vm-1node"));
    let stranger = Stranger::new("vm-1node", |store, _| store_with_etcd(store));
    let trace = stranger.dir.path().join("home/trace");
    let calls = "trace=execve,execveat,mount,umount2,unshare,setns,pivot_root,chroot,fsopen,\
                 fsmount,move_mount,open_tree,mknod,mknodat,clone,clone3,setuid,setresuid,\
                 ptrace,bpf,init_module,finit_module";
    let strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", calls, "-o"];
    let wrapper: Vec<&str> = strace
        .into_iter()
        .chain([trace.to_str().unwrap()])
        .collect();
    must(&mut stranger.build(&wrapper));
    sums(&stranger.out);
    let trace = fs_err::read_to_string(&trace).unwrap();
    let special: Vec<&str> = trace
        .lines()
        .filter(|line| match line.contains("clone") {
            true => line.contains("CLONE_NEW"),
            false => true,
        })
        .collect();
    assert_eq!(
        special.len(),
        1,
        "only imgbuild itself is started: {special:#?}"
    );
    assert!(special[0].contains("execve("), "{special:?}");
}

#[test]
fn check_passes_and_finds_an_injected_difference() {
    drop(own_build("vm-1node"));
    let dir = crate::support::inputs::scratch_beside_store();
    let recipe = release_recipe(dir.path());
    let file = recipe.with_extension("lock");
    let archive = Archive::of_lock(&dir.path().join("archive"), &file, "amd64");
    let site = release_site(&dir.path().join("upstream"));
    let server = crate::support::server::Server::start(&site);
    let there = server.url("");
    must(&mut lock(&recipe, &archive, &["--etcd-mirror", &there]));
    let store = dir.path().join("store");
    cloned_store(&store, |what| {
        !what.starts_with("unpack:") && what.contains(':')
    });
    let out = dir.path().join("out");
    let build = || {
        let mut command = imgbuild();
        command.arg("build").arg(&recipe).arg("--out").arg(&out);
        command.args(["--check", "--etcd-mirror", &there]);
        isolate(&mut command, &store, None);
        command
    };
    must(&mut build());
    let good = sums(&out);

    inject(&store, "etc/hosts");
    let error = must_fail(&mut build(), 8);
    assert_says(
        &error,
        &["differs", "etcd-0", "00-base-amd64", ".squashfs/etc/hosts"],
    );
    // Without the spoilt result everything is as before.
    for result in files_below(&store.join("results/base-layer")) {
        fs_err::remove_file(result).unwrap();
    }
    must(&mut build());
    assert_eq!(sums(&out), good);
}

/// Puts a base layer into the store that has another file at `path` than the packages give.
fn inject(store: &Path, path: &str) {
    let results = files_below(&store.join("results/base-layer"));
    assert_eq!(results.len(), 1);
    assert!(what(&results[0]).starts_with("base-layer:"));
    let text = fs_err::read_to_string(&results[0]).unwrap();
    let mut result: serde_json::Value = serde_json::from_str(&text).unwrap();
    let layer = &mut result["outputs"]["layer"];
    let bytes = fs_err::read(object(store, layer["digest"].as_str().unwrap())).unwrap();
    let mut tree = squashfs::read(&bytes).unwrap();
    let epoch = Epoch::from_u32(1_700_000_000);
    tree.put_file(
        TreePath::new(path).unwrap(),
        Meta::root(0o644, epoch),
        "127.0.0.1 evil\n",
    );
    let mut changed = Cursor::new(Vec::new());
    squashfs::write(&tree, &squashfs::Options::new(epoch), &mut changed).unwrap();
    let changed = changed.into_inner();
    let digest = Digest::of(&changed).to_string();
    layer["digest"] = digest.clone().into();
    layer["len"] = changed.len().into();
    let to = object(store, &digest);
    fs_err::create_dir_all(to.parent().unwrap()).unwrap();
    fs_err::write(to, changed).unwrap();
    // The result may be another name of the shared store's.
    fs_err::remove_file(&results[0]).unwrap();
    fs_err::write(&results[0], result.to_string()).unwrap();
}
