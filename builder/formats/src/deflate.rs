//! Deflate (RFC 1951) for formats that store clusters or grains, each compressed by itself.

use flate2::{Compress, Compression, FlushCompress, Status};

/// The level whose speed and result are worth each other; zlib's own choice.
const LEVEL: Compression = Compression::new(6);

/// A compressor that is used again and again. The same input gives the same output, whatever
/// came before it and whatever the processor: zlib-rs chooses its matches by one rule.
pub(crate) struct Deflater {
    stream: Compress,
}

impl Deflater {
    /// Nothing around the compressed bytes, which refer at most 4 KiB back: qcow2.
    pub(crate) fn raw_4k() -> Self {
        Self {
            stream: Compress::new_with_window_bits(LEVEL, false, 12),
        }
    }

    /// A zlib header and checksum (RFC 1950) around them, and 32 KiB back: VMDK.
    pub(crate) fn zlib() -> Self {
        Self {
            stream: Compress::new_with_window_bits(LEVEL, true, 15),
        }
    }

    /// `input` compressed, which may make it a little longer.
    pub(crate) fn deflate(&mut self, input: &[u8]) -> Vec<u8> {
        let mut room = input.len() + 64;
        loop {
            if let Some(output) = self.shrink(input, room) {
                return output;
            }
            room *= 2;
        }
    }

    /// `input` compressed, if that takes at most `room` bytes.
    pub(crate) fn shrink(&mut self, input: &[u8], room: usize) -> Option<Vec<u8>> {
        self.stream.reset();
        // One byte more, because only what does not fill it is known to be whole.
        let mut output = vec![0; room + 1];
        // Deflating from memory to memory knows no error but a lack of room.
        let end = self
            .stream
            .compress(input, &mut output, FlushCompress::Finish);
        let length = usize::try_from(self.stream.total_out()).ok()?;
        output.truncate(length);
        (matches!(end, Ok(Status::StreamEnd)) && length <= room).then_some(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress};

    /// Text of which a part comes again after 20,000 bytes, further back than 4 KiB.
    fn sample() -> Vec<u8> {
        let mut state = 1_u32;
        let mut bytes: Vec<u8> = (0..20_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0] & 15
            })
            .collect();
        bytes.extend_from_within(..10_000);
        bytes
    }

    #[test]
    fn a_narrow_window_inflates_what_was_made_for_it() {
        let small = Deflater::raw_4k().shrink(&sample(), 30_000).unwrap();
        let mut inflate = Decompress::new_with_window_bits(false, 12);
        let mut back = Vec::new();
        // In small steps, so that the history comes from the window and not the output.
        for piece in small.chunks(100) {
            let mut some = Vec::with_capacity(30_000);
            let end = inflate.decompress_vec(piece, &mut some, FlushDecompress::None);
            end.unwrap();
            back.extend(some);
        }
        assert!(back == sample());
    }

    #[test]
    fn what_came_before_does_not_show() {
        let mut used = Deflater::raw_4k();
        let first = used.shrink(&sample(), 30_000).unwrap();
        assert!(used.shrink(&sample(), first.len() - 1).is_none());
        assert_eq!(
            used.shrink(&[7; 65536], 30_000)
                .map(|small| small.len() < 200),
            Some(true)
        );
        assert!(used.shrink(&sample(), first.len()).unwrap() == first);
        let mut zlib = Deflater::zlib();
        assert_eq!(zlib.deflate(&[]).len(), 8);
        assert_eq!(zlib.deflate(&[7; 65536])[..2], [0x78, 0x9C]);
        assert_eq!(used.shrink(&[], 8).map(|empty| empty.len()), Some(2));
    }
}
