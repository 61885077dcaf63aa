use super::DiskImage;
use std::io::{self, Read, Seek, SeekFrom};

/// Reads a [`DiskImage`] as if it were a file, holes as zeros.
#[derive(Clone, Debug)]
pub struct DiskReader<'a> {
    image: &'a DiskImage,
    position: u64,
}

impl<'a> DiskReader<'a> {
    pub(super) const fn new(image: &'a DiskImage) -> Self {
        Self { image, position: 0 }
    }
}

impl Read for DiskReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.position;
        let extents = &self.image.extents;
        let next = extents.partition_point(|extent| extent.end() <= at);
        // `limit` is where the kind of content changes: end of the hole or of the extent.
        let (data, limit) = match extents.get(next) {
            Some(extent) if extent.offset <= at => (Some(extent), extent.end()),
            Some(extent) => (None, extent.offset),
            None => (None, self.image.size.get()),
        };
        let left = usize::try_from(limit.saturating_sub(at)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        match data {
            Some(extent) => {
                let inside = usize::try_from(at - extent.offset).map_err(io::Error::other)?;
                buffer[..count].copy_from_slice(&extent.bytes[inside..inside + count]);
            }
            None => buffer[..count].fill(0),
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for DiskReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.image.size.get().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "seeking to before the start of a disk image",
            )
        })?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Extent;
    use super::*;
    use imgbuild_base::ByteSize;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_what_a_flat_copy_holds(
            parts in proptest::collection::vec((0_u8..20, proptest::collection::vec(1_u8.., 0..20)), 0..8),
            tail in 0_u64..30,
            step in 1_usize..40,
            start in 0_usize..60,
        ) {
            let (mut flat, mut extents) = (Vec::new(), Vec::new());
            for (gap, bytes) in parts {
                flat.resize(flat.len() + usize::from(gap), 0);
                extents.push(Extent::new(flat.len() as u64, bytes.clone()));
                flat.extend(bytes);
            }
            let size = flat.len() as u64 + tail;
            flat.resize(usize::try_from(size).unwrap(), 0);
            let image = DiskImage::new(ByteSize::bytes(size), extents).unwrap();

            let mut reader = image.reader();
            let mut seen = Vec::new();
            let mut buffer = vec![0xAA; step];
            loop {
                let count = reader.read(&mut buffer).unwrap();
                if count == 0 { break; }
                seen.extend_from_slice(&buffer[..count]);
            }
            prop_assert_eq!(&seen, &flat);
            prop_assert_eq!(image.digest(), imgbuild_base::Digest::of(&flat));

            let start = start.min(flat.len());
            reader.seek(SeekFrom::Start(start as u64)).unwrap();
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            prop_assert_eq!(&rest[..], &flat[start..]);
        }
    }

    #[test]
    fn the_start_is_the_limit() {
        let image = DiskImage::new(ByteSize::bytes(4), []).unwrap();
        assert!(image.reader().seek(SeekFrom::End(-5)).is_err());
        let mut reader = image.reader();
        reader.seek(SeekFrom::Start(9)).unwrap();
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
    }
}
