//! Reading from a directory instead of a server.

use crate::download::{Broken, Limit};
use crate::error::Fault;
use crate::sink::Target;
use imgbuild_base::event::Task;
use std::io::Read as _;
use std::path::Path;

/// Copies the file at `path` into `target`, from its beginning.
pub(crate) fn copy(
    path: &Path,
    target: &mut impl Target,
    limit: Limit,
    task: &Task,
) -> Result<(), Broken> {
    let fault = |error: std::io::Error| Broken::Fault(Fault::Local(error.to_string()));
    if !target.is_empty() {
        target.restart().map_err(Broken::Sink)?;
    }
    let mut file = fs_err::File::open(path).map_err(fault)?;
    let metadata = file.metadata().map_err(fault)?;
    if !metadata.is_file() {
        let what = format!("{} is not a file", path.display());
        return Err(Broken::Fault(Fault::Local(what)));
    }
    limit.announced(metadata.len()).map_err(Broken::Fault)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return limit.ended(target.len()).map_err(Broken::Fault),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(fault(error)),
        };
        limit
            .after(target.len() + read as u64)
            .map_err(Broken::Fault)?;
        target.write_all(&buffer[..read]).map_err(Broken::Sink)?;
        task.advance(read as u64);
    }
}
