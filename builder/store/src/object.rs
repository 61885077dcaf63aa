use crate::error::StoreError;
use crate::map;
use bytes::Bytes;
use imgbuild_base::{Digest, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Content that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    digest: Digest,
    path: PathBuf,
    len: u64,
}

impl Object {
    pub(crate) const fn new(digest: Digest, path: PathBuf, len: u64) -> Self {
        Self { digest, path, len }
    }

    /// Its SHA-256, which is its name.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Its file. Read it, copy it or link it; never write to it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its content, mapped into memory. The bytes stay valid when the object is removed from
    /// the store meanwhile.
    ///
    /// # Errors
    /// When the file is gone, unreadable or has another length than when it was looked up.
    pub fn bytes(&self) -> Result<Bytes, StoreError> {
        map::map(&self.path, self.len).map_err(StoreError::at("reading", &self.path))
    }
}

/// The digest and the number of all bytes that `from` still gives.
pub(crate) fn hash(from: &mut impl Read) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut len = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finish(), len)),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                len += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
