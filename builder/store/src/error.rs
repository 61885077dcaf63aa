use imgbuild_base::Digest;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system is full, or the user's quota is used up.
    #[error(
        "no space left while {doing} {}: nothing was damaged; free some space there, \
         run `imgbuild store gc`, or name another store with --store",
        path.display()
    )]
    Full {
        /// What was being done, as a gerund.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The user may not do this here.
    #[error(
        "permission denied while {doing} {}: make it accessible to this user, \
         or name another store with --store",
        path.display()
    )]
    Denied {
        /// What was being done, as a gerund.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something had to be written to a store that can only be read.
    #[error(
        "the store {} can only be read (it is on a read-only file system or belongs to \
         somebody else), and {doing} needs it to be writable: name another with --store",
        path.display()
    )]
    ReadOnly {
        /// What was being done, as a gerund.
        doing: &'static str,
        /// The store.
        path: PathBuf,
    },
    /// Any other refusal of the system's.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done, as a gerund.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory is a store of another format.
    #[error(
        "{} says {found:?}, but this imgbuild reads {expected:?}: \
         use the imgbuild that made it, or name another store with --store",
        path.display()
    )]
    Version {
        /// The `VERSION` file.
        path: PathBuf,
        /// What it says (at most its first 64 characters).
        found: String,
        /// What it should say.
        expected: &'static str,
    },
    /// The directory holds other things and was not made by imgbuild.
    #[error(
        "{} is not an imgbuild store and is not empty: name an empty or new directory with --store",
        path.display()
    )]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// A root that is to be forgotten is not there.
    #[error("the store keeps nothing for {name:?}: {}", listed(roots))]
    NoRoot {
        /// The name that was given.
        name: String,
        /// Those that are there.
        roots: Vec<String>,
    },
    /// What was written is not what had to come out.
    #[error(
        "expected {expected}{}, got {found} of {found_len} bytes: nothing was kept",
        expected_len.map(|len| format!(" of {len} bytes")).unwrap_or_default()
    )]
    Mismatch {
        /// The digest that was promised.
        expected: Digest,
        /// The length that was promised, if any was.
        expected_len: Option<u64>,
        /// The digest of what was written.
        found: Digest,
        /// The length of what was written.
        found_len: u64,
    },
    /// A result names an object that is not in the store.
    #[error("the result of {step} names {digest} of {len} bytes, which is not in the store")]
    MissingObject {
        /// The step.
        step: String,
        /// The object.
        digest: Digest,
        /// Its promised length.
        len: u64,
    },
    /// A root's name would not be a plain file name.
    #[error(
        "{0:?} cannot name a root: use letters, digits, '.', '_' and '-', not starting with '.'"
    )]
    RootName(String),
    /// gc needs the store for itself.
    #[error(
        "another imgbuild is using {}: wait until it has ended, then collect again",
        path.display()
    )]
    InUse {
        /// The store.
        path: PathBuf,
    },
}

impl StoreError {
    /// The error of `doing` something to `path`, with what the user can do about it.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full {
                doing,
                path,
                source,
            },
            io::ErrorKind::PermissionDenied => Self::Denied {
                doing,
                path,
                source,
            },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { doing, path },
            _ => Self::Io {
                doing,
                path,
                source,
            },
        }
    }

    /// For use in `map_err`.
    pub(crate) fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::io(doing, path, source)
    }
}

impl From<StoreError> for io::Error {
    /// Keeps the kind, for writers that must answer with an [`io::Error`].
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Full { source, .. }
            | StoreError::Denied { source, .. }
            | StoreError::Io { source, .. } => source.kind(),
            StoreError::ReadOnly { .. } => io::ErrorKind::ReadOnlyFilesystem,
            StoreError::Mismatch { .. } | StoreError::Version { .. } => io::ErrorKind::InvalidData,
            StoreError::InUse { .. } => io::ErrorKind::ResourceBusy,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

fn listed(roots: &[String]) -> String {
    match roots {
        [] => "it has no roots".to_owned(),
        names => format!("its roots are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_full_disk_is_told_apart_and_names_the_file() {
        let path = Path::new("/dev/full");
        let mut full = fs_err::OpenOptions::new().write(true).open(path).unwrap();
        let refused = full.write_all(b"x").unwrap_err();
        let error = StoreError::io("writing", path, refused);
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert!(error.to_string().contains("/dev/full"), "{error}");
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::StorageFull);
    }
}
