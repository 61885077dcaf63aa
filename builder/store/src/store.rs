use crate::error::StoreError;
use crate::files::{create_dir_all, entries, remove, rename, write_synced};
use crate::layout::Layout;
use crate::lock::{self, Guard, Mode};
use crate::object::Object;
use crate::opening::Work;
use crate::result::{Realised, StepKey, StepKind, StepResult};
use crate::writer::{ObjectWriter, SeekWriter};
use fs_err::File;
use imgbuild_base::{Digest, Events};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// An open store. Cheap to clone and shared between threads; the crate's documentation says
/// how it lies on the disk and what keeps it sound.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) layout: Layout,
    pub(crate) events: Events,
    /// Held shared, so that gc leaves the store alone; nothing to hold in a store that was
    /// made read-only before anybody collected in it.
    pub(crate) lease: Option<File>,
    pub(crate) work: Option<Work>,
}

impl Store {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.layout.root()
    }

    /// Whether nothing can be added.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.inner.work.is_none()
    }

    /// The object of that digest, if it is there. Looking it up counts as using it. Its bytes
    /// are taken to be right: see [`Store::verify`].
    ///
    /// # Errors
    /// When the file system refuses to say.
    pub fn object(&self, digest: Digest) -> Result<Option<Object>, StoreError> {
        let path = self.inner.layout.object(digest);
        match fs_err::symlink_metadata(&path) {
            Ok(found) if found.is_file() => {
                self.touch(&path);
                Ok(Some(Object::new(digest, path, found.len())))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("looking up", &path, error)),
        }
    }

    /// Begins an object that is written from its first byte to its last.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn writer(&self) -> Result<ObjectWriter, StoreError> {
        ObjectWriter::create(self, self.temporary("adding an object")?)
    }

    /// Begins an object that is written in any order.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn seek_writer(&self) -> Result<SeekWriter, StoreError> {
        SeekWriter::create(self, self.temporary("adding an object")?)
    }

    /// Begins the object `digest`, or goes on with what an earlier run left of it: then the
    /// writer's length is not zero. Dropped without a commit, it stays for a later run. If
    /// another process is writing the same one, this is an ordinary writer.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn partial_writer(&self, digest: Digest) -> Result<ObjectWriter, StoreError> {
        self.work("adding an object")?;
        let path = self.inner.layout.partial(digest);
        loop {
            let file = lock::open(&path)?;
            if !lock::attempt(&file, Mode::Exclusive)? {
                return self.writer();
            }
            // Between opening and locking, its writer may have finished: then the file we
            // hold is an object by now, and must not be touched.
            let ours = file.metadata().map_err(StoreError::at("reading", &path))?;
            match fs_err::symlink_metadata(&path) {
                Ok(there) if there.ino() == ours.ino() && there.dev() == ours.dev() => {
                    return ObjectWriter::resume(self, path, file);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("reading", &path, error)),
            }
        }
    }

    /// Makes `bytes` an object.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn put(&self, bytes: &[u8]) -> Result<Object, StoreError> {
        let path = self.temporary("adding an object")?;
        let mut writer = ObjectWriter::create(self, path.clone())?;
        writer
            .write_all(bytes)
            .map_err(StoreError::at("writing", &path))?;
        writer.commit()
    }

    /// A directory of this process's own on the store's file system, for steps that run
    /// programs; it is removed when dropped.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        let path = self.temporary("running a step")?;
        fs_err::create_dir(&path).map_err(StoreError::at("creating", &path))?;
        Ok(Scratch {
            path,
            _store: self.clone(),
        })
    }

    /// What the step gave when it was last run, if all of it is still there. An unreadable
    /// result counts as none. Looking it up counts as using it and its objects.
    ///
    /// # Errors
    /// When the file system refuses to say.
    pub fn result(&self, key: &StepKey) -> Result<Option<StepResult>, StoreError> {
        let path = self.inner.layout.result(key);
        let text = match fs_err::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("reading", &path, error)),
        };
        let Ok(result) = serde_json::from_slice::<StepResult>(&text) else {
            let shown = path.display();
            self.inner.events.warn(format!(
                "the result {shown} is damaged, its step is run again"
            ));
            return Ok(None);
        };
        for output in result.outputs.values() {
            match self.object(output.digest)? {
                Some(object) if object.len() == output.len => {}
                _ => return Ok(None),
            }
        }
        self.touch(&path);
        Ok(Some(result))
    }

    /// Remembers what a step gave, in place of what may have been remembered before.
    ///
    /// # Errors
    /// [`StoreError::MissingObject`] when it names an object that is not there; otherwise when
    /// the store cannot be written to.
    pub fn record(&self, key: &StepKey, result: &StepResult) -> Result<(), StoreError> {
        for output in result.outputs.values() {
            let there = self.object(output.digest)?;
            if there.is_none_or(|object| object.len() != output.len) {
                return Err(StoreError::MissingObject {
                    step: format!("{} ({key})", result.what),
                    digest: output.digest,
                    len: output.len,
                });
            }
        }
        let path = self.inner.layout.result(key);
        let text = serde_json::to_vec_pretty(result).map_err(io::Error::from);
        let mut text = text.map_err(StoreError::at("encoding", &path))?;
        text.push(b'\n');
        // Not synchronised: what a power cut leaves of it is found out by its end.
        let write = |path: &Path, text: &[u8]| fs_err::write(path, text);
        self.replace("recording a result", &path, &text, write)
    }

    /// Every result remembered, in the order of their keys; for `imgbuild why`. Damaged ones
    /// are left out, and objects are not looked for.
    ///
    /// # Errors
    /// When the file system refuses to say.
    pub fn results(&self) -> Result<Vec<(StepKey, StepResult)>, StoreError> {
        let mut all = Vec::new();
        for (key, path) in self.result_files()? {
            let text = match fs_err::read(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io("reading", &path, error)),
            };
            if let Ok(result) = serde_json::from_slice(&text) {
                all.push((key, result));
            }
        }
        Ok(all)
    }

    /// The right to run the step; `what` is for the message while somebody else has it.
    /// Look the result up again once it is granted.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn lock(&self, key: &StepKey, what: &str) -> Result<Guard, StoreError> {
        self.work("running a step")?;
        lock::exclusive(&self.inner.layout.lock(key), what, &self.inner.events)
    }

    /// The step's result: from the store, or by running `build` while nobody else does, and
    /// recording what it gives.
    ///
    /// # Errors
    /// `build`'s, and the store's.
    pub fn realise<E: From<StoreError>>(
        &self,
        key: &StepKey,
        what: &str,
        build: impl FnOnce() -> Result<StepResult, E>,
    ) -> Result<Realised, E> {
        if let Some(result) = self.result(key)? {
            return Ok(Realised::Cached(result));
        }
        let _guard = self.lock(key, what)?;
        if let Some(result) = self.result(key)? {
            return Ok(Realised::Cached(result));
        }
        let result = build()?;
        self.record(key, &result)?;
        Ok(Realised::Built(result))
    }

    /// Keeps these results and objects from being collected, in place of what the root of
    /// that name kept before. A name is a plain file name: a recipe's, for example.
    ///
    /// # Errors
    /// [`StoreError::RootName`], or when the store cannot be written to.
    pub fn set_root(
        &self,
        name: &str,
        steps: &BTreeSet<StepKey>,
        objects: &BTreeSet<Digest>,
    ) -> Result<(), StoreError> {
        let path = self.root_path(name)?;
        let mut text = String::new();
        for line in steps.iter().map(StepKey::to_string) {
            text.push_str(&line);
            text.push('\n');
        }
        for line in objects.iter().map(Digest::to_string) {
            text.push_str(&line);
            text.push('\n');
        }
        if fs_err::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            self.work("setting a root")?;
            return Ok(());
        }
        self.replace("setting a root", &path, text.as_bytes(), write_synced)
    }

    fn root_path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fine =
            (1..=200).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.');
        if fine {
            Ok(self.inner.layout.roots().join(name))
        } else {
            Err(StoreError::RootName(name.to_owned()))
        }
    }

    /// Every result's file, in the order of the keys. Files that bear no key's name are left
    /// out.
    pub(crate) fn result_files(&self) -> Result<Vec<(StepKey, PathBuf)>, StoreError> {
        let mut all = Vec::new();
        for (name, directory) in entries(&self.inner.layout.results())? {
            let Ok(kind) = StepKind::new(name) else {
                continue;
            };
            for (name, path) in entries(&directory)? {
                if let Ok(digest) = name.parse() {
                    all.push((StepKey::new(kind.clone(), digest), path));
                }
            }
        }
        all.sort();
        Ok(all)
    }

    /// Marks a file as used now: best effort, no output depends on it.
    fn touch(&self, path: &Path) {
        if self.is_read_only() {
            return;
        }
        let at = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
        let times = Timestamps {
            last_access: at(UTIME_OMIT),
            last_modification: at(UTIME_NOW),
        };
        let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
    }

    fn work(&self, doing: &'static str) -> Result<&Work, StoreError> {
        self.inner
            .work
            .as_ref()
            .ok_or_else(|| StoreError::ReadOnly {
                doing,
                path: self.path().to_owned(),
            })
    }

    /// A name nobody uses, in this process's directory.
    fn temporary(&self, doing: &'static str) -> Result<PathBuf, StoreError> {
        let work = self.work(doing)?;
        let number = work.next.fetch_add(1, Ordering::Relaxed);
        Ok(work.directory.join(number.to_string()))
    }

    /// Puts a small file, written by `write`, in place at once or not at all.
    fn replace(
        &self,
        doing: &'static str,
        path: &Path,
        text: &[u8],
        write: impl FnOnce(&Path, &[u8]) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let new = self.temporary(doing)?;
        write(&new, text).map_err(StoreError::at("writing", &new))?;
        if let Some(parent) = path.parent() {
            create_dir_all(parent)?;
        }
        rename(&new, path)
    }

    /// For the other modules: refuses when nothing may be changed.
    pub(crate) fn needs_writing(&self, doing: &'static str) -> Result<(), StoreError> {
        self.work(doing).map(|_| ())
    }
}

/// A step's private directory, removed when dropped. It keeps the store open.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _store: Store,
}

impl Scratch {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs_err::remove_dir_all(&self.path);
    }
}

/// Gives a finished file its place among the objects.
pub(crate) fn place(
    store: &Store,
    file: &File,
    from: &Path,
    digest: Digest,
    len: u64,
) -> Result<Object, StoreError> {
    if let Some(object) = store.object(digest)?.filter(|object| object.len() == len) {
        remove(from)?;
        return Ok(object);
    }
    let mode = std::fs::Permissions::from_mode(0o444);
    file.set_permissions(mode)
        .and_then(|()| file.sync_data())
        .map_err(StoreError::at("writing", from))?;
    let to = store.inner.layout.object(digest);
    if let Some(parent) = to.parent() {
        create_dir_all(parent)?;
    }
    rename(from, &to)?;
    Ok(Object::new(digest, to, len))
}
