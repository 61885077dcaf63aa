use bytes::Bytes;
use imgbuild_base::{Digest, Epoch, Hasher, Kind, Meta, Tree, TreePath};
use std::collections::BTreeMap;

/// The files of `overlays/` this crate uses, under their paths there.
///
/// They are compiled in; a caller who has a folder of their own lays it over with
/// [`Overlays::replace`].
#[derive(Clone, Debug)]
pub struct Overlays {
    files: BTreeMap<String, Bytes>,
}

/// Why the overlays cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// A file is missing.
    #[error("overlays/{0} is missing")]
    Missing(String),
    /// A file that must be text is not UTF-8.
    #[error("overlays/{0} is not UTF-8 text")]
    NotUtf8(String),
    /// A line of a file is not understood.
    #[error("overlays/{file} line {line}: {problem}")]
    Line {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what was expected.
        problem: String,
    },
}

macro_rules! compiled_in {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../overlays/", $path)))),*]
    };
}

/// Every file of the folders `base`, `initramfs`, `pi` and `vm`.
const COMPILED_IN: &[(&str, &[u8])] = compiled_in![
    "base/etc/fstab",
    "base/etc/hosts",
    "base/etc/pam.d/common-account",
    "base/etc/pam.d/common-auth",
    "base/etc/pam.d/common-password",
    "base/etc/pam.d/common-session",
    "base/etc/pam.d/common-session-noninteractive",
    "base/etc/pam.d/login",
    "base/etc/sysctl.d/10-imgbuild.conf",
    "base/etc/systemd/journald.conf.d/imgbuild.conf",
    "base/etc/systemd/network/70-usb.link",
    "base/etc/systemd/system.conf.d/imgbuild.conf",
    "base/etc/systemd/system/imgbuild-report.service",
    "base/etc/systemd/system/imgbuild-shell@.service",
    "base/etc/systemd/system/var.mount",
    "base/etc/tmpfiles.d/imgbuild.conf",
    "base/etc/udev/rules.d/70-imgbuild-screen.rules",
    "base/etc/udev/udev.conf.d/imgbuild.conf",
    "base/packages.toml",
    "base/prune.txt",
    "base/units.txt",
    "base/usr/lib/imgbuild/report",
    "initramfs/init",
    "pi/cmdline.txt",
    "pi/config.txt",
    "pi/modules.txt",
    "vm/cmdline.txt",
    "vm/modules.txt",
];

impl Overlays {
    /// The files compiled into the program.
    #[must_use]
    pub fn builtin() -> Self {
        let files = COMPILED_IN
            .iter()
            .map(|(path, bytes)| ((*path).to_owned(), Bytes::from_static(bytes)))
            .collect();
        Self { files }
    }

    /// Lays the regular files of `tree` over these; its root stands for `overlays/`.
    pub fn replace(&mut self, tree: Tree) {
        for (path, entry) in tree {
            if let Kind::File(body) = entry.kind {
                self.files
                    .insert(path.as_str().to_owned(), body.bytes().clone());
            }
        }
    }

    /// Digest of all files, for the keys of steps that use them: path and content of each in
    /// path order, in the encoding of [`Hasher::field`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for (path, bytes) in &self.files {
            hasher.field(path).field(bytes);
        }
        hasher.finish()
    }

    /// The content of one file.
    ///
    /// # Errors
    /// [`OverlayError::Missing`].
    pub fn bytes(&self, path: &str) -> Result<&Bytes, OverlayError> {
        self.files
            .get(path)
            .ok_or_else(|| OverlayError::Missing(path.to_owned()))
    }

    /// The content of one file as text.
    ///
    /// # Errors
    /// [`OverlayError::Missing`], [`OverlayError::NotUtf8`].
    pub fn text(&self, path: &str) -> Result<&str, OverlayError> {
        std::str::from_utf8(self.bytes(path)?).map_err(|_| OverlayError::NotUtf8(path.to_owned()))
    }

    /// The lines of a list: without comments, empty lines and surrounding blanks, each with
    /// its number.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<(usize, &str)>, OverlayError> {
        let lines = self.text(path)?.lines().zip(1..);
        Ok(lines
            .map(|(line, number)| (number, line.split('#').next().unwrap_or("").trim()))
            .filter(|(_, line)| !line.is_empty())
            .collect())
    }

    /// The files below `base/etc` and `base/usr`, as they are laid over the packages: owned by
    /// root, 0755 when they begin with `#!`, else 0644.
    #[must_use]
    pub fn base(&self, epoch: Epoch) -> Tree {
        let mut tree = Tree::new();
        for (path, bytes) in &self.files {
            let Some(path) = path.strip_prefix("base/") else {
                continue;
            };
            if !path.contains('/') {
                continue;
            }
            if let Ok(path) = TreePath::new(path) {
                let mode = if bytes.starts_with(b"#!") {
                    0o755
                } else {
                    0o644
                };
                tree.put_file(path, Meta::root(mode, epoch), bytes.clone());
            }
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(dir: &std::path::Path, below: &str, found: &mut Vec<String>) {
        for entry in fs_err::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{below}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &name, found);
            } else {
                found.push(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_folders_is_compiled_in() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../overlays");
        let mut found = Vec::new();
        for folder in ["base", "initramfs", "pi", "vm"] {
            walk(&std::path::Path::new(root).join(folder), folder, &mut found);
        }
        found.sort();
        let table: Vec<&str> = COMPILED_IN.iter().map(|(path, _)| *path).collect();
        assert_eq!(table, found);
    }

    #[test]
    fn an_own_file_wins() {
        let mut overlays = Overlays::builtin();
        let before = overlays.digest();
        let mut own = Tree::new();
        let path = TreePath::new("base/etc/hosts").unwrap();
        own.put_file(path, Meta::root(0o644, Epoch::ZERO), "own");
        overlays.replace(own);
        assert_eq!(overlays.text("base/etc/hosts"), Ok("own"));
        assert_ne!(overlays.digest(), before);
    }

    #[test]
    fn scripts_are_executable() {
        let base = Overlays::builtin().base(Epoch::ZERO);
        let mode = |path| base.at(path).unwrap().meta.mode;
        assert_eq!(mode("usr/lib/imgbuild/report"), 0o755);
        assert_eq!(mode("etc/fstab"), 0o644);
        assert!(base.at("units.txt").is_none());
    }
}
