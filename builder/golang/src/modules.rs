//! The modules a build needs as a [`bundle`](crate::bundle): their `go.mod` files and their
//! archives, laid out as a module proxy serves them (`<path>/@v/<version>.mod`, `.zip`), each
//! checked against the lock's `go.sum` before it gets there.

use crate::bundle::{BundleError, publish};
use crate::dirhash::{DirhashError, H1};
use crate::gosum::{GoSum, ModuleHash};
use crate::host::{HostError, HostGo, write_main_module};
use crate::lock::GoLock;
use imgbuild_base::Digest;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Why the modules could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// `go` failed.
    #[error(transparent)]
    Go(#[from] HostError),
    /// The lock lists a file that `go` did not download.
    #[error("go downloaded no {0}, which the lock lists: lock again")]
    Missing(ModuleHash),
    /// A module is not what the lock says.
    #[error("{module} has hash {found}, but the lock says {expected}: do not use this proxy")]
    Hash {
        /// Which.
        module: Box<ModuleHash>,
        /// What the lock says.
        expected: H1,
        /// What it is.
        found: H1,
    },
    /// A module's archive is damaged.
    #[error("{module}")]
    Zip {
        /// Which.
        module: ModuleHash,
        /// What is wrong.
        #[source]
        source: DirhashError,
    },
    /// The bundle could not be written, or is not the pinned one.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Downloads what the lock lists through `go` (the pinned one, with the user's settings:
/// [`HostGo::with_binary`]) and writes the pinned bundle to `out`. `scratch` is an existing
/// empty directory; the caller removes it.
///
/// # Errors
/// [`ModulesError`]; `out` is then not there.
pub fn acquire(lock: &GoLock, go: &HostGo, scratch: &Path, out: &Path) -> Result<(), ModulesError> {
    let source = scratch.join("main");
    write_main_module(lock, &source)?;
    let packages: Vec<&str> = lock.programs.values().map(String::as_str).collect();
    go.load(scratch, &source, &packages)?;
    pack(&cache(scratch), &lock.go_sum, out, Some(lock.modules)).map(|_| ())
}

/// Where `go` keeps what it downloaded, below the directory given to it.
pub(crate) fn cache(home: &Path) -> std::path::PathBuf {
    home.join("mod/cache/download")
}

/// Checks every file that `sum` lists and writes them as a bundle.
pub(crate) fn pack(
    cache: &Path,
    sum: &GoSum,
    out: &Path,
    pinned: Option<Digest>,
) -> Result<Digest, ModulesError> {
    let mut files = BTreeMap::new();
    for (module, expected) in sum.iter() {
        let name = file_name(module);
        let path = cache.join(&name);
        if !path.is_file() {
            return Err(ModulesError::Missing(module.clone()));
        }
        let bytes = fs_err::read(path)?;
        let found = if module.go_mod {
            H1::of_go_mod(&bytes)
        } else {
            H1::of_zip(io::Cursor::new(&bytes)).map_err(|source| ModulesError::Zip {
                module: module.clone(),
                source,
            })?
        };
        if found != expected {
            return Err(ModulesError::Hash {
                module: Box::new(module.clone()),
                expected,
                found,
            });
        }
        files.insert(name, bytes);
    }
    Ok(publish(out, pinned, |writer| {
        files
            .iter()
            .try_for_each(|(name, bytes)| writer.add(name, false, bytes))
    })?)
}

/// The place of a module's file at a proxy: capital letters become `!` and the small letter
/// (Go modules reference, "Module cache").
pub(crate) fn file_name(module: &ModuleHash) -> String {
    let escape = |text: &str| {
        let mut escaped = String::with_capacity(text.len());
        for letter in text.chars() {
            if letter.is_ascii_uppercase() {
                escaped.push('!');
            }
            escaped.push(letter.to_ascii_lowercase());
        }
        escaped
    };
    let kind = if module.go_mod { "mod" } else { "zip" };
    let (path, version) = (escape(&module.path), escape(&module.version));
    format!("{path}/@v/{version}.{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dirhash::tests::zip_of;

    fn cache_with(module: &ModuleHash, bytes: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(file_name(module));
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
        dir
    }

    #[test]
    fn only_what_the_sum_says_gets_into_the_bundle() {
        let module = ModuleHash {
            path: "example.org/VividCortex/ewma".to_owned(),
            version: "v1.2.0".to_owned(),
            go_mod: false,
        };
        let name = "example.org/!vivid!cortex/ewma/@v/v1.2.0.zip";
        assert_eq!(file_name(&module), name);
        let bytes = zip_of(&[("example.org/VividCortex/ewma@v1.2.0/a.go", b"package a")]);
        let hash = H1::of_zip(io::Cursor::new(&bytes)).unwrap();
        let sum: GoSum = format!("{module} {hash}").parse().unwrap();

        let dir = cache_with(&module, &bytes);
        let out = dir.path().join("out.tar");
        pack(dir.path(), &sum, &out, None).unwrap();
        assert!(out.exists());

        let other = zip_of(&[("example.org/VividCortex/ewma@v1.2.0/a.go", b"package b")]);
        let dir = cache_with(&module, &other);
        let out = dir.path().join("out.tar");
        let error = pack(dir.path(), &sum, &out, None).unwrap_err();
        assert!(matches!(error, ModulesError::Hash { .. }), "{error}");
        assert!(!out.exists());

        let empty = tempfile::tempdir().unwrap();
        let error = pack(empty.path(), &sum, &out, None).unwrap_err();
        assert!(matches!(error, ModulesError::Missing(_)), "{error}");
    }
}
