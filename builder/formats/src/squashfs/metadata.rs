//! Metadata tables: streams cut into blocks of 8 KiB, each compressed on its own.

use super::WriteError;
use super::codec::{Codec, Nature};
use super::layout::{METADATA, METADATA_RAW, Place};
use std::borrow::Cow;

/// A table that grows.
pub(super) struct Metadata<'a> {
    codec: &'a Codec,
    stored: Vec<u8>,
    open: Vec<u8>,
}

impl<'a> Metadata<'a> {
    pub(super) fn new(codec: &'a Codec) -> Self {
        Self {
            codec,
            stored: Vec::new(),
            open: Vec::with_capacity(METADATA),
        }
    }

    /// Where the next byte will lie.
    pub(super) fn place(&self) -> Result<Place, WriteError> {
        let too_many = |_| WriteError::TooMany {
            what: "bytes of metadata",
            limit: u32::MAX.into(),
        };
        Ok(Place {
            block: u32::try_from(self.stored.len()).map_err(too_many)?,
            offset: u16::try_from(self.open.len()).map_err(too_many)?,
        })
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(METADATA - self.open.len()));
            self.open.extend(now);
            bytes = later;
            if self.open.len() == METADATA {
                self.close()?;
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), WriteError> {
        let block = self.codec.pack(Cow::Borrowed(&self.open), Nature::Plain)?;
        let bytes = block.bytes();
        // At most 8192, as blocks never grow.
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        let header = if block.is_raw() {
            length | METADATA_RAW
        } else {
            length
        };
        self.stored.extend(header.to_le_bytes());
        self.stored.extend(bytes);
        self.open.clear();
        Ok(())
    }

    /// The table as it is stored.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, WriteError> {
        if !self.open.is_empty() {
            self.close()?;
        }
        Ok(self.stored)
    }
}

/// A table found through a list of its blocks' positions: the bytes to store at `position` in
/// the image, and where in the image the list starts.
pub(super) fn lookup_table(
    codec: &Codec,
    entries: &[u8],
    position: u64,
) -> Result<(Vec<u8>, u64), WriteError> {
    let mut metadata = Metadata::new(codec);
    let mut list = Vec::new();
    for block in entries.chunks(METADATA) {
        let at = position + u64::from(metadata.place()?.block);
        list.extend(at.to_le_bytes());
        metadata.push(block)?;
    }
    let mut stored = metadata.finish()?;
    let start = position + stored.len() as u64;
    stored.extend(list);
    Ok((stored, start))
}
