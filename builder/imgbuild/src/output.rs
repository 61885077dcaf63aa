//! The directory a build leaves: images, checksums, the admin bundle, what was built.
//!
//! Everything is written under a temporary name and moved into place when it is complete, with
//! explicit permissions: images and keys 0600, the directory 0700, whatever the umask says. A
//! hidden state file remembers what each image was made from (a keyed digest) and how it was
//! left, so that an unchanged image is not written again.

use crate::alone::alone;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::interrupt::Partial;
use imgbuild_base::{Digest, Events, Kind, Tree};
use imgbuild_formats::disk::Head;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const STATE: &str = ".state.json";
const LOCK: &str = ".lock";
const PARTIAL_SUFFIX: &str = ".partial";

/// An output directory that this process alone writes to.
#[derive(Debug)]
pub(crate) struct OutDir {
    path: PathBuf,
    state: State,
    _lock: File,
}

/// What the directory held when it was left.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    images: BTreeMap<String, ImageState>,
    /// SHA-256 after what the images last written have in common.
    #[serde(default)]
    head: Option<Head>,
}

/// An image as it was left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageState {
    /// Keyed digest of everything the image is made from.
    pub(crate) key: Digest,
    /// Digest of the file.
    pub(crate) sha256: Digest,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Time of last change, in nanoseconds since 1970.
    mtime: i128,
    /// Its inode: a file put there by somebody else has another.
    inode: u64,
}

impl OutDir {
    /// Opens the directory, making it if need be, waits for another build in it to end, and
    /// removes what an interrupted build left.
    pub(crate) fn open(path: &Path, events: &Events) -> Result<Self> {
        Self::open_io(path, events)
            .or_fail(Failure::Storage)
            .map_err(|error| {
                error
                    .context(format!("preparing the output directory {}", path.display()))
                    .hint("give a directory you may write to with --out DIR")
            })
    }

    fn open_io(path: &Path, events: &Events) -> io::Result<Self> {
        if !path.exists() {
            // A directory of the user's own keeps its permissions; the files are private.
            make_private_dir(path)?;
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))?;
        alone(&lock, &path.display().to_string(), events)?;
        remove_partials(path)?;
        // A state that cannot be read only means that images are written again.
        let state = fs_err::read(path.join(STATE))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            state,
            _lock: lock,
        })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The image of that name, if it is still as this key made it.
    pub(crate) fn unchanged(&self, name: &str, key: Digest) -> Option<&ImageState> {
        let state = self.state.images.get(name)?;
        let now = fs_err::symlink_metadata(self.path.join(name)).ok()?;
        let same = state.key == key
            && now.is_file()
            && now.len() == state.size
            && mtime(&now) == state.mtime
            && now.ino() == state.inode
            && now.mode() & 0o777 == 0o600;
        same.then_some(state)
    }

    /// Writes a file through `write`, then moves it into place.
    pub(crate) fn write<T>(
        &self,
        name: &str,
        write: impl FnOnce(&fs_err::File) -> io::Result<T>,
    ) -> io::Result<T> {
        let pending = self.begin(name)?;
        let value = write(pending.file())?;
        pending.keep()?;
        Ok(value)
    }

    /// Begins a file, which is not in its place before [`Pending::keep`].
    pub(crate) fn begin(&self, name: &str) -> io::Result<Pending> {
        let target = self.path.join(name);
        match target.parent() {
            Some(parent) if parent != self.path => make_private_dir(parent)?,
            _ => {}
        }
        let partial = Partial::new(partial_path(&target)?);
        let file = create_private(partial.path())?;
        Ok(Pending {
            file,
            partial,
            target,
        })
    }

    /// Remembers how an image was left, and returns its size in bytes.
    pub(crate) fn remember(&mut self, name: &str, key: Digest, sha256: Digest) -> io::Result<u64> {
        let now = fs_err::symlink_metadata(self.path.join(name))?;
        let state = ImageState {
            key,
            sha256,
            size: now.len(),
            mtime: mtime(&now),
            inode: now.ino(),
        };
        let size = state.size;
        self.state.images.insert(name.to_owned(), state);
        Ok(size)
    }

    /// The head of the images last written.
    pub(crate) const fn head(&self) -> Option<&Head> {
        self.state.head.as_ref()
    }

    /// Remembers the head of the images just written.
    pub(crate) fn remember_head(&mut self, head: Option<Head>) {
        if head.is_some() {
            self.state.head = head;
        }
    }

    /// Forgets, and removes, images that are no longer wanted.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) -> io::Result<()> {
        let gone: Vec<String> = self
            .state
            .images
            .keys()
            .filter(|name| !is_wanted(name))
            .cloned()
            .collect();
        for name in gone {
            match fs_err::remove_file(self.path.join(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.state.images.remove(&name),
            };
        }
        Ok(())
    }

    /// Every image the directory holds now, by file name.
    pub(crate) fn images(&self) -> impl Iterator<Item = (&str, &ImageState)> {
        self.state
            .images
            .iter()
            .map(|(name, state)| (name.as_str(), state))
    }

    /// Writes a small file, unless it already has this very content.
    pub(crate) fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        put_file(&self.path, name, content, 0o600)
    }

    /// Writes a tree of small files below `dir`, with the modes of its entries.
    pub(crate) fn put_tree(&self, dir: &str, tree: &Tree) -> io::Result<PathBuf> {
        let base = self.path.join(dir);
        make_private_dir(&base)?;
        for (path, entry) in tree.iter() {
            match &entry.kind {
                Kind::Directory => make_private_dir(&base.join(path.as_str()))?,
                Kind::File(body) => put_file(
                    &base,
                    path.as_str(),
                    body.bytes(),
                    u32::from(entry.meta.mode),
                )?,
                Kind::Symlink(_) | Kind::CharDevice { .. } => {
                    return Err(io::Error::other(format!(
                        "{path} is {}: only files and directories are written here",
                        entry.kind.describe()
                    )));
                }
            }
        }
        Ok(base)
    }

    /// Writes the state down: the last step of a build.
    pub(crate) fn finish(self) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.state).map_err(|error| {
            CommandError::new(Failure::Other, &error).context("encoding the output's state")
        })?;
        self.put(STATE, &text).or_fail(Failure::Storage)
    }
}

/// Removes what an interrupted build left in a directory and those below it.
fn remove_partials(dir: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_partials(&entry.path())?;
        } else if entry
            .file_name()
            .to_string_lossy()
            .ends_with(PARTIAL_SUFFIX)
        {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Pending {
    file: fs_err::File,
    partial: Partial,
    target: PathBuf,
}

impl Pending {
    /// Where its content goes.
    pub(crate) const fn file(&self) -> &fs_err::File {
        &self.file
    }

    /// Moves the finished file into place, once it is on the disk.
    pub(crate) fn keep(self) -> io::Result<()> {
        self.file.sync_data()?;
        self.partial.keep(&self.target)
    }
}

/// Where a file is while it is being written: beside its place.
fn partial_path(target: &Path) -> io::Result<PathBuf> {
    match target.file_name() {
        Some(file) => {
            let hidden = format!(".{}{PARTIAL_SUFFIX}", file.to_string_lossy());
            Ok(target.with_file_name(hidden))
        }
        None => Err(io::Error::other("a file without a name")),
    }
}

fn mtime(meta: &std::fs::Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

/// A directory that only its owner may enter.
pub(crate) fn make_private_dir(path: &Path) -> io::Result<()> {
    fs_err::create_dir_all(path)?;
    fs_err::set_permissions(path, Permissions::from_mode(0o700))
}

fn create_private(path: &Path) -> io::Result<fs_err::File> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Writes `content` to `dir/name`, atomically, unless it is there already.
pub(crate) fn put_file(dir: &Path, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let target = dir.join(name);
    let permissions = Permissions::from_mode(mode);
    if fs_err::read(&target).is_ok_and(|old| old == content) {
        return fs_err::set_permissions(&target, permissions);
    }
    let partial = Partial::new(partial_path(&target)?);
    let mut file = create_private(partial.path())?;
    file.write_all(content)?;
    file.set_permissions(permissions)?;
    partial.keep(&target)
}

/// Writes `content` to a new file whole or not at all, and never over one that is there or
/// appears meanwhile: that is an error of kind `AlreadyExists`.
pub(crate) fn put_new_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let dir = match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".imgbuild-new-")
        .tempfile_in(dir)?;
    file.write_all(content)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_unchanged_until_somebody_touches_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut out = OutDir::open(&dir.path().join("o"), &Events::none()).unwrap();
        let key = Digest::of(b"key");
        out.write("a.img", |mut file| file.write_all(b"x")).unwrap();
        out.remember("a.img", key, Digest::of(b"x")).unwrap();
        assert!(out.unchanged("a.img", key).is_some());
        assert!(out.unchanged("a.img", Digest::of(b"other")).is_none());
        out.finish().unwrap();
        let out = OutDir::open(&dir.path().join("o"), &Events::none()).unwrap();
        assert!(out.unchanged("a.img", key).is_some());
        fs_err::write(out.path().join("a.img"), "y").unwrap();
        assert!(out.unchanged("a.img", key).is_none());
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let out = OutDir::open(dir.path(), &Events::none()).unwrap();
        let failed: io::Result<()> = out.write("a.img", |_| Err(io::Error::other("no")));
        assert!(failed.is_err());
        let left: Vec<_> = fs_err::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "only the lock file is left");
    }

    #[test]
    fn leftovers_of_a_killed_build_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("o");
        OutDir::open(&path, &Events::none()).unwrap();
        fs_err::write(path.join(".a.img.partial"), "half").unwrap();
        let out = OutDir::open(&path, &Events::none()).unwrap();
        assert!(!out.path().join(".a.img.partial").exists());
        let mode = fs_err::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o700);
    }
}
