//! `flock(2)` in the three forms the store needs: per step, per process, per store.

use crate::error::StoreError;
use fs_err::{File, OpenOptions};
use imgbuild_base::Events;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::io::{Read, Seek as _, Write as _};
use std::path::Path;

/// The right to build a step. It ends when this is dropped, or when the process dies.
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct Guard {
    _file: File,
}

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Shared,
    Exclusive,
}

/// Opens a lock's file, creating it where that is allowed.
pub(crate) fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(StoreError::at("opening the lock", path))
}

/// Takes the lock if nobody is in the way; says whether it did.
pub(crate) fn attempt(file: &File, mode: Mode) -> Result<bool, StoreError> {
    let operation = match mode {
        Mode::Shared => FlockOperation::NonBlockingLockShared,
        Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        return match rustix::fs::flock(file.file(), operation) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(Errno::INTR) => continue,
            Err(error) => Err(StoreError::io("locking", file.path(), error.into())),
        };
    }
}

/// Takes the lock, waiting as long as it takes.
pub(crate) fn wait(file: &File, mode: Mode) -> Result<(), StoreError> {
    let operation = match mode {
        Mode::Shared => FlockOperation::LockShared,
        Mode::Exclusive => FlockOperation::LockExclusive,
    };
    loop {
        return match rustix::fs::flock(file.file(), operation) {
            Ok(()) => Ok(()),
            Err(Errno::INTR) => continue,
            Err(error) => Err(StoreError::io("locking", file.path(), error.into())),
        };
    }
}

/// The exclusive lock at `path` for building `what`; a wait is reported with whatever the
/// holder wrote about itself.
pub(crate) fn exclusive(path: &Path, what: &str, events: &Events) -> Result<Guard, StoreError> {
    let mut file = open(path)?;
    if !attempt(&file, Mode::Exclusive)? {
        let mut holder = String::new();
        // Only for the message: the holder may be about to write it, or may not be able to.
        let _ = Read::by_ref(&mut file)
            .take(200)
            .read_to_string(&mut holder);
        let by = match holder.trim() {
            "" => String::new(),
            holder => format!(" ({holder})"),
        };
        events.note(format!("waiting for another imgbuild{by} to finish {what}"));
        wait(&file, Mode::Exclusive)?;
    }
    // Best effort: on a full disk the lock works without its label.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "process {}", std::process::id()));
    Ok(Guard { _file: file })
}
