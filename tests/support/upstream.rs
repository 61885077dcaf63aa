//! etcd's release as upstream lays it out, made of the programs that the shared store has, and
//! a recipe that uses it: builds that need no compiler.

use super::archive::Archive;
use super::inputs::{files_below, isolate, object, recipe_copy, sha256};
use super::{imgbuild, must, shared_store};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The same recipe with etcd from upstream's release.
pub fn release_recipe(dir: &Path) -> PathBuf {
    let recipe = recipe_copy(dir, "vm-1node");
    let text = fs_err::read_to_string(&recipe).unwrap();
    let changed = text.replace("source = \"build\"", "source = \"release\"");
    assert_ne!(text, changed);
    fs_err::write(&recipe, changed).unwrap();
    recipe
}

/// `imgbuild lock` on the tests' own archive.
pub fn lock(recipe: &Path, archive: &Archive, options: &[&str]) -> Command {
    let mut command = imgbuild();
    command.arg("lock").arg(recipe).args(options);
    command.arg("--keyring").arg(archive.keyring());
    isolate(&mut command, &shared_store(), Some(&archive.mirror()));
    command
}

/// One of etcd's programs that the shared store has compiled for this machine, to be run.
pub fn compiled(program: &str) -> PathBuf {
    let results = files_below(&shared_store().join("results/etcd"));
    let programs = results
        .iter()
        .map(|file| fs_err::read_to_string(file).unwrap())
        .map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap())
        .find(|result| {
            let what = result["what"].as_str().unwrap();
            what.contains("amd64") && what.contains("build")
        })
        .expect("a compiled etcd for amd64");
    let digest = programs["outputs"][program]["digest"].as_str().unwrap();
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{program}-{digest}"));
    if !to.exists() {
        // Tests run side by side: moved into place when it is whole.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let part = dir.path().join(program);
        fs_err::copy(object(&shared_store(), digest), &part).unwrap();
        must(Command::new("chmod").arg("755").arg(&part));
        fs_err::rename(part, &to).unwrap();
    }
    to
}

/// A download site laid out as upstream's, with the compiled programs.
pub fn release_site(dir: &Path) -> PathBuf {
    add_release(dir, "3.6.16");
    dir.join("site")
}

/// Adds a release of that number to such a site: the same programs.
pub fn add_release(dir: &Path, version: &str) {
    let top = format!("etcd-v{version}-linux-amd64");
    let files = dir.join("files").join(&top);
    fs_err::create_dir_all(&files).unwrap();
    for program in ["etcd", "etcdctl", "etcdutl"] {
        fs_err::copy(compiled(program), files.join(program)).unwrap();
    }
    fs_err::write(files.join("README.md"), "etcd\n").unwrap();
    let release = dir.join("site").join(format!("v{version}"));
    fs_err::create_dir_all(&release).unwrap();
    let archive = release.join(format!("{top}.tar.gz"));
    must(
        Command::new("tar")
            .arg("-C")
            .arg(dir.join("files"))
            // The same archive each time: the shared store keeps one.
            .args(["--mtime=@0", "--owner=0", "--group=0", "--sort=name"])
            .arg("-czf")
            .arg(&archive)
            .arg(&top),
    );
    let sum = sha256(&archive);
    let sums = format!("{sum}  {top}.tar.gz\n{sum}  etcd-v{version}-linux-arm64.tar.gz\n");
    fs_err::write(release.join("SHA256SUMS"), sums).unwrap();
}
