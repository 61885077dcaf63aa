//! Disk images as compressed files, many at once.
//!
//! A disk is cut into blocks of one size, each of which is compressed by itself: a frame of a
//! `.zst` ([`Codec::Zstd`]), a block of a `.xz` ([`Codec::Xz`]). So what comes out depends on
//! the disk alone and not on how many threads work, every decompressor reads it, and some on
//! several processors. A block that several disks have, or a hole, is compressed once: the
//! images of a cluster cost hardly more than one of them.
//!
//! All disks advance together, a few blocks at a time: what is in memory depends on the number
//! of threads, not on the disks' sizes.

mod decode;
mod xz;

use crate::disk::{DiskImage, Window};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// How disks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Zstandard (RFC 8878).
    Zstd,
    /// The .xz file format 1.2.1, with LZMA2.
    Xz,
}

/// Most of a disk is compressed already: a higher level takes far longer for hardly less.
const ZSTD_LEVEL: i32 = 9;

impl Codec {
    /// Bytes of the disk in a block.
    const fn block(self) -> u64 {
        match self {
            Self::Zstd => 8 << 20,
            Self::Xz => 12 << 20,
        }
    }

    /// What a file begins with.
    const fn header(self) -> &'static [u8] {
        match self {
            Self::Zstd => &[],
            Self::Xz => &xz::HEADER,
        }
    }

    /// A block of a file.
    fn pack(self, raw: &[u8]) -> io::Result<Packed> {
        match self {
            Self::Zstd => {
                let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                compressor.include_checksum(true)?;
                let bytes = compressor.compress(raw)?;
                let sizes = Sizes {
                    packed: bytes.len() as u64,
                    raw: raw.len() as u64,
                };
                Ok(Packed { bytes, sizes })
            }
            Self::Xz => xz::block(raw),
        }
    }

    /// What a file of these blocks ends with.
    fn end(self, blocks: &[Sizes]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => Ok(Vec::new()),
            Self::Xz => xz::end(blocks),
        }
    }

    /// What has to change when the same disk is compressed to other bytes than before.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Zstd => "zstd 9, 8 MiB, 1",
            Self::Xz => "xz 4, 12 MiB, 1",
        }
    }
}

/// A block as it stands in the file.
struct Packed {
    bytes: Vec<u8>,
    sizes: Sizes,
}

/// How long a block is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    /// In the file, without what fills it up to a multiple of four.
    packed: u64,
    /// On the disk.
    raw: u64,
}

/// A block that waits to be compressed.
struct Waiting<'a> {
    window: Window<'a>,
    /// The disks that have it here, by place.
    disks: BTreeSet<usize>,
}

/// Compresses each disk to the writer at its place. `advance` hears how many bytes of disks are
/// done.
///
/// # Errors
/// What a writer reports, or the compressor when memory is short.
pub fn write<W: Write + Send>(
    codec: Codec,
    disks: &[&DiskImage],
    writers: &mut [W],
    advance: impl Fn(u64),
) -> io::Result<()> {
    let block = codec.block();
    let most = disks.iter().map(|disk| disk.size().get()).max();
    let blocks = most.unwrap_or(0).div_ceil(block);
    let batch = 2 * rayon::current_num_threads();
    let mut outputs: Vec<Output<'_, W>> = Vec::with_capacity(writers.len());
    for writer in writers {
        writer.write_all(codec.header())?;
        let blocks = Vec::new();
        outputs.push(Output { writer, blocks });
    }
    let mut waiting: Vec<Waiting<'_>> = Vec::new();
    for number in 0..blocks {
        let range = number * block..(number + 1) * block;
        let mut here: Vec<Waiting<'_>> = Vec::new();
        for (place, disk) in disks.iter().enumerate() {
            let window = disk.window(range.clone());
            if window.length() == 0 {
                continue;
            }
            match here.iter_mut().find(|other| other.window == window) {
                Some(same) => {
                    same.disks.insert(place);
                }
                None => here.push(Waiting {
                    window,
                    disks: [place].into(),
                }),
            }
        }
        for one in here {
            waiting.push(one);
            if waiting.len() == batch {
                flush(codec, &mut waiting, &mut outputs, &advance)?;
            }
        }
    }
    flush(codec, &mut waiting, &mut outputs, &advance)?;
    outputs
        .into_iter()
        .try_for_each(|output| output.writer.write_all(&codec.end(&output.blocks)?))
}

/// A file that grows, and the blocks that it has so far.
struct Output<'a, W> {
    writer: &'a mut W,
    blocks: Vec<Sizes>,
}

/// Compresses what waits and writes it.
fn flush<W: Write + Send>(
    codec: Codec,
    waiting: &mut Vec<Waiting<'_>>,
    outputs: &mut [Output<'_, W>],
    advance: &impl Fn(u64),
) -> io::Result<()> {
    let mut distinct: Vec<&Window<'_>> = Vec::new();
    let places: Vec<usize> = waiting
        .iter()
        .map(|one| {
            let known = distinct.iter().position(|other| **other == one.window);
            known.unwrap_or_else(|| {
                distinct.push(&one.window);
                distinct.len() - 1
            })
        })
        .collect();
    let packed: Vec<Packed> = distinct
        .par_iter()
        .map(|window| {
            let mut raw = Vec::new();
            window.read_into(&mut raw);
            codec.pack(&raw)
        })
        .collect::<io::Result<_>>()?;
    outputs
        .par_iter_mut()
        .enumerate()
        .try_for_each(|(disk, output)| {
            for (one, &place) in waiting.iter().zip(&places) {
                if one.disks.contains(&disk) {
                    output.writer.write_all(&packed[place].bytes)?;
                    output.blocks.push(packed[place].sizes);
                }
            }
            io::Result::Ok(())
        })?;
    let done = waiting
        .iter()
        .map(|one| one.window.length() * one.disks.len() as u64);
    advance(done.sum());
    waiting.clear();
    Ok(())
}

#[cfg(test)]
mod tests;
