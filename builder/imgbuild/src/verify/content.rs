//! The files of a release, each held against its sum.

use super::Problems;
use super::place::Place;
use crate::error::{Failure, OrFail, Result};
use crate::release::{SIGNATURE, SUMS};
use imgbuild_base::event::Unit;
use imgbuild_base::{Digest, Events, Hasher};
use imgbuild_fetch::{FetchError, Fetcher, Item, Sink, Target};
use imgbuild_release::{ReleasePath, Sums};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files that are what the sums say. Others are not in here.
#[derive(Debug)]
pub(super) struct Content {
    sums: Sums,
    files: BTreeMap<ReleasePath, PathBuf>,
    /// Where fetched files lie, until the end.
    _fetched: Option<tempfile::TempDir>,
}

impl Content {
    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The sums of all files, of those too that are not as they should be.
    pub(super) const fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Where a file's bytes are.
    pub(super) fn file(&self, path: &ReleasePath) -> Option<&Path> {
        self.files.get(path).map(PathBuf::as_path)
    }

    /// The bytes of a small file. They are hashed as they are read: nobody can change them in
    /// between.
    pub(super) fn read(&self, path: &ReleasePath) -> Option<Vec<u8>> {
        let bytes = fs_err::read(self.file(path)?).ok()?;
        (self.sums.get(path) == Some(Digest::of(&bytes))).then_some(bytes)
    }
}

/// Looks at every file of a release, from an address after fetching it.
pub(super) fn gather(
    place: &Place,
    sums: Sums,
    fetcher: &Fetcher,
    events: &Events,
    problems: &mut Problems,
) -> Result<Content> {
    match place.directory() {
        Some(directory) => local(directory, sums, events, problems),
        None => remote(place, sums, fetcher, events, problems),
    }
}

fn local(
    directory: &Path,
    sums: Sums,
    events: &Events,
    problems: &mut Problems,
) -> Result<Content> {
    let mut found = BTreeSet::new();
    list(directory, "", &mut found, problems).or_fail(Failure::Storage)?;
    let task = events.start("hashing files", Some(found.len() as u64), Unit::Items);
    let digests: BTreeMap<&str, io::Result<Digest>> = found
        .par_iter()
        .map(|path| {
            let digest = digest_of(&directory.join(path));
            task.advance(1);
            (path.as_str(), digest)
        })
        .collect();
    drop(task);
    let known = |path: &str| {
        let path: Option<ReleasePath> = path.parse().ok();
        path.is_some_and(|path| sums.get(&path).is_some())
    };
    let mut extra: BTreeMap<&str, Option<Digest>> = digests
        .iter()
        .filter(|(path, _)| !known(path) && ![SUMS, SIGNATURE].contains(path))
        .map(|(path, digest)| (*path, digest.as_ref().ok().copied()))
        .collect();
    let mut files = BTreeMap::new();
    for (path, expected) in sums.iter() {
        match digests.get(path.as_str()) {
            Some(Ok(digest)) if *digest == expected => {
                files.insert(path.clone(), directory.join(path.as_str()));
            }
            Some(Ok(_)) => problems.add(format!("{path} was changed: its SHA-256 is another")),
            Some(Err(error)) => problems.add(format!("{path} cannot be read: {error}")),
            None => {
                let renamed = extra.iter().find(|(_, digest)| **digest == Some(expected));
                match renamed.map(|(name, _)| *name) {
                    Some(name) => {
                        problems.add(format!("{path} was renamed to {name}"));
                        extra.remove(name);
                    }
                    None => problems.add(format!("{path} is missing")),
                }
            }
        }
    }
    for name in extra.into_keys() {
        problems.add(format!("{name} does not belong to the release"));
    }
    Ok(Content {
        sums,
        files,
        _fetched: None,
    })
}

/// Every file below a directory, by its path from there; anything that is neither file nor
/// directory is a problem.
fn list(
    directory: &Path,
    prefix: &str,
    found: &mut BTreeSet<String>,
    problems: &mut Problems,
) -> io::Result<()> {
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), &format!("{name}/"), found, problems)?;
        } else if kind.is_file() {
            found.insert(name);
        } else {
            problems.add(format!("{name} is neither a file nor a directory"));
        }
    }
    Ok(())
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    io::copy(&mut fs_err::File::open(path)?, &mut hasher)?;
    Ok(hasher.finish())
}

fn remote(
    place: &Place,
    sums: Sums,
    fetcher: &Fetcher,
    events: &Events,
    problems: &mut Problems,
) -> Result<Content> {
    let directory = tempfile::Builder::new()
        .prefix("imgbuild-verify-")
        .tempdir()
        .or_fail(Failure::Storage)?;
    let mut items = Vec::new();
    for (path, digest) in sums.iter() {
        let location = place.location().join(path.as_str());
        items.push(Item {
            what: path.to_string(),
            candidates: vec![location.or_fail(Failure::Other)?],
            digest,
            size: None,
        });
    }
    let task = events.start("fetching the release", None, Unit::Items);
    let sink = Arc::new(ByDigest(directory.path().to_owned()));
    if let Err(error) = fetcher.fetch_all(items, sink) {
        match error {
            FetchError::Items(errors) => {
                errors
                    .iter()
                    .for_each(|error| problems.add(error.to_string()));
            }
            other => return Err(other).or_fail(Failure::Fetch),
        }
    }
    drop(task);
    events.note("files that a server has besides those of the release are not seen");
    let files = sums.iter().map(|(path, digest)| {
        let file = directory.path().join(digest.to_string());
        (path.clone(), file)
    });
    Ok(Content {
        files: files.filter(|(_, file)| file.is_file()).collect(),
        sums,
        _fetched: Some(directory),
    })
}

/// Keeps fetched files under their digests.
struct ByDigest(PathBuf);

/// A file on its way.
struct Arriving {
    file: tempfile::NamedTempFile,
    hasher: Hasher,
    length: u64,
    to: PathBuf,
}

impl Sink for ByDigest {
    type Target = Arriving;

    fn begin(&self, item: &Item) -> io::Result<Arriving> {
        Ok(Arriving {
            file: tempfile::NamedTempFile::new_in(&self.0)?,
            hasher: Hasher::new(),
            length: 0,
            to: self.0.join(item.digest.to_string()),
        })
    }
}

impl Write for Arriving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Target for Arriving {
    type Done = ();

    fn len(&self) -> u64 {
        self.length
    }

    fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.as_file().set_len(0)?;
        self.file.rewind()?;
        self.hasher = Hasher::new();
        self.length = 0;
        Ok(())
    }

    fn commit(self) -> io::Result<()> {
        self.file.persist(&self.to)?;
        Ok(())
    }
}
