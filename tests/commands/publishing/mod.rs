//! `imgbuild release` makes what can be published, the same every time; `imgbuild verify` finds
//! everything that is not as it was published.

mod forger;
mod made;
mod tampering;

use crate::support::inputs::{files_below, recipe_copy};
use crate::support::{imgbuild, must, scratch};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const SUMS: &str = "SHA256SUMS";
const IMAGE: &str = "vm-1node-amd64.img.zst";

/// A signed release of one recipe, made once, and the keys.
struct Published {
    _dir: tempfile::TempDir,
    release: PathBuf,
    recipe: PathBuf,
    /// The publisher's key, and another one.
    keys: [PathBuf; 2],
}

fn published() -> &'static Published {
    static RELEASE: OnceLock<Published> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let dir = scratch();
        let keys = ["publisher", "other"].map(|name| dir.path().join(name));
        for key in &keys {
            must(
                Command::new("minisign")
                    .args(["-G", "-W", "-p"])
                    .arg(key.with_extension("pub"))
                    .arg("-s")
                    .arg(key),
            );
        }
        let recipe = recipe_copy(dir.path(), "vm-1node");
        fs_err::remove_file(recipe.with_extension("secret")).unwrap();
        let release = dir.path().join("release");
        must(
            command("release", &recipe, &release)
                .arg("--sign-key")
                .arg(&keys[0]),
        );
        Published {
            _dir: dir,
            release,
            recipe,
            keys,
        }
    })
}

fn command(verb: &str, recipe: &Path, out: &Path) -> Command {
    let mut command = imgbuild();
    command
        .arg(verb)
        .arg(recipe)
        .arg("--quiet")
        .arg("--out")
        .arg(out);
    command
}

fn verify(release: &Path, key: Option<&Path>) -> Command {
    let mut command = imgbuild();
    command.arg("verify").arg(release);
    if let Some(key) = key {
        command.arg("--key").arg(key.with_extension("pub"));
    }
    command
}

impl Published {
    fn key(&self) -> &Path {
        &self.keys[0]
    }

    /// A copy to tamper with.
    fn copy(&self) -> (tempfile::TempDir, PathBuf) {
        let dir = scratch();
        let copy = dir.path().join("release");
        must(Command::new("cp").arg("-r").arg(&self.release).arg(&copy));
        (dir, copy)
    }
}

fn text(file: &Path) -> String {
    fs_err::read_to_string(file).unwrap()
}

fn value(file: &Path) -> Value {
    serde_json::from_str(&text(file)).unwrap()
}

/// The files of a release by their paths in it.
fn names(release: &Path) -> Vec<String> {
    let mut names: Vec<String> = files_below(release)
        .iter()
        .map(|file| file.strip_prefix(release).unwrap().display().to_string())
        .collect();
    names.sort();
    names
}
