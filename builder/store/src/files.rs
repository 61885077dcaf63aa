//! File operations whose errors say what was being done.

use crate::error::StoreError;
use fs_err::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The names and paths in a directory, sorted; none if it is not there. Names that are not
/// UTF-8 are nobody's and left out.
pub(crate) fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let failed = |error| StoreError::io("listing", directory, error);
    let listing = match fs_err::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut all = Vec::new();
    for entry in listing {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            all.push((name, entry.path()));
        }
    }
    all.sort();
    Ok(all)
}

/// Removes a file; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("removing", path, error))
        }
        _ => Ok(()),
    }
}

pub(crate) fn write_synced(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(text)?;
    file.sync_data()
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs_err::rename(from, to).map_err(StoreError::at("moving into place", to))
}

pub(crate) fn create_dir_all(path: &Path) -> Result<(), StoreError> {
    fs_err::create_dir_all(path).map_err(StoreError::at("creating", path))
}
