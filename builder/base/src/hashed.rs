use crate::{Digest, Hasher};
use std::io::{self, Read, Write};

/// Passes bytes on, written or read, and hashes and counts what went through.
pub struct Hashed<T> {
    inner: T,
    hasher: Hasher,
    length: u64,
}

impl<T> Hashed<T> {
    /// Nothing went through yet.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            hasher: Hasher::new(),
            length: 0,
        }
    }

    /// The SHA-256 of all that went through, and how many bytes that were.
    #[must_use]
    pub fn finish(self) -> (Digest, u64) {
        let (digest, length, _) = self.into_parts();
        (digest, length)
    }

    /// The same, and where the bytes went to or came from.
    #[must_use]
    pub fn into_parts(self) -> (Digest, u64, T) {
        (self.hasher.finish(), self.length, self.inner)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.length += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_went_through_counts() {
        let mut room = [0; 3];
        let mut hashed = Hashed::new(&mut room[..]);
        assert_eq!(hashed.write(b"abcde").unwrap(), 3);
        assert_eq!(hashed.finish(), (Digest::of(b"abc"), 3));
        assert_eq!(&room, b"abc");

        let mut hashed = Hashed::new(&b"abcde"[..]);
        hashed.read_exact(&mut room).unwrap();
        assert_eq!(hashed.finish(), (Digest::of(b"abc"), 3));
    }
}
