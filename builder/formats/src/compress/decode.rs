//! From a compressed image back to its disk, as a stream.

use super::Codec;
use std::io::{self, BufRead, Read};

/// Memory that decompressing may take: what the highest presets of xz need, and no more,
/// whatever a file asks for.
const MOST_MEMORY: u64 = 256 << 20;
/// The largest window of a zstd frame, as a power of two.
const MOST_WINDOW: u32 = 27;

impl Codec {
    /// How a file is compressed, by its first bytes; nothing when it is not.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstd),
            [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    /// Reads the disk that `packed` holds, all frames or streams of it. Checksums are checked.
    ///
    /// # Errors
    /// When memory is short; reading fails where the file is damaged.
    pub fn decoder<'a>(self, packed: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
                decoder.window_log_max(MOST_WINDOW)?;
                Box::new(decoder)
            }
            Self::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(MOST_MEMORY, flags)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::write;
    use crate::disk::{DiskImage, Extent};
    use imgbuild_base::ByteSize;
    use proptest::prelude::*;

    #[test]
    fn what_was_compressed_comes_back() {
        let extents = [
            Extent::new(5, "start"),
            Extent::new(20 << 20, vec![9; 70_000]),
        ];
        let disk = DiskImage::new(ByteSize::mib(21), extents).unwrap();
        for codec in [Codec::Zstd, Codec::Xz] {
            let mut packed = [Vec::new()];
            write(codec, &[&disk], &mut packed, |_| {}).unwrap();
            assert_eq!(Codec::of(&packed[0]), Some(codec));
            let mut back = Vec::new();
            let mut decoder = codec.decoder(&packed[0][..]).unwrap();
            decoder.read_to_end(&mut back).unwrap();
            assert_eq!(imgbuild_base::Digest::of(&back), disk.digest());
            // A file that is cut off is no shorter disk.
            let short = &packed[0][..packed[0].len() - 3];
            let mut decoder = codec.decoder(short).unwrap();
            assert!(decoder.read_to_end(&mut back).is_err());
        }
        assert_eq!(Codec::of(b"\xFD7zXY"), None);
    }

    proptest! {
        #[test]
        fn noise_is_an_error_or_ends(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            for (codec, magic) in [
                (Codec::Zstd, &b"\x28\xB5\x2F\xFD"[..]),
                (Codec::Xz, b"\xFD7zXZ\0"),
            ] {
                let bytes = [magic, &noise].concat();
                if let Ok(decoder) = codec.decoder(&bytes[..]) {
                    let _ = io::copy(&mut decoder.take(1 << 20), &mut io::sink());
                }
            }
        }
    }
}
