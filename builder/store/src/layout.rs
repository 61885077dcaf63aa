//! Where everything lies inside a store's directory (drawn in the crate's documentation).

use crate::result::StepKey;
use imgbuild_base::Digest;
use std::path::{Path, PathBuf};

/// What `VERSION` says. A change of the layout, of the results' format or of
/// `imgbuild_base::Hasher::field` is a new number.
pub(crate) const VERSION: &str = "imgbuild store 1";

#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn version(&self) -> PathBuf {
        self.root.join("VERSION")
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    pub(crate) fn object(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.objects().join(&name[..2]).join(&name)
    }

    pub(crate) fn results(&self) -> PathBuf {
        self.root.join("results")
    }

    pub(crate) fn result(&self, key: &StepKey) -> PathBuf {
        let kind = self.results().join(key.kind().as_str());
        kind.join(key.digest().to_string())
    }

    pub(crate) fn roots(&self) -> PathBuf {
        self.root.join("roots")
    }

    pub(crate) fn partials(&self) -> PathBuf {
        self.root.join("partial")
    }

    pub(crate) fn partial(&self, digest: Digest) -> PathBuf {
        self.partials().join(digest.to_string())
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    pub(crate) fn lock(&self, key: &StepKey) -> PathBuf {
        let name = format!("{}-{}", key.kind().as_str(), key.digest());
        self.locks().join(name)
    }

    pub(crate) fn gc_lock(&self) -> PathBuf {
        self.root.join("gc.lock")
    }

    pub(crate) fn tmp_lock(&self) -> PathBuf {
        self.root.join("tmp.lock")
    }

    /// The directories a store consists of.
    pub(crate) fn directories(&self) -> [PathBuf; 6] {
        [
            self.objects(),
            self.results(),
            self.roots(),
            self.partials(),
            self.tmp(),
            self.locks(),
        ]
    }
}
