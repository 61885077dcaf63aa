//! Image files and devices as sources of bytes: read where wanted, never as a whole.

use crate::error::{CommandError, Failure, OrFail, Result};
use fs_err::File;
use imgbuild_base::ByteSize;
use imgbuild_formats::compress::Codec;
use imgbuild_formats::disk::is_zero;
use imgbuild_formats::source::Source;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The largest disk that is unpacked from a compressed image: a file that claims more is not
/// one of ours.
const LARGEST: ByteSize = ByteSize::mib(1 << 20);
/// Bytes that are unpacked and looked at together; a block of zeros becomes a hole.
const BLOCK: usize = 1 << 20;

/// An open image file or device.
#[derive(Debug)]
pub(crate) struct Medium {
    file: std::fs::File,
    size: ByteSize,
}

impl Medium {
    /// Opens a raw image, a device, or an image in a `.zst` or `.xz`, which is unpacked to a
    /// temporary file first: what is inside can only be looked at from the start on.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::open_io(path)
            .or_fail(Failure::Storage)
            .map_err(|error| error.context(format!("opening {}", path.display())))
    }

    fn open_io(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let codec = codec(&mut file)?;
        let file = match codec {
            None => file,
            Some(codec) => {
                let temporary = File::from_parts(tempfile::tempfile()?, path);
                unpack(codec, file, &temporary)?;
                temporary
            }
        };
        let mut file = file.into_parts().0;
        // Unlike its metadata, its end tells the size of a device too.
        let size = ByteSize::bytes(file.seek(SeekFrom::End(0))?);
        Ok(Self { file, size })
    }
}

impl Source for Medium {
    fn size(&self) -> ByteSize {
        self.size
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }
}

/// How a file is compressed; it is left at its start.
pub(crate) fn codec(file: &mut File) -> io::Result<Option<Codec>> {
    let mut head = Vec::new();
    file.by_ref().take(6).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Codec::of(&head))
}

fn unpack(codec: Codec, packed: File, to: &File) -> io::Result<()> {
    let mut disk = codec.decoder(BufReader::new(packed))?;
    let mut block = Vec::with_capacity(BLOCK);
    let mut at = 0;
    loop {
        block.clear();
        disk.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return to.set_len(at);
        }
        if !is_zero(&block) {
            to.file().write_all_at(&block, at)?;
        }
        at += block.len() as u64;
        if at > LARGEST.get() {
            return Err(io::Error::other(format!(
                "it holds a disk of more than {LARGEST}: that is none of ours"
            )));
        }
    }
}

/// The error for a file that is no disk image.
pub(crate) fn no_image(path: &Path, error: &dyn std::error::Error) -> CommandError {
    CommandError::new(Failure::Verify, error)
        .context(format!("{} holds no image of imgbuild", path.display()))
        .hint("give a raw image, one ending in .zst or .xz, or the whole device of a card")
}
