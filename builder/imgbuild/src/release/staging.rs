//! A directory that appears whole or not at all.

use crate::alone::alone;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::interrupt::Partial;
use imgbuild_base::{Digest, Events};
use imgbuild_release::{FileRecord, ReleasePath};
use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody: it is going to be published.
    Public,
    /// Its owner: it holds private keys.
    Private,
}

impl Access {
    const fn of_file(self) -> u32 {
        match self {
            Self::Public => 0o644,
            Self::Private => 0o600,
        }
    }

    const fn of_directory(self) -> u32 {
        match self {
            Self::Public => 0o755,
            Self::Private => 0o700,
        }
    }
}

/// A release on its way: a hidden directory beside the place where it will be.
#[derive(Debug)]
pub(crate) struct Staging {
    target: PathBuf,
    directory: Partial,
    access: Access,
    /// Held until the end, so that two releases do not share the directory.
    _lock: File,
}

/// By these a directory is known as a release, which another may replace.
const MARKS: [&str; 2] = [super::SUMS, super::MANIFEST];

impl Staging {
    /// Begins a release that is to be at `target`, where nothing is yet, or an older release.
    pub(crate) fn open(target: &Path, access: Access, events: &Events) -> Result<Self> {
        refuse_foreign(target)?;
        Self::open_io(target, access, events)
            .or_fail(Failure::Storage)
            .map_err(|error| {
                let text = format!("preparing the release {}", target.display());
                error
                    .context(text)
                    .hint("give a directory you may write to with --out DIR")
            })
    }

    fn open_io(target: &Path, access: Access, events: &Events) -> io::Result<Self> {
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::other("a directory without a name"))?;
        let hidden = format!(".{}.partial", name.to_string_lossy());
        let path = target.with_file_name(hidden);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let lock = loop {
            fs_err::create_dir_all(&path)?;
            let lock = fs_err::File::open(&path)?.into_parts().0;
            alone(&lock, &target.display().to_string(), events)?;
            // While this waited, the directory may have become a release.
            let same = fs_err::metadata(&path).is_ok_and(|now| {
                lock.metadata()
                    .is_ok_and(|own| (own.dev(), own.ino()) == (now.dev(), now.ino()))
            });
            if same {
                break lock;
            }
        };
        // What a killed run left.
        for entry in fs_err::read_dir(&path)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => fs_err::remove_dir_all(entry.path())?,
                false => fs_err::remove_file(entry.path())?,
            }
        }
        fs_err::set_permissions(&path, Permissions::from_mode(access.of_directory()))?;
        Ok(Self {
            target: target.to_owned(),
            directory: Partial::new(path),
            access,
            _lock: lock,
        })
    }

    /// Makes a file; its directory is made too.
    pub(crate) fn create(&self, path: &ReleasePath, access: Access) -> io::Result<fs_err::File> {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        let file = self.directory.path().join(path.as_str());
        if let Some(parent) = file.parent() {
            fs_err::create_dir_all(parent)?;
            let mode = Permissions::from_mode(self.access.of_directory());
            fs_err::set_permissions(parent, mode)?;
        }
        let file = fs_err::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)?;
        // Whatever the umask says.
        file.set_permissions(Permissions::from_mode(access.of_file()))?;
        Ok(file)
    }

    /// Writes a public file.
    pub(crate) fn put(&self, path: ReleasePath, content: &[u8]) -> Result<FileRecord> {
        let written = self
            .create(&path, Access::Public)
            .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_data()));
        written.or_fail(Failure::Storage)?;
        Ok(FileRecord {
            path,
            size: content.len() as u64,
            sha256: Digest::of(content),
        })
    }

    /// Puts the finished release in its place, from which an older one is taken away.
    pub(crate) fn publish(self) -> Result<PathBuf> {
        refuse_foreign(&self.target)?;
        let Self {
            target, directory, ..
        } = self;
        let publish = || -> io::Result<()> {
            let old = directory.path().with_extension("old");
            if old.exists() {
                fs_err::remove_dir_all(&old)?;
            }
            let replaced = target.exists();
            if replaced {
                fs_err::rename(&target, &old)?;
            }
            directory.keep(&target)?;
            match replaced {
                true => fs_err::remove_dir_all(&old),
                false => Ok(()),
            }
        };
        publish().or_fail(Failure::Storage)?;
        Ok(target)
    }
}

/// An error when something other than a release is at `target`.
fn refuse_foreign(target: &Path) -> Result<()> {
    let Ok(found) = fs_err::symlink_metadata(target) else {
        return Ok(());
    };
    let is_empty = || fs_err::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
    let is_release = || MARKS.iter().all(|name| target.join(name).is_file());
    if found.is_dir() && (is_release() || is_empty()) {
        return Ok(());
    }
    let text = format!("{} is there, and is no release", target.display());
    Err(CommandError::msg(Failure::Storage, text)
        .hint("move it away, or give another directory with --out DIR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ReleasePath {
        text.parse().unwrap()
    }

    fn release(target: &Path, content: &[u8]) -> Staging {
        let staging = Staging::open(target, Access::Public, &Events::none()).unwrap();
        for name in MARKS {
            staging.put(path(name), content).unwrap();
        }
        staging
    }

    #[test]
    fn a_release_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x");
        drop(release(&target, b"1"));
        let left: Vec<_> = fs_err::read_dir(dir.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        release(&target, b"1").publish().unwrap();
        release(&target, b"2").publish().unwrap();
        assert_eq!(fs_err::read(target.join(MARKS[0])).unwrap(), b"2");
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_run_left_is_no_part_of_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x");
        let left = dir.path().join(".x.partial/layers");
        fs_err::create_dir_all(&left).unwrap();
        fs_err::write(left.join("half"), "").unwrap();
        release(&target, b"1").publish().unwrap();
        assert!(!target.join("layers").exists());
    }

    #[test]
    fn somebody_elses_directory_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x");
        fs_err::create_dir(&target).unwrap();
        fs_err::write(target.join("mine"), "").unwrap();
        let error = Staging::open(&target, Access::Public, &Events::none()).unwrap_err();
        assert_eq!(error.failure(), Failure::Storage);
        assert!(target.join("mine").exists());
    }

    #[test]
    fn modes_do_not_follow_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let staging =
            Staging::open(&dir.path().join("x"), Access::Private, &Events::none()).unwrap();
        staging.create(&path("a/b"), Access::Private).unwrap();
        staging.put(path("a/c"), b"").unwrap();
        let mode = |name: &str| {
            let found = fs_err::metadata(staging.directory.path().join(name)).unwrap();
            found.mode() & 0o777
        };
        let modes = [mode(""), mode("a"), mode("a/b"), mode("a/c")];
        assert_eq!(modes, [0o700, 0o700, 0o600, 0o644]);
    }
}
