use super::layout::{
    AT_THE_END, GRAIN, GRAIN_BLOCK, GRAIN_SECTORS, Marker, OVERHEAD, SECTOR, TABLE_ENTRIES,
    descriptor, header,
};
use super::{ContentId, WriteError};
use crate::FileName;
use crate::deflate::Deflater;
use crate::disk::{DiskImage, is_zero};
use crate::in_order::in_order;
use imgbuild_base::ByteSize;
use std::io::Write;

/// The largest disk: what VMware lets one sparse file hold.
const LARGEST: u64 = (1 << 41) - GRAIN as u64;

/// The size that a disk of `size` bytes has as a VMDK: the next whole number of grains, at
/// least one.
#[must_use]
pub fn rounded(size: ByteSize) -> ByteSize {
    let grain = GRAIN as u64;
    ByteSize::bytes(size.get().div_ceil(grain).max(1).saturating_mul(grain))
}

/// Writes `image`; `name` is what the file will be called, which its descriptor repeats. The
/// bytes depend on these and on `content` only, not on the number of threads. The disk's size
/// is [`rounded`] up.
///
/// # Errors
/// [`WriteError`] when the disk is too large or `out` fails.
pub fn write<W: Write>(
    image: &DiskImage,
    name: &FileName,
    content: ContentId,
    out: &mut W,
) -> Result<(), WriteError> {
    let size = image.size().get();
    let too_large = || WriteError::TooLarge(size);
    if size > LARGEST {
        return Err(too_large());
    }
    let grains = rounded(image.size()).get() / GRAIN as u64;
    let capacity = grains * GRAIN_SECTORS;
    let tables = usize::try_from(grains.div_ceil(TABLE_ENTRIES as u64)).map_err(|_| too_large())?;
    let mut file = Output {
        out,
        size,
        at: 0,
        directory: vec![0; tables],
        table: None,
    };
    file.append(&header(capacity, AT_THE_END))?;
    file.append(&descriptor(capacity, name, content))?;
    file.fill(OVERHEAD)?;

    in_order(
        image.mapped_blocks(GRAIN_BLOCK).into_iter().flatten(),
        Deflater::zlib,
        |deflater, index| (index, pack(image, index, deflater)),
        |(index, grain)| match grain {
            Some(grain) => file.grain(index, &grain),
            None => Ok(()),
        },
    )?;
    file.finish(capacity)
}

/// A grain with its marker, in whole sectors; nothing if it is all zero.
fn pack(image: &DiskImage, index: u64, deflater: &mut Deflater) -> Option<Vec<u8>> {
    let bytes = image.cell(index, GRAIN);
    if is_zero(&bytes) {
        return None;
    }
    let deflated = deflater.deflate(&bytes);
    // Little more than the grain at most.
    let length = u32::try_from(deflated.len()).unwrap_or(u32::MAX);
    let mut grain = Vec::with_capacity(deflated.len() + SECTOR);
    grain.extend((index * GRAIN_SECTORS).to_le_bytes());
    grain.extend(length.to_le_bytes());
    grain.extend(deflated);
    grain.resize(grain.len().next_multiple_of(SECTOR), 0);
    Some(grain)
}

struct Output<'o, W> {
    out: &'o mut W,
    /// The disk's size, for the error.
    size: u64,
    /// The next sector.
    at: u64,
    directory: Vec<u32>,
    /// The grain table being filled, and its place in the directory.
    table: Option<(usize, Vec<u32>)>,
}

impl<W: Write> Output<'_, W> {
    fn grain(&mut self, index: u64, grain: &[u8]) -> Result<(), WriteError> {
        // The directory lies in memory.
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let number = index / TABLE_ENTRIES;
        if self.table.as_ref().is_some_and(|(open, _)| *open != number) {
            self.close_table()?;
        }
        let place = self.append(grain)?;
        let empty = || (number, vec![0; TABLE_ENTRIES]);
        let (_, entries) = self.table.get_or_insert_with(empty);
        entries[index % TABLE_ENTRIES] = place;
        Ok(())
    }

    fn close_table(&mut self) -> Result<(), WriteError> {
        if let Some((number, entries)) = self.table.take() {
            self.directory[number] = self.announced(Marker::GrainTable, &numbers(&entries))?;
        }
        Ok(())
    }

    /// Writes whole sectors, and says where they begin.
    fn append(&mut self, sectors: &[u8]) -> Result<u32, WriteError> {
        let place = u32::try_from(self.at).map_err(|_| WriteError::TooLarge(self.size))?;
        self.out.write_all(sectors)?;
        self.at += (sectors.len() / SECTOR) as u64;
        Ok(place)
    }

    /// Writes a marker and what it announces, filled up to whole sectors.
    fn announced(&mut self, marker: Marker, content: &[u8]) -> Result<u32, WriteError> {
        let mut content = content.to_vec();
        content.resize(content.len().next_multiple_of(SECTOR), 0);
        self.append(&marker.encode((content.len() / SECTOR) as u64))?;
        self.append(&content)
    }

    /// Writes zeros up to a sector.
    fn fill(&mut self, up_to: u64) -> Result<(), WriteError> {
        while self.at < up_to {
            self.append(&[0; SECTOR])?;
        }
        Ok(())
    }

    fn finish(mut self, capacity: u64) -> Result<(), WriteError> {
        self.close_table()?;
        let directory = std::mem::take(&mut self.directory);
        let place = self.announced(Marker::GrainDirectory, &numbers(&directory))?;
        self.announced(Marker::Footer, &header(capacity, place.into()))?;
        self.append(&Marker::EndOfStream.encode(0))?;
        Ok(())
    }
}

fn numbers(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}
