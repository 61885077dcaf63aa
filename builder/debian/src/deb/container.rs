//! The outer shell of a `.deb`: an `ar` archive (deb(5)) of compressed members.

use super::DebError;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{MtStreamBuilder, Stream};
use std::io::{self, BufReader, Read};

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// No dictionary in use is larger; a crafted member cannot make the decoder take more.
const MEMORY_LIMIT: u64 = 1 << 30;

/// One compressed tar within a `.deb`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    /// Its whole name, as in `data.tar.xz`.
    pub(super) name: &'a str,
    bytes: &'a [u8],
    codec: Codec,
}

#[derive(Clone, Copy, Debug)]
enum Codec {
    None,
    Gzip,
    Xz,
    Zstd,
}

/// The two members that matter, in the order deb(5) demands.
#[derive(Debug)]
pub(super) struct Container<'a> {
    pub(super) control: Member<'a>,
    pub(super) data: Member<'a>,
}

impl<'a> Container<'a> {
    /// Splits a `.deb`. Members whose name begins with `_` are skipped, as are any after the
    /// data member: deb(5) reserves both for future use.
    pub(super) fn split(deb: &'a [u8]) -> Result<Self, DebError> {
        let mut rest = deb
            .strip_prefix(MAGIC)
            .ok_or(DebError::NotAnArchive { len: deb.len() })?;
        let (name, version) = next_member(&mut rest, deb.len())?;
        if name != "debian-binary" {
            return Err(DebError::Member {
                found: name.to_owned(),
                expected: "debian-binary",
            });
        }
        if !version.starts_with(b"2.") {
            let text = String::from_utf8_lossy(&version[..version.len().min(16)]);
            return Err(DebError::Format(text.trim_end().to_owned()));
        }
        let mut tar = |prefix: &'static str| loop {
            let (name, bytes) = next_member(&mut rest, deb.len())?;
            if name.starts_with('_') {
                continue;
            }
            let suffix = name.strip_prefix(prefix).ok_or_else(|| DebError::Member {
                found: name.to_owned(),
                expected: prefix,
            })?;
            let codec = match suffix {
                "" => Codec::None,
                ".gz" => Codec::Gzip,
                ".xz" => Codec::Xz,
                ".zst" => Codec::Zstd,
                _ => return Err(DebError::Compression(name.to_owned())),
            };
            return Ok(Member { name, bytes, codec });
        };
        Ok(Self {
            control: tar("control.tar")?,
            data: tar("data.tar")?,
        })
    }
}

/// Takes the next member off `rest`; `total` is the archive's size, to say where it breaks.
fn next_member<'a>(rest: &mut &'a [u8], total: usize) -> Result<(&'a str, &'a [u8]), DebError> {
    let at = total - rest.len();
    let bad = || DebError::Header { offset: at };
    let header = rest
        .get(..HEADER)
        .ok_or(DebError::Truncated { offset: at })?;
    let field = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).ok();
    if &header[58..] != b"`\n" {
        return Err(bad());
    }
    let name = field(0..16).ok_or_else(bad)?.trim_end();
    let name = name.strip_suffix('/').unwrap_or(name);
    let size: usize = field(48..58)
        .and_then(|text| text.trim_end().parse().ok())
        .ok_or_else(bad)?;
    let body = rest
        .get(HEADER..)
        .and_then(|after| after.get(..size))
        .ok_or(DebError::Truncated { offset: at })?;
    // Members begin at even offsets; the last one's padding may be missing.
    let next = (HEADER + size + size % 2).min(rest.len());
    *rest = &rest[next..];
    Ok((name, body))
}

impl<'a> Member<'a> {
    /// The decompressed bytes, as a stream.
    pub(super) fn reader(&self) -> io::Result<Box<dyn Read + 'a>> {
        let bytes = self.bytes;
        let raw: Box<dyn Read + 'a> = match self.codec {
            Codec::None => return Ok(Box::new(bytes)),
            Codec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(bytes)),
            Codec::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(bytes)?),
            Codec::Xz => Box::new(XzDecoder::new_stream(bytes, xz_stream(bytes)?)),
        };
        // Headers are read 512 bytes at a time; bodies pass the buffer by.
        Ok(Box::new(BufReader::with_capacity(64 << 10, raw)))
    }
}

/// A decoder that uses all processors when the stream has several blocks, as the packages
/// of kernels have. The output is the same either way.
fn xz_stream(bytes: &[u8]) -> io::Result<Stream> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(8));
    if threads > 1 && xz_blocks(bytes).is_some_and(|blocks| blocks > 1) {
        let threads = u32::try_from(threads).unwrap_or(1);
        return Ok(MtStreamBuilder::new()
            .threads(threads)
            .memlimit_threading(MEMORY_LIMIT)
            .memlimit_stop(MEMORY_LIMIT)
            .decoder()?);
    }
    Ok(Stream::new_stream_decoder(MEMORY_LIMIT, 0)?)
}

/// How many blocks an .xz file says it has: its footer (xz format 1.2, section 2.1.2) leads
/// to the index, which begins with their number. `None` when there is no such footer; the
/// decoder will then say what is wrong.
fn xz_blocks(bytes: &[u8]) -> Option<u64> {
    let footer = bytes.get(bytes.len().checked_sub(12)?..)?;
    if &footer[10..] != b"YZ" {
        return None;
    }
    let stored = u32::from_le_bytes(footer[4..8].try_into().ok()?);
    let size = usize::try_from((u64::from(stored) + 1) * 4).ok()?;
    let index = bytes.get(bytes.len().checked_sub(12)?.checked_sub(size)?..)?;
    let (&0, number) = index.split_first()? else {
        return None;
    };
    let mut value = 0_u64;
    for (place, &byte) in number.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
