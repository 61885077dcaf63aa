//! What is written to, as the order of a flash needs it.

use std::io;
use std::ops::Range;

/// A device or file that takes a disk. All of it that is not written keeps what it has.
pub(crate) trait Target {
    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Writes `bytes` at `at`; they may be anywhere on their way when it returns.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes a range zero, by whatever is the fastest way.
    fn zero(&mut self, range: Range<u64>) -> io::Result<()>;

    /// Returns when all that was written is on the medium.
    fn settle(&mut self) -> io::Result<()>;

    /// Fills `to` with the bytes from `at` on as the medium has them, not as some cache in
    /// between remembers them.
    fn read_back(&mut self, at: u64, to: &mut [u8]) -> io::Result<()>;
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use imgbuild_formats::source::Source as _;

    /// How a medium deceives or fails.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// It does not.
        None,
        /// It has only so many bytes and begins again from the start.
        Wraps(u64),
        /// It has only so many bytes and forgets what is written beyond.
        Drops(u64),
        /// The byte at this place changes when it is written.
        Flips(u64),
        /// Writing to this place fails.
        Refuses(u64),
        /// It is gone after so many writes.
        Vanishes(usize),
    }

    /// A medium in memory.
    #[derive(Clone, Debug)]
    pub(crate) struct Memory {
        pub(crate) bytes: Vec<u8>,
        pub(crate) fault: Fault,
        writes: usize,
        /// Where each write began, in their order.
        pub(crate) order: Vec<u64>,
    }

    impl Memory {
        /// A used medium: nothing on it is zero.
        pub(crate) fn used(size: usize, fault: Fault) -> Self {
            Self {
                bytes: vec![0xEE; size],
                fault,
                writes: 0,
                order: Vec::new(),
            }
        }

        fn place(&self, at: u64) -> Option<usize> {
            let at = match self.fault {
                Fault::Wraps(real) => at % real,
                Fault::Drops(real) if at >= real => return None,
                _ => at,
            };
            usize::try_from(at).ok()
        }
    }

    impl Target for Memory {
        fn size(&self) -> u64 {
            self.bytes.len() as u64
        }

        fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
            self.writes += 1;
            self.order.push(at);
            let end = at + bytes.len() as u64;
            match self.fault {
                Fault::Vanishes(after) if self.writes > after => {
                    return Err(io::Error::from_raw_os_error(6));
                }
                Fault::Refuses(bad) if (at..end).contains(&bad) => {
                    return Err(io::Error::from_raw_os_error(5));
                }
                _ => {}
            }
            if matches!(
                self.fault,
                Fault::None | Fault::Vanishes(_) | Fault::Refuses(_)
            ) {
                let at = usize::try_from(at).unwrap();
                self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
                return Ok(());
            }
            for (at, &byte) in (at..).zip(bytes) {
                let flips = self.fault == Fault::Flips(at);
                if let Some(place) = self.place(at) {
                    self.bytes[place] = if flips { byte ^ 1 } else { byte };
                }
            }
            Ok(())
        }

        fn zero(&mut self, range: Range<u64>) -> io::Result<()> {
            let length = usize::try_from(range.end - range.start).unwrap();
            self.write_at(range.start, &vec![0; length])
        }

        fn settle(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn read_back(&mut self, at: u64, to: &mut [u8]) -> io::Result<()> {
            if matches!(
                self.fault,
                Fault::None | Fault::Vanishes(_) | Fault::Refuses(_)
            ) {
                return self.bytes[..].read_at(at, to);
            }
            for (at, byte) in (at..).zip(to) {
                *byte = self.place(at).map_or(0, |place| self.bytes[place]);
            }
            Ok(())
        }
    }
}
