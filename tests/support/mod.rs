//! What the end-to-end tests share: the built binary, a store, scratch directories, and a
//! cluster that runs under `imgbuild run`.
//!
//! Every tool that judges (curl, openssl, fsck.fat, …) is called for real; one that is not
//! installed fails its test.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a crate of its own and uses a part"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

pub mod archive;
pub mod cluster;
pub mod console;
pub mod inputs;
pub mod messages;
pub mod plain;
pub mod server;
pub mod turn;
pub mod upstream;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

/// The repository.
pub fn repository() -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir.ancestors().nth(2).unwrap().to_owned()
}

/// A place that survives between test programs, so that packages are fetched and etcd is
/// compiled once for all of them.
pub fn shared_store() -> PathBuf {
    let below = std::env::var_os("IMGBUILD_TEST_STORE").map(PathBuf::from);
    below.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("store"))
}

/// The built program, with nothing of the caller's settings but the shared store.
pub fn imgbuild() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
    command
        .current_dir(repository())
        .env("IMGBUILD_STORE", shared_store())
        .env_remove("SOURCE_DATE_EPOCH");
    command
}

/// A directory of the test's own, removed at its end.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("it-").tempdir().unwrap()
}

/// Runs a command that must succeed and returns what it printed.
#[track_caller]
pub fn must(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command that must fail with this exit code and returns its standard error.
#[track_caller]
pub fn must_fail(command: &mut Command, code: i32) -> String {
    let output = run(command);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{command:?} said: {error}"
    );
    error
}

/// How long a command may take. None takes a third of this: one that does hangs, and is better
/// told by name than by a gate that runs out of time.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// Runs a command; one that is not installed, or does not end, fails the test.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = match spawned {
        Ok(child) => child,
        Err(error) => panic!("{command:?} cannot be started: {error}"),
    };
    let id = child.id().to_string();
    let (ended, end) = mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        let hangs = end.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
        if hangs {
            let _ = Command::new("kill").args(["-KILL", &id]).status();
        }
        hangs
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    let said = String::from_utf8_lossy(&output.stderr);
    let hung = guard.join().unwrap();
    assert!(!hung, "{command:?} did not end within {PATIENCE:?}: {said}");
    output
}

/// The commands that a help text lists, without `help` itself.
#[track_caller]
pub fn commands(args: &[&str]) -> Vec<String> {
    let help = must(imgbuild().args(args).arg("--help"));
    let listed: Vec<String> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    assert!(!listed.is_empty(), "no commands in: {help}");
    listed
}

/// A foreign tool with arguments.
#[track_caller]
pub fn tool(program: &str, args: &[&str]) -> String {
    must(Command::new(program).args(args))
}

/// Builds a recipe into `out` and returns the output directory.
#[track_caller]
pub fn build(recipe: &str, out: &Path) -> PathBuf {
    must(
        imgbuild()
            .args(["build", recipe, "--quiet", "--out"])
            .arg(out),
    );
    out.to_owned()
}

/// A recipe of the repository with its text changed, beside a copy of its lock, so that the
/// inputs stay the same.
pub fn variant(dir: &Path, recipe: &str, name: &str, change: impl Fn(&str) -> String) -> PathBuf {
    let recipes = repository().join("recipes");
    let text = fs_err::read_to_string(recipes.join(format!("{recipe}.toml"))).unwrap();
    let changed = change(&text);
    assert_ne!(text, changed, "the variant of {recipe} is the same");
    let path = dir.join(format!("{name}.toml"));
    fs_err::write(&path, changed).unwrap();
    let lock = recipes.join(format!("{recipe}.lock"));
    fs_err::copy(lock, dir.join(format!("{name}.lock"))).unwrap();
    path
}

/// The first image of an output directory.
pub fn any_image(out: &Path) -> PathBuf {
    let mut images: Vec<PathBuf> = fs_err::read_dir(out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "img"))
        .collect();
    images.sort();
    images.into_iter().next().unwrap()
}

/// Where an image's boot partition begins, in bytes, as sfdisk sees it.
#[track_caller]
pub fn boot_offset(image: &Path) -> u64 {
    let json = must(Command::new("sfdisk").arg("--json").arg(image));
    let table: serde_json::Value = serde_json::from_str(&json).unwrap();
    table["partitiontable"]["partitions"][0]["start"]
        .as_u64()
        .unwrap()
        * 512
}

/// The files of an image's boot partition, copied out with mtools.
#[track_caller]
pub fn extract_boot(image: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    let drive = format!("{}@@{}", image.display(), boot_offset(image));
    must(
        Command::new("mcopy")
            .args(["-s", "-n", "-Q", "-i", &drive, "::*"])
            .arg(to),
    );
}

/// The layer of an image whose file name begins so.
#[track_caller]
pub fn extract_layer(out: &Path, begins: &str, scratch: &Path) -> PathBuf {
    let boot = scratch.join("boot");
    if !boot.exists() {
        extract_boot(&any_image(out), &boot);
    }
    fs_err::read_dir(boot.join("layers"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(begins)
        })
        .unwrap_or_else(|| panic!("no layer {begins}"))
}

/// Writes out what is in a layer.
#[track_caller]
pub fn unsquash(layer: &Path, to: &Path) {
    let (layer, to) = (layer.to_str().unwrap(), to.to_str().unwrap());
    tool("unsquashfs", &["-q", "-n", "-d", to, layer]);
}

/// The directory of the compiled etcd and etcdctl, out of an image's layer.
pub fn etcd_binaries() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = scratch().keep();
        let out = build("vm-1node", &dir.join("out"));
        let layer = extract_layer(&out, "10-etcd", &dir);
        let to = dir.join("etcd");
        unsquash(&layer, &to);
        to.join("usr/local/bin")
    })
}
