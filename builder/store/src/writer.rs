//! Ways for bytes to become an object. Whatever is not committed is removed.

use crate::error::StoreError;
use crate::object::{Object, hash};
use crate::store::{Store, place};
use fs_err::{File, OpenOptions};
use imgbuild_base::{Digest, Hasher};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// Enough that a writer of many small pieces does not call the system for each.
const BUFFER: usize = 128 << 10;

/// A file under a temporary name, removed when dropped unless it found its place (then the
/// name may be somebody else's already) or a later run may go on with it.
#[derive(Debug)]
pub(crate) struct Unfinished {
    store: Store,
    path: PathBuf,
    keep: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed now is removed when the store is next opened.
            let _ = fs_err::remove_file(&self.path);
        }
    }
}

/// Streams bytes into the store, hashing them as they pass.
#[derive(Debug)]
pub struct ObjectWriter {
    file: BufWriter<File>,
    hasher: HasherState,
    len: u64,
    unfinished: Unfinished,
}

/// [`Hasher`] with the `Debug` that a public struct owes.
struct HasherState(Hasher);

impl std::fmt::Debug for HasherState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

impl ObjectWriter {
    /// Begins a new object.
    pub(crate) fn create(store: &Store, path: PathBuf) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(StoreError::at("creating", &path))?;
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, file),
            hasher: HasherState(Hasher::new()),
            len: 0,
            unfinished: Unfinished {
                store: store.clone(),
                path,
                keep: false,
            },
        })
    }

    /// Goes on with the partial object in `file`, which lies at `path` and is locked.
    pub(crate) fn resume(store: &Store, path: PathBuf, mut file: File) -> Result<Self, StoreError> {
        let failed = StoreError::at("reading", &path);
        let mut hasher = Hasher::new();
        let len = io::copy(&mut file, &mut hasher).map_err(failed)?;
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, file),
            hasher: HasherState(hasher),
            len,
            unfinished: Unfinished {
                store: store.clone(),
                path,
                keep: true,
            },
        })
    }

    /// How many bytes were written so far, those of an earlier run included.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The digest of what was written so far.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.hasher.0.clone().finish()
    }

    /// Forgets everything written so far.
    ///
    /// # Errors
    /// When the file cannot be shortened.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        let path = &self.unfinished.path;
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.get_ref().set_len(0))
            .map_err(StoreError::at("emptying", path))?;
        self.hasher = HasherState(Hasher::new());
        self.len = 0;
        Ok(())
    }

    /// Makes what was written an object.
    ///
    /// # Errors
    /// When the disk is full or refuses; nothing is kept then.
    pub fn commit(mut self) -> Result<Object, StoreError> {
        self.unfinished.keep = false;
        let path = &self.unfinished.path;
        self.file.flush().map_err(StoreError::at("writing", path))?;
        let digest = self.digest();
        let file = self.file.get_ref();
        let object = place(&self.unfinished.store, file, path, digest, self.len)?;
        self.unfinished.keep = true;
        Ok(object)
    }

    /// Makes what was written an object if it is the promised one.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] when it is not, otherwise as [`Self::commit`]; nothing is kept.
    pub fn commit_expecting(
        mut self,
        expected: Digest,
        expected_len: Option<u64>,
    ) -> Result<Object, StoreError> {
        let found = self.digest();
        if found != expected || expected_len.is_some_and(|len| len != self.len) {
            self.unfinished.keep = false;
            return Err(StoreError::Mismatch {
                expected,
                expected_len,
                found,
                found_len: self.len,
            });
        }
        self.commit()
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let path = &self.unfinished.path;
        let written = self
            .file
            .write(bytes)
            .map_err(StoreError::at("writing", path))?;
        self.hasher.0.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes an object in any order, for formats whose header is known last. It is hashed when
/// committed. Reading gives back what was written.
#[derive(Debug)]
pub struct SeekWriter {
    file: BufWriter<File>,
    unfinished: Unfinished,
}

impl SeekWriter {
    pub(crate) fn create(store: &Store, path: PathBuf) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(StoreError::at("creating", &path))?;
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, file),
            unfinished: Unfinished {
                store: store.clone(),
                path,
                keep: false,
            },
        })
    }

    /// Makes the file an object.
    ///
    /// # Errors
    /// When the disk is full or refuses; nothing is kept then.
    pub fn commit(mut self) -> Result<Object, StoreError> {
        let path = &self.unfinished.path;
        self.file
            .rewind()
            .map_err(StoreError::at("writing", path))?;
        let (digest, len) =
            hash(self.file.get_mut()).map_err(StoreError::at("reading back", path))?;
        let object = place(
            &self.unfinished.store,
            self.file.get_ref(),
            path,
            digest,
            len,
        )?;
        self.unfinished.keep = true;
        Ok(object)
    }
}

impl Write for SeekWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let path = &self.unfinished.path;
        Ok(self
            .file
            .write(bytes)
            .map_err(StoreError::at("writing", path))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for SeekWriter {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Read for SeekWriter {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.flush()?;
        self.file.get_mut().read(into)
    }
}
