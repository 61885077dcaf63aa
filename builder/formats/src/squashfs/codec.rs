//! Compresses blocks; contexts are kept and used again, whichever thread asks.

use super::{Level, WriteError};
use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use zstd::bulk::Compressor;
use zstd::zstd_safe;

/// What is known about a block before compressing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Nothing.
    Plain,
    /// It comes from files that are compressed already: a glance at the fastest level decides
    /// whether the real one is worth its time.
    Packed,
}

impl Nature {
    /// Judges a file by its first bytes.
    pub(super) fn of(body: &[u8]) -> Self {
        const MAGICS: [&[u8]; 7] = [
            b"\xfd7zXZ\0",
            b"\x28\xb5\x2f\xfd",
            b"\x1f\x8b\x08",
            b"BZh",
            b"PK\x03\x04",
            b"\x89PNG\r\n",
            b"\xff\xd8\xff",
        ];
        if MAGICS.iter().any(|magic| body.starts_with(magic)) {
            Self::Packed
        } else {
            Self::Plain
        }
    }
}

/// A block as it goes to the image.
#[derive(Debug)]
pub(super) enum Block<'a> {
    /// As it was: zstd could not make it smaller.
    Raw(Cow<'a, [u8]>),
    /// A zstd frame.
    Zstd(Vec<u8>),
}

impl Block<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Raw(bytes) => bytes,
            Self::Zstd(bytes) => bytes,
        }
    }

    pub(super) const fn is_raw(&self) -> bool {
        matches!(self, Self::Raw(_))
    }
}

/// One thread's tools while it works on a block.
struct Tools {
    full: Compressor<'static>,
    glance: Compressor<'static>,
}

/// Compresses blocks at one level.
pub(super) struct Codec {
    level: Level,
    idle: Mutex<Vec<Tools>>,
}

impl Codec {
    pub(super) const fn new(level: Level) -> Self {
        Self {
            level,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Compresses one block. The same bytes give the same result, whatever came before.
    pub(super) fn pack<'a>(
        &self,
        input: Cow<'a, [u8]>,
        nature: Nature,
    ) -> Result<Block<'a>, WriteError> {
        let kept = self.idle().pop();
        let mut tools = match kept {
            Some(tools) => tools,
            None => Tools {
                full: Compressor::new(self.level.get()).map_err(refused)?,
                glance: Compressor::new(1).map_err(refused)?,
            },
        };
        // A sixteenth is the least a packed file must yield at a glance.
        let hopeless = nature == Nature::Packed
            && shrink(&mut tools.glance, &input, input.len() / 16 * 15)?.is_none();
        let shrunk = if hopeless {
            None
        } else {
            shrink(&mut tools.full, &input, input.len().saturating_sub(1))?
        };
        self.idle().push(tools);
        Ok(shrunk.map_or(Block::Raw(input), Block::Zstd))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Tools>> {
        // Nothing can be half done in a list of idle tools.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The frame, if it fits into `room` bytes.
fn shrink(
    compressor: &mut Compressor<'static>,
    input: &[u8],
    room: usize,
) -> Result<Option<Vec<u8>>, WriteError> {
    let mut frame = Vec::with_capacity(room);
    // Vec may have taken more than asked for, and the result must not hang on that.
    match compressor.context_mut().compress2(&mut frame, input) {
        Ok(length) if length <= room => Ok(Some(frame)),
        Ok(_) => Ok(None),
        Err(code) if is_too_small(code) => Ok(None),
        Err(code) => Err(WriteError::Compress(
            zstd_safe::get_error_name(code).to_owned(),
        )),
    }
}

/// Whether zstd gave up for want of room (`ZSTD_error_dstSize_tooSmall`, 70). Error codes are
/// negated error numbers.
fn is_too_small(code: usize) -> bool {
    code.wrapping_neg() == 70
}

fn refused(error: std::io::Error) -> WriteError {
    WriteError::Compress(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect()
    }

    fn pack(codec: &Codec, bytes: &[u8], nature: Nature) -> (bool, Vec<u8>) {
        let block = codec.pack(Cow::Borrowed(bytes), nature).unwrap();
        (block.is_raw(), block.bytes().to_vec())
    }

    #[test]
    fn a_used_context_compresses_like_a_new_one() {
        for level in [1, 3, 9, 15, 19] {
            let text: Vec<u8> = noise(20_000).iter().map(|byte| byte & 7).collect();
            let used = Codec::new(Level::new(level).unwrap());
            for round in 0..20 {
                pack(&used, &noise(5_000 + round), Nature::Plain);
                pack(&used, &text[round..], Nature::Packed);
            }
            let new = Codec::new(Level::new(level).unwrap());
            assert_eq!(
                pack(&used, &text, Nature::Plain),
                pack(&new, &text, Nature::Plain)
            );
        }
    }

    #[test]
    fn what_does_not_shrink_stays_raw() {
        let codec = Codec::new(Level::new(9).unwrap());
        for nature in [Nature::Plain, Nature::Packed] {
            assert_eq!(
                pack(&codec, &noise(4096), nature),
                (true, noise(4096)),
                "{nature:?}"
            );
            assert!(!pack(&codec, &[7; 4096], nature).0);
            assert_eq!(pack(&codec, b"a", nature), (true, b"a".to_vec()));
        }
    }

    #[test]
    fn natures() {
        assert_eq!(Nature::of(b"\xfd7zXZ\0abc"), Nature::Packed);
        assert_eq!(Nature::of(b"\x7fELF"), Nature::Plain);
        assert_eq!(Nature::of(b""), Nature::Plain);
    }
}
