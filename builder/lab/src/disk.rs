//! Working copies of images: what a guest writes never reaches the image itself.

use rustix::fs::{SeekFrom, seek};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const CHUNK: usize = 1 << 20;

/// Copies an image sparsely and grows the copy to at least `size` bytes.
///
/// # Errors
/// When reading or writing fails; the error names the file.
pub fn working_copy(image: &Path, copy: &Path, size: u64) -> io::Result<()> {
    let from = fs_err::File::open(image)?;
    let to = fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(copy)?;
    let length = from.metadata()?.len();
    to.set_len(length.max(size))?;
    copy_data(from.file(), to.file(), length)
}

/// Copies what is not a hole.
fn copy_data(from: &File, to: &File, length: u64) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < length {
        let start = match seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole is left.
            Err(rustix::io::Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let end = seek(from, SeekFrom::Hole(start))?;
        at = start;
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            let got = from.read_at(&mut buffer[..want], at)?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            to.write_all_at(&buffer[..got], at)?;
            at += got as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn copies_content_keeps_holes_and_grows() {
        let dir = tempfile::tempdir().unwrap();
        let (image, copy) = (dir.path().join("a"), dir.path().join("b"));
        let file = fs_err::File::create(&image).unwrap();
        file.set_len(64 << 20).unwrap();
        file.file().write_all_at(b"data", 40 << 20).unwrap();
        working_copy(&image, &copy, 128 << 20).unwrap();
        let copied = fs_err::File::open(&copy).unwrap();
        let mut data = [0; 4];
        copied.file().read_exact_at(&mut data, 40 << 20).unwrap();
        assert_eq!(&data, b"data");
        let meta = copied.metadata().unwrap();
        assert_eq!(meta.len(), 128 << 20);
        assert!(meta.blocks() * 512 < 1 << 20, "the copy is not sparse");
    }
}
