//! Ctrl-C: what is half done is taken away, and the exit code says that it was us who stopped.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The exit code of an interrupted run (128 + SIGINT, as shells have it).
pub(crate) const EXIT_CODE: i32 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);
static POLITE: AtomicBool = AtomicBool::new(false);
static PARTIAL: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Installs the handler for SIGINT, SIGTERM and SIGHUP.
pub(crate) fn install() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        if POLITE.load(Ordering::SeqCst) && !ASKED.swap(true, Ordering::SeqCst) {
            return;
        }
        for path in PARTIAL
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            // The process is about to end: what cannot be removed is removed by the next run.
            let _ = remove(path);
        }
        std::process::exit(EXIT_CODE);
    })
}

/// From now on the first interrupt is only noted, for a command that ends by itself.
pub(crate) fn handle_politely() {
    POLITE.store(true, Ordering::SeqCst);
}

/// Whether an interrupt was noted.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs_err::symlink_metadata(path)?.is_dir() {
        true => fs_err::remove_dir_all(path),
        false => fs_err::remove_file(path),
    }
}

/// A file or directory being written, removed when the run is interrupted or fails before
/// [`Partial::keep`].
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
}

impl Partial {
    /// Registers what is about to be made.
    pub(crate) fn new(path: PathBuf) -> Self {
        let mut partial = PARTIAL.lock().unwrap_or_else(PoisonError::into_inner);
        partial.push(path.clone());
        Self { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves it, finished, into place.
    pub(crate) fn keep(self, to: &Path) -> std::io::Result<()> {
        fs_err::rename(&self.path, to)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let mut partial = PARTIAL.lock().unwrap_or_else(PoisonError::into_inner);
        partial.retain(|path| *path != self.path);
        // Already moved into place, or never made: nothing to remove.
        let _ = remove(&self.path);
    }
}
