//! The one place where an object's file becomes memory.

use bytes::Bytes;
use std::io;
use std::path::Path;

/// The bytes of the file at `path`, which must be an object of the store, and their number
/// must be `len`.
#[allow(unsafe_code)]
pub(crate) fn map(path: &Path, len: u64) -> io::Result<Bytes> {
    let file = fs_err::File::open(path)?;
    let found = file.metadata()?.len();
    if found != len {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("expected {len} bytes, the file has {found}"),
        ));
    }
    if len == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: a mapping is sound as long as the file's bytes do not change under it. Objects
    // are created by a rename after their last write, have mode 0444, and no code of the store
    // opens one for writing or truncates it; removal leaves the mapped pages in place.
    let map = unsafe { memmap2::Mmap::map(file.file())? };
    Ok(Bytes::from_owner(map))
}
