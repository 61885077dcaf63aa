//! Stores and mirrors that a test makes for itself out of the shared store, so that an empty
//! store or a misbehaving mirror costs no download: objects are hard links.

use super::{imgbuild, must, repository, shared_store};
use imgbuild_base::Digest;
use imgbuild_pki::ClusterSecret;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A scratch directory on the shared store's file system, so that hard links work.
pub fn scratch_beside_store() -> tempfile::TempDir {
    fs_err::create_dir_all(shared_store()).unwrap();
    let parent = shared_store().parent().unwrap().to_owned();
    tempfile::Builder::new()
        .prefix("it-")
        .tempdir_in(parent)
        .unwrap()
}

/// A package as a lock pins it.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, or `all`.
    pub arch: String,
    /// Where it came from.
    pub suite: String,
    /// The component of the suite.
    pub component: String,
    /// Its path in the archive.
    pub path: String,
    /// Its SHA-256.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The packages of a lock.
pub fn packages(lock: &Path) -> Vec<Package> {
    let text = fs_err::read_to_string(lock).unwrap();
    let table: toml::Table = text.parse().unwrap();
    table["debian"]["package"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let text = |key: &str| package[key].as_str().unwrap().to_owned();
            Package {
                name: text("name"),
                version: text("version"),
                arch: text("arch"),
                suite: text("suite"),
                component: text("component"),
                path: text("path"),
                sha256: text("sha256"),
                size: package["size"].as_integer().unwrap().try_into().unwrap(),
            }
        })
        .collect()
}

/// The package of that name.
#[track_caller]
pub fn package(lock: &Path, name: &str) -> Package {
    packages(lock)
        .into_iter()
        .find(|package| package.name == name)
        .unwrap_or_else(|| panic!("{} pins no {name}", lock.display()))
}

/// Where a store keeps an object.
pub fn object(store: &Path, sha256: &str) -> PathBuf {
    store.join("objects").join(&sha256[..2]).join(sha256)
}

/// A recipe of the repository with its lock and a fixed secret, in a directory of the test's.
pub fn recipe_copy(dir: &Path, name: &str) -> PathBuf {
    fs_err::create_dir_all(dir).unwrap();
    for extension in ["toml", "lock"] {
        let file = format!("{name}.{extension}");
        fs_err::copy(repository().join("recipes").join(&file), dir.join(&file)).unwrap();
    }
    write_secret(&dir.join(format!("{name}.secret")));
    dir.join(format!("{name}.toml"))
}

/// The secret of every cluster of these tests.
pub fn secret() -> ClusterSecret {
    ClusterSecret::from_bytes(*b"the secret that the tests know..")
}

/// Writes it as a file.
pub fn write_secret(path: &Path) {
    fs_err::write(path, secret().to_text().expose()).unwrap();
}

/// A directory that serves as `--mirror`: the packages of a lock, laid out as the archive's
/// pool. The packages must be in the shared store.
pub fn mirror(dir: &Path, lock: &Path) -> PathBuf {
    for package in packages(lock) {
        let archive = match package.suite.ends_with("-security") {
            true => "debian-security",
            false => "debian",
        };
        let to = dir.join(archive).join(&package.path);
        link(&object(&shared_store(), &package.sha256), &to);
    }
    dir.join("debian")
}

/// Makes `to` another name of the file `from`, or a copy where that cannot be.
#[track_caller]
pub fn link(from: &Path, to: &Path) {
    fs_err::create_dir_all(to.parent().unwrap()).unwrap();
    if to.exists() {
        return;
    }
    if fs_err::hard_link(from, to).is_err() {
        fs_err::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
}

/// A new store with what the shared store has, but for the results of steps that `dropped`
/// names (`unpack:`, `base-layer:`) and the objects whose digests it names.
pub fn cloned_store(to: &Path, dropped: impl Fn(&str) -> bool) {
    let from = shared_store();
    for dir in ["objects", "results"] {
        for file in files_below(&from.join(dir)) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let skip = match dir {
                "objects" => dropped(&name),
                _ => dropped(&what(&file)),
            };
            if !skip {
                link(&file, &to.join(file.strip_prefix(&from).unwrap()));
            }
        }
    }
    fs_err::copy(from.join("VERSION"), to.join("VERSION")).unwrap();
}

/// A new store that has etcd's binaries and layer and the compiler's inputs, and nothing of
/// the operating system.
pub fn store_with_etcd(to: &Path) {
    let from = shared_store();
    for kind in ["etcd", "etcd-layer"] {
        for result in files_below(&from.join("results").join(kind)) {
            for digest in digests(&fs_err::read_to_string(&result).unwrap()) {
                let object = object(&from, &digest);
                if object.exists() {
                    link(&object, &to.join(object.strip_prefix(&from).unwrap()));
                }
            }
            link(&result, &to.join(result.strip_prefix(&from).unwrap()));
        }
    }
    fs_err::copy(from.join("VERSION"), to.join("VERSION")).unwrap();
}

/// A new store that has what the lock names besides packages: toolchain and modules.
pub fn store_with_bundles(to: &Path, lock: &Path) {
    let from = shared_store();
    let packages: Vec<String> = packages(lock).into_iter().map(|it| it.sha256).collect();
    for digest in digests(&fs_err::read_to_string(lock).unwrap()) {
        let object = object(&from, &digest);
        if object.exists() && !packages.contains(&digest) {
            link(&object, &to.join(object.strip_prefix(&from).unwrap()));
        }
    }
    fs_err::copy(from.join("VERSION"), to.join("VERSION")).unwrap();
}

/// What a stored result says it is.
pub fn what(result: &Path) -> String {
    let text = fs_err::read_to_string(result).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["what"].as_str().unwrap().to_owned()
}

/// Every word of 64 hexadecimal digits.
pub fn digests(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_hexdigit())
        .filter(|word| word.len() == 64)
        .map(str::to_owned)
        .collect()
}

/// Every file below a directory, sorted.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = fs_err::read_dir(&dir) else {
            continue;
        };
        for entry in entries {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => dirs.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    files.sort();
    files
}

/// A build of a recipe's file into `out`, from `store`, with nothing but `mirror` (if any) to
/// be reached: everything else goes to a proxy that is not there.
pub fn isolated_build(recipe: &Path, out: &Path, store: &Path, mirror: Option<&str>) -> Command {
    let mut command = imgbuild();
    command.arg("build").arg(recipe).arg("--out").arg(out);
    isolate(&mut command, store, mirror);
    command
}

/// Takes the network away from a command, but for this machine itself.
pub fn isolate(command: &mut Command, store: &Path, mirror: Option<&str>) {
    command.arg("--store").arg(store);
    if let Some(mirror) = mirror {
        command.args(["--mirror", mirror]);
    }
    for proxy in [
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ] {
        command.env(proxy, "http://127.0.0.1:1");
    }
    command
        .env("no_proxy", "127.0.0.1")
        .env("NO_PROXY", "127.0.0.1");
    command.env_remove("IMGBUILD_MIRROR");
}

/// The checksums a build wrote, which the images must have.
#[track_caller]
pub fn sums(out: &Path) -> String {
    must(
        Command::new("sha256sum")
            .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
            .current_dir(out),
    );
    fs_err::read_to_string(out.join("SHA256SUMS")).unwrap()
}

/// No image, and nothing half-written, is in an output directory.
#[track_caller]
pub fn assert_nothing_written(out: &Path) {
    let left: Vec<PathBuf> = files_below(out)
        .into_iter()
        .filter(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            name.ends_with(".img") || name.ends_with(".partial")
        })
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// The SHA-256 of a file.
pub fn sha256(file: &Path) -> String {
    Digest::of(&fs_err::read(file).unwrap()).to_string()
}

/// How to run a shell script where it may mount: as root of a user namespace of its own, or,
/// where those are denied, as root of a mount namespace.
pub fn where_one_may_mount(script: &str) -> Command {
    let own = Command::new("unshare").args(["-rm", "true"]).output();
    let user = own.is_ok_and(|output| output.status.success());
    let mut command = Command::new("unshare");
    command
        .arg(if user { "-rm" } else { "-m" })
        .args(["sh", "-euc", script, "sh"]);
    command
}

/// What an undisturbed build of vm-1node gives; afterwards the shared store has all of it.
pub fn reference() -> &'static str {
    static SUMS: OnceLock<String> = OnceLock::new();
    SUMS.get_or_init(|| {
        let dir = super::scratch();
        let recipe = recipe_copy(dir.path(), "vm-1node");
        let out = dir.path().join("out");
        must(imgbuild().arg("build").arg(recipe).arg("--out").arg(&out));
        sums(&out)
    })
}

/// All of these are in a text, however it is wrapped.
#[track_caller]
pub fn assert_says(text: &str, says: &[&str]) {
    // Reports are wrapped and framed.
    let words = |text: &str| {
        text.replace('│', " ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let flat = words(text);
    for said in says {
        assert!(flat.contains(&words(said)), "{said:?} is not in:\n{text}");
    }
}
