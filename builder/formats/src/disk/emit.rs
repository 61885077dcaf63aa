//! Writing a [`DiskImage`].

use super::{DiskImage, direct};
use fs_err::File;
use std::io::{self, Seek, SeekFrom, Write};

/// Zeros to compare blocks with. A block of this size at a multiple of it is left a hole when
/// it is all zero, even inside an extent: every file system's block size divides it.
static ZEROS: [u8; BLOCK] = [0; BLOCK];
const BLOCK: usize = 64 * 1024;

impl DiskImage {
    /// Writes the image as a sparse file, replacing all that `file` held: holes, and long
    /// runs of zeros inside extents, take no space. Nothing is synchronised, though most goes
    /// past the page cache.
    ///
    /// # Errors
    /// What the file system reports, with the file's path.
    pub fn write_sparse(&self, file: &File) -> io::Result<()> {
        // Down to nothing first, so that what the file held before cannot shine through.
        file.set_len(0)?;
        file.set_len(self.size().get())?;
        let mut out = file;
        let mut long = Vec::new();
        for (offset, bytes) in self.runs() {
            let part = direct::part(offset, bytes);
            for edge in [0..part.start, part.end..bytes.len()] {
                out.seek(SeekFrom::Start(offset + edge.start as u64))?;
                out.write_all(&bytes[edge])?;
            }
            if !part.is_empty() {
                long.push((offset + part.start as u64, &bytes[part]));
            }
        }
        direct::write(file, &long)
    }

    /// Writes what is not zero, each run at its place. What lies between must be zero already,
    /// or become so by being skipped, as it does in an empty file.
    pub(crate) fn write_content(&self, out: &mut (impl Write + Seek)) -> io::Result<()> {
        for (offset, bytes) in self.runs() {
            out.seek(SeekFrom::Start(offset))?;
            out.write_all(bytes)?;
        }
        Ok(())
    }

    /// What is to be written, and where.
    fn runs(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.extents()
            .iter()
            .flat_map(|extent| nonzero_runs(extent.offset, &extent.bytes))
    }
}

/// The stretches of `bytes`, which lie at `offset`, without the aligned blocks of zeros.
fn nonzero_runs(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    // Up to the first multiple of BLOCK a part is written as it is.
    let lead = (offset.next_multiple_of(BLOCK as u64) - offset).min(bytes.len() as u64);
    let lead = usize::try_from(lead).unwrap_or(bytes.len());
    let mut at = 0;
    std::iter::from_fn(move || {
        let zero_block = |at: usize| {
            at >= lead
                && bytes
                    .get(at..at + BLOCK)
                    .is_some_and(|block| block == ZEROS)
        };
        while zero_block(at) {
            at += BLOCK;
        }
        let start = at;
        while at < bytes.len() && !zero_block(at) {
            let step = if at < lead { lead - at } else { BLOCK };
            at = (at + step).min(bytes.len());
        }
        (at > start).then(|| (offset + start as u64, &bytes[start..at]))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Extent;
    use super::*;
    use imgbuild_base::ByteSize;
    use std::os::unix::fs::MetadataExt;

    fn sample() -> DiskImage {
        let mut long = vec![1; 100];
        long.resize(10 * BLOCK, 0);
        long.extend([2; 100]);
        let extents = [
            Extent::new(3 * BLOCK as u64 + 17, long),
            Extent::new(0, "start"),
            Extent::new((8 << 20) - 3, "end"),
        ];
        DiskImage::new(ByteSize::mib(8), extents).unwrap()
    }

    #[test]
    fn runs_skip_aligned_zero_blocks_only() {
        let mut bytes = vec![0; 3 * BLOCK];
        bytes[2 * BLOCK] = 1;
        let runs: Vec<(u64, usize)> = nonzero_runs(10, &bytes)
            .map(|(offset, run)| (offset, run.len()))
            .collect();
        // The lead up to 64 KiB and the unaligned tail are kept; one block falls out.
        let block = BLOCK as u64;
        assert_eq!(runs, [(10, BLOCK - 10), (2 * block, BLOCK + 10)]);
        assert_eq!(nonzero_runs(0, &bytes[..2 * BLOCK]).count(), 0);
    }

    #[test]
    fn the_file_is_sparse_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.img");
        fs_err::write(&path, vec![0xFF; 9 << 20]).unwrap();
        let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
        let image = sample();
        image.write_sparse(&file).unwrap();
        let written = fs_err::read(&path).unwrap();
        assert_eq!(written.len(), 8 << 20);
        assert_eq!(&written[..5], b"start");
        assert_eq!(&written[(8 << 20) - 3..], b"end");
        let used = fs_err::metadata(&path).unwrap().blocks() * 512;
        assert!(used < 5 * BLOCK as u64, "{used} bytes are allocated");
    }

    #[test]
    fn an_error_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("read-only.img");
        fs_err::write(&path, "").unwrap();
        let file = fs_err::File::open(&path).unwrap();
        let error = sample().write_sparse(&file).unwrap_err();
        assert!(error.to_string().contains("read-only.img"), "{error}");
    }
}
