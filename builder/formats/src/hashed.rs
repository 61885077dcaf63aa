use imgbuild_base::{Digest, Hasher};
use std::io::{self, Write};

/// Passes bytes on, and hashes and counts what went through.
pub struct Hashed<W> {
    out: W,
    hasher: Hasher,
    length: u64,
}

impl<W> Hashed<W> {
    /// Nothing went through yet.
    pub fn new(out: W) -> Self {
        Self {
            out,
            hasher: Hasher::new(),
            length: 0,
        }
    }

    /// The SHA-256 of all that was written, and how many bytes that were.
    #[must_use]
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.length)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
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
    }
}
