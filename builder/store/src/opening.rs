//! How a directory becomes an open [`Store`], and what of a process's is removed when it ends.

use crate::error::StoreError;
use crate::files::{create_dir_all, entries, rename, write_synced};
use crate::layout::{Layout, VERSION};
use crate::lock::{self, Mode};
use crate::store::{Inner, Store};
use fs_err::File;
use imgbuild_base::Events;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// This process's directory under `tmp/`.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) directory: PathBuf,
    _lock: File,
    pub(crate) next: AtomicU64,
}

impl Drop for Work {
    fn drop(&mut self) {
        // What stays behind is removed by the next to open the store.
        let _ = fs_err::remove_dir_all(&self.directory);
    }
}

impl Store {
    /// Opens the store in the directory `path`, creating it if there is none. A store that
    /// this user cannot write to is opened for reading: what is in it can be used, and
    /// everything else says [`StoreError::ReadOnly`]. Waits and clean-ups are told to `events`.
    ///
    /// # Errors
    /// When the directory is something else, a store of another version, or inaccessible.
    pub fn open(path: &Path, events: &Events) -> Result<Self, StoreError> {
        match Self::open_writable(path, events) {
            Err(error @ (StoreError::Denied { .. } | StoreError::ReadOnly { .. })) => {
                Self::open_read_only(path, events).map_err(|_| error)
            }
            other => other,
        }
    }

    /// Opens an existing store for reading only, whatever the permissions are.
    ///
    /// # Errors
    /// When there is no store of this version.
    pub fn open_read_only(path: &Path, events: &Events) -> Result<Self, StoreError> {
        let layout = Layout::new(path);
        check_version(&layout)?;
        let lease = match File::open(layout.gc_lock()) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io("opening", &layout.gc_lock(), error)),
        };
        if let Some(lease) = &lease {
            take_lease(lease, events)?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                layout,
                events: events.clone(),
                lease,
                work: None,
            }),
        })
    }

    fn open_writable(path: &Path, events: &Events) -> Result<Self, StoreError> {
        let layout = Layout::new(path);
        create_dir_all(path)?;
        if !layout.version().exists() {
            refuse_other_directories(&layout)?;
        }
        let comings = lock::open(&layout.tmp_lock())?;
        lock::wait(&comings, Mode::Exclusive)?;
        match check_version(&layout) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let new = path.join("VERSION.new");
                let written = write_synced(&new, format!("{VERSION}\n").as_bytes());
                written.map_err(StoreError::at("writing", &new))?;
                rename(&new, &layout.version())?;
            }
            other => other?,
        }
        for directory in layout.directories() {
            create_dir_all(&directory)?;
        }
        let lease = lock::open(&layout.gc_lock())?;
        take_lease(&lease, events)?;
        remove_leftovers(&layout, events)?;
        let work = begin_work(&layout)?;
        Ok(Self {
            inner: Arc::new(Inner {
                layout,
                events: events.clone(),
                lease: Some(lease),
                work: Some(work),
            }),
        })
    }
}

fn check_version(layout: &Layout) -> Result<(), StoreError> {
    let path = layout.version();
    let text = fs_err::read(&path).map_err(StoreError::at("reading", &path))?;
    let text = String::from_utf8_lossy(&text);
    if text.trim_end() == VERSION {
        return Ok(());
    }
    Err(StoreError::Version {
        path,
        found: text.trim_end().chars().take(64).collect(),
        expected: VERSION,
    })
}

/// A directory without `VERSION` may become a store only if nothing of anybody's is in it.
fn refuse_other_directories(layout: &Layout) -> Result<(), StoreError> {
    let ours = ["VERSION", "VERSION.new", "tmp.lock"];
    let mut names = entries(layout.root())?.into_iter().map(|(name, _)| name);
    // Another process may have turned it into a store since the caller looked.
    if names.all(|name| ours.contains(&name.as_str())) || layout.version().exists() {
        Ok(())
    } else {
        Err(StoreError::NotAStore {
            path: layout.root().to_owned(),
        })
    }
}

fn take_lease(lease: &File, events: &Events) -> Result<(), StoreError> {
    if !lock::attempt(lease, Mode::Shared)? {
        events.note("waiting for another imgbuild to finish collecting garbage");
        lock::wait(lease, Mode::Shared)?;
    }
    Ok(())
}

/// Removes what processes that are no more left under `tmp/`. `tmp.lock` must be held, so
/// that a directory without a locked file in it is nobody's.
fn remove_leftovers(layout: &Layout, events: &Events) -> Result<(), StoreError> {
    for (name, path) in entries(&layout.tmp())? {
        let alive = match File::open(path.join("lock")) {
            Ok(file) => !lock::attempt(&file, Mode::Exclusive)?,
            Err(_) => false,
        };
        if alive {
            continue;
        }
        events.note(format!(
            "removing what the interrupted run {name} left behind"
        ));
        match fs_err::remove_dir_all(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => events.warn(format!("cannot remove a leftover: {error}")),
        }
    }
    Ok(())
}

/// Makes this process's directory under `tmp/`. `tmp.lock` must be held.
fn begin_work(layout: &Layout) -> Result<Work, StoreError> {
    // The same process id can be alive elsewhere: in another container, on another host.
    let mut number = 0_u32;
    let directory = loop {
        let path = layout
            .tmp()
            .join(format!("{}-{number}", std::process::id()));
        match fs_err::create_dir(&path) {
            Ok(()) => break path,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(StoreError::io("creating", &path, error)),
        }
    };
    let file = lock::open(&directory.join("lock"))?;
    lock::wait(&file, Mode::Exclusive)?;
    Ok(Work {
        directory,
        _lock: file,
        next: AtomicU64::new(0),
    })
}
