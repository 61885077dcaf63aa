//! What is written: a disk that exists in memory only, or an image's file.

use crate::medium::codec;
use fs_err::File;
use imgbuild_base::ByteSize;
use imgbuild_formats::disk::DiskImage;
use imgbuild_formats::source::Source;
use std::io::{self, BufReader, Read};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// Bytes that are written at once, at a multiple of as many.
pub(crate) const PIECE: u64 = 1 << 20;
/// What is written are whole blocks of this many bytes: flash has no smaller ones.
const BLOCK: NonZeroU32 = NonZeroU32::new(4096).expect("4096 is not zero");

/// A disk that can be walked through as often as wanted.
pub(crate) trait Content {
    /// The disk's size.
    fn size(&self) -> ByteSize;

    /// How many bytes [`Content::walk`] shows.
    fn total(&self) -> u64;

    /// Shows all that has to be written, in rising order; no piece crosses a multiple of
    /// [`PIECE`].
    fn walk(&self, each: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()>;
}

impl Content for DiskImage {
    fn size(&self) -> ByteSize {
        Self::size(self)
    }

    fn total(&self) -> u64 {
        let block = u64::from(BLOCK.get());
        let blocks = self.mapped_blocks(BLOCK).into_iter();
        blocks.map(|range| (range.end - range.start) * block).sum()
    }

    fn walk(&self, each: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let block = u64::from(BLOCK.get());
        let mut bytes = Vec::new();
        for range in self.mapped_blocks(BLOCK) {
            let (mut at, end) = (range.start * block, range.end * block);
            while at < end {
                let next = end.min((at / PIECE + 1) * PIECE);
                self.window(at..next).read_into(&mut bytes);
                each(at, &bytes)?;
                at = next;
            }
        }
        Ok(())
    }
}

/// An image in a file, raw or compressed; it is unpacked anew for every walk.
#[derive(Debug)]
pub(crate) struct ImageFile {
    path: PathBuf,
    size: ByteSize,
}

impl ImageFile {
    /// Walks through the file once: a damaged one is found before any card is touched.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = Self {
            path: path.to_owned(),
            size: ByteSize::default(),
        };
        let mut end = 0;
        file.walk(&mut |at, bytes| {
            end = at + bytes.len() as u64;
            Ok(())
        })?;
        file.size = ByteSize::bytes(end);
        Ok(file)
    }
}

impl Content for ImageFile {
    fn size(&self) -> ByteSize {
        self.size
    }

    fn total(&self) -> u64 {
        self.size.get()
    }

    fn walk(&self, each: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        let mut disk: Box<dyn Read> = match codec(&mut file)? {
            None => Box::new(file),
            Some(codec) => codec.decoder(BufReader::new(file))?,
        };
        let mut at = 0;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            disk.by_ref().take(PIECE).read_to_end(&mut bytes)?;
            if bytes.is_empty() {
                return Ok(());
            }
            each(at, &bytes)?;
            at += bytes.len() as u64;
        }
    }
}

/// The first piece of a disk, which has its partition table.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) bytes: Vec<u8>,
    size: ByteSize,
}

impl Head {
    /// The head of a disk; what it does not have is zero.
    pub(crate) fn of(content: &dyn Content) -> io::Result<Self> {
        let mut bytes = vec![0; usize::try_from(PIECE).map_err(io::Error::other)?];
        let mut done = false;
        let walked = content.walk(&mut |at, piece| {
            if at >= PIECE {
                done = true;
                // Ends the walk: there is no need to unpack the rest.
                return Err(io::ErrorKind::Interrupted.into());
            }
            let at = usize::try_from(at).map_err(io::Error::other)?;
            bytes[at..at + piece.len()].copy_from_slice(piece);
            Ok(())
        });
        if !done {
            walked?;
        }
        let size = content.size();
        Ok(Self { bytes, size })
    }
}

impl Source for Head {
    fn size(&self) -> ByteSize {
        self.size
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.bytes[..].read_at(at, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgbuild_formats::compress::{self, Codec};
    use imgbuild_formats::disk::Extent;

    fn flat(content: &dyn Content) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(content.size().get()).unwrap()];
        content
            .walk(&mut |at, piece| {
                assert!(at % PIECE + piece.len() as u64 <= PIECE, "{at}");
                let at = usize::try_from(at).unwrap();
                bytes[at..at + piece.len()].copy_from_slice(piece);
                Ok(())
            })
            .unwrap();
        bytes
    }

    #[test]
    fn a_disk_and_its_files_are_one_content() {
        let extents = [
            Extent::new(510, vec![0x55, 0xAA]),
            Extent::new((1 << 20) - 5, vec![7; 100]),
            Extent::new(3 << 20, vec![9; (1 << 20) + 512]),
        ];
        let disk = DiskImage::new(ByteSize::bytes((5 << 20) + 512), extents).unwrap();
        let whole = flat(&disk);
        assert!(Content::total(&disk) < 2 << 20);
        let head = Head::of(&disk).unwrap();
        assert_eq!(head.bytes[..], whole[..1 << 20]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.img");
        fs_err::write(&path, &whole).unwrap();
        let file = ImageFile::open(&path).unwrap();
        assert_eq!(flat(&file), whole);
        for codec in [Codec::Zstd, Codec::Xz] {
            let mut packed = [Vec::new()];
            compress::write(codec, &[&disk], &mut packed, |_| {}).unwrap();
            fs_err::write(&path, &packed[0]).unwrap();
            let file = ImageFile::open(&path).unwrap();
            assert_eq!(flat(&file), whole);
            assert_eq!(Head::of(&file).unwrap().bytes, head.bytes);
            fs_err::write(&path, &packed[0][..packed[0].len() - 9]).unwrap();
            assert!(ImageFile::open(&path).is_err());
        }
    }
}
