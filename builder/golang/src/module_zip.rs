//! The files in a module's zip archive.

use crate::dirhash::DirhashError;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

/// Files by the names that `keep` gives those below `prefix`; `None` leaves one out.
pub(crate) fn files(
    archive: impl Read + Seek,
    prefix: &str,
    keep: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Vec<u8>>, DirhashError> {
    let mut archive = zip::ZipArchive::new(io::BufReader::new(archive))?;
    let mut files = BTreeMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let full = file.name()?.into_owned();
        let Some(name) = full.strip_prefix(prefix).and_then(&keep) else {
            continue;
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|source| DirhashError::Entry { name: full, source })?;
        files.insert(name, bytes);
    }
    Ok(files)
}
