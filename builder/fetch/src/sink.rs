use crate::item::Item;
use imgbuild_base::Digest;
use std::io;

/// Where fetched files go. It is called from several threads.
pub trait Sink: Send + Sync + 'static {
    /// Takes one file.
    type Target: Target;

    /// Makes room for an item. What an earlier, interrupted attempt left may be in it already.
    ///
    /// # Errors
    /// When nothing can be written there; no other place is tried then.
    fn begin(&self, item: &Item) -> io::Result<Self::Target>;
}

/// One file on its way. Dropped without a commit, it may keep what it has for a later attempt.
pub trait Target: io::Write + Send + 'static {
    /// What a complete file becomes.
    type Done: Send + 'static;

    /// How many bytes it has.
    fn len(&self) -> u64;

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The SHA-256 of the bytes it has.
    fn digest(&self) -> Digest;

    /// Forgets them.
    ///
    /// # Errors
    /// When it cannot.
    fn restart(&mut self) -> io::Result<()>;

    /// Keeps the file, whose digest has been found to be the item's. The other items are
    /// fetched meanwhile, so a sink may hand the file on from here to whoever waits for it.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn commit(self) -> io::Result<Self::Done>;
}

/// Keeps files in memory.
pub(crate) struct Memory;

/// A file in memory.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    hasher: imgbuild_base::Hasher,
}

impl Sink for Memory {
    type Target = Buffer;

    fn begin(&self, _item: &Item) -> io::Result<Buffer> {
        Ok(Buffer::default())
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Buffer {
    type Done = bytes::Bytes;

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    fn restart(&mut self) -> io::Result<()> {
        *self = Self::default();
        Ok(())
    }

    fn commit(self) -> io::Result<bytes::Bytes> {
        Ok(self.bytes.into())
    }
}
