//! The order in which a card is written, so that at no moment a half-written one looks whole.
//!
//! 1. The first MiB becomes zero: from here on nothing boots from the card.
//! 2. What is stale goes: the old table's copy at the end, an old `/var`.
//! 3. All but the first MiB is written, and marks beyond it up to the far end.
//! 4. Everything is read back from the medium and compared; the marks are taken away.
//! 5. The first MiB is written and read back.
//!
//! Every step is on the medium before the next begins.

use super::content::{Content, PIECE};
use super::far;
use super::layout::Layout;
use super::target::Target;
use imgbuild_base::event::Unit;
use imgbuild_base::{ByteSize, Events};
use std::io;

/// So much is under way at most: progress then says what the medium has, not what memory has.
const UNSETTLED: u64 = 32 << 20;

/// Why a card was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// It has less room than the image needs.
    #[error("it has {has}, but the image needs {needed}")]
    TooSmall {
        /// Its size.
        has: ByteSize,
        /// The image's.
        needed: ByteSize,
    },
    /// The image cannot be read.
    #[error("the image cannot be read")]
    Content(#[source] io::Error),
    /// A write failed.
    #[error("writing at offset {at} failed")]
    Write {
        /// Where, in bytes.
        at: u64,
        /// What the system says.
        source: io::Error,
    },
    /// What was written did not reach the medium.
    #[error("what was written up to offset {at} did not reach the medium")]
    Settle {
        /// Where, in bytes.
        at: u64,
        /// What the system says.
        source: io::Error,
    },
    /// Reading back failed.
    #[error("reading back at offset {at} failed")]
    Read {
        /// Where, in bytes.
        at: u64,
        /// What the system says.
        source: io::Error,
    },
    /// It holds something else than was written.
    #[error("at offset {at} it holds something else than was written there")]
    Differs {
        /// Where, in bytes.
        at: u64,
    },
    /// It has less room than it says: places far apart are one.
    #[error(
        "at offset {at} it holds what was written at offset {far}: it has less room than it says, \
         {has} at most"
    )]
    Wraps {
        /// Where it was found.
        at: u64,
        /// Where it was written.
        far: u64,
        /// What room there can be.
        has: ByteSize,
    },
    /// It has less room than it says: what is written far away is lost.
    #[error("at offset {at} it does not keep what was written: it has less room than it says")]
    Loses {
        /// Where, in bytes.
        at: u64,
    },
}

/// Writes a disk and proves that it is there. Returns how many bytes were written.
pub(crate) fn write(
    target: &mut dyn Target,
    content: &dyn Content,
    layout: &Layout,
    events: &Events,
) -> Result<u64, WriteError> {
    let needed = content.size();
    if target.size() < needed.get() {
        let has = ByteSize::bytes(target.size());
        return Err(WriteError::TooSmall { has, needed });
    }
    let mut run = Run {
        target,
        content,
        layout,
        buffer: Vec::new(),
    };
    run.clear()?;
    let written = run.body(events)?;
    let marks = run.mark()?;
    run.settle(needed.get())?;
    run.compare(events)?;
    run.unmark(&marks)?;
    run.head()?;
    Ok(written)
}

struct Run<'a> {
    target: &'a mut dyn Target,
    content: &'a dyn Content,
    layout: &'a Layout,
    /// What was read back last.
    buffer: Vec<u8>,
}

/// Shows all pieces behind the first MiB. What ends the walk early is the content's own error, or
/// the medium's.
fn pieces(
    content: &dyn Content,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let mut stopped = None;
    let walked = content.walk(&mut |at, bytes| {
        if at < PIECE {
            return Ok(());
        }
        each(at, bytes).map_err(|error| {
            stopped = Some(error);
            io::ErrorKind::Other.into()
        })
    });
    match stopped {
        Some(error) => Err(error),
        None => walked.map_err(WriteError::Content),
    }
}

impl Run<'_> {
    fn settle(&mut self, at: u64) -> Result<(), WriteError> {
        let settled = self.target.settle();
        settled.map_err(|source| WriteError::Settle { at, source })
    }

    fn zero(&mut self, range: std::ops::Range<u64>) -> Result<(), WriteError> {
        let at = range.start;
        let zeroed = self.target.zero(range);
        zeroed.map_err(|source| WriteError::Write { at, source })
    }

    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), WriteError> {
        let put = self.target.write_at(at, bytes);
        put.map_err(|source| WriteError::Write { at, source })
    }

    /// Steps 1 and 2.
    fn clear(&mut self) -> Result<(), WriteError> {
        self.zero(0..PIECE.min(self.target.size()))?;
        self.settle(PIECE)?;
        for range in &self.layout.stale {
            self.zero(range.clone())?;
        }
        Ok(())
    }

    fn body(&mut self, events: &Events) -> Result<u64, WriteError> {
        let task = events.start("writing", Some(self.content.total()), Unit::Bytes);
        let (mut written, mut unsettled) = (PIECE, 0);
        let Self {
            content, target, ..
        } = self;
        let mut each = |at: u64, bytes: &[u8]| {
            target
                .write_at(at, bytes)
                .map_err(|source| WriteError::Write { at, source })?;
            let length = bytes.len() as u64;
            written += length;
            unsettled += length;
            if unsettled >= UNSETTLED {
                unsettled = 0;
                target
                    .settle()
                    .map_err(|source| WriteError::Settle { at, source })?;
            }
            task.advance(length);
            Ok(())
        };
        pieces(*content, &mut each)?;
        Ok(written)
    }

    fn mark(&mut self) -> Result<Vec<u64>, WriteError> {
        let marks = self.layout.marks.clone();
        for &at in &marks {
            self.put(at, &far::mark(at))?;
        }
        Ok(marks)
    }

    fn unmark(&mut self, marks: &[u64]) -> Result<(), WriteError> {
        for &at in marks {
            self.zero(at..at + far::MARK)?;
        }
        self.settle(marks.last().copied().unwrap_or(0))
    }

    /// Step 4.
    fn compare(&mut self, events: &Events) -> Result<(), WriteError> {
        let total = self.content.total();
        let task = events.start("reading back", Some(total), Unit::Bytes);
        let Self {
            content,
            layout,
            target,
            buffer,
        } = self;
        let size = usize::try_from(PIECE).unwrap_or(0);
        same(*target, buffer, 0, &vec![0; size])?;
        pieces(*content, |at, bytes| {
            task.advance(bytes.len() as u64);
            same(*target, buffer, at, bytes)
        })?;
        for &at in &layout.marks {
            same(*target, buffer, at, &far::mark(at)).map_err(|error| match error {
                WriteError::Differs { .. } => WriteError::Loses { at },
                other => other,
            })?;
        }
        Ok(())
    }

    /// Step 5.
    fn head(&mut self) -> Result<(), WriteError> {
        let head = &self.layout.head.bytes[..];
        self.put(0, head)?;
        self.settle(PIECE)?;
        same(self.target, &mut self.buffer, 0, head)
    }
}

/// Reads back what must be `expected`.
fn same(
    target: &mut dyn Target,
    buffer: &mut Vec<u8>,
    start: u64,
    expected: &[u8],
) -> Result<(), WriteError> {
    buffer.resize(expected.len(), 0);
    target
        .read_back(start, buffer)
        .map_err(|source| WriteError::Read { at: start, source })?;
    // Where they differ takes far longer to find than whether they do.
    let place = || buffer.iter().zip(expected).position(|(a, b)| a != b);
    let Some(first) = (buffer != expected).then(place).flatten() else {
        return Ok(());
    };
    let at = start + first as u64;
    match far::place(&buffer[far::block(start, at, buffer.len())]) {
        Some(far) if far != at / far::MARK * far::MARK => Err(WriteError::Wraps {
            at,
            far,
            has: ByteSize::bytes(far.abs_diff(at / far::MARK * far::MARK)),
        }),
        _ => Err(WriteError::Differs { at }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::testing::{Fault, Memory};
    use super::*;
    use imgbuild_formats::disk::{DiskImage, Extent};
    use imgbuild_formats::mbr;
    use std::io::Read as _;

    const SIZE: ByteSize = ByteSize::mib(6);
    const CARD: usize = 40 << 20;

    fn disk() -> DiskImage {
        let part = mbr::Partition {
            active: true,
            kind: mbr::FAT32,
            first: 8192,
            sectors: 4096,
        };
        let table = mbr::Table {
            signature: 1,
            partitions: vec![part],
        };
        let mut extents = table.extents(SIZE).unwrap();
        extents.push(Extent::new(4 << 20, vec![0xF1; (1 << 20) + 700]));
        DiskImage::new(SIZE, extents).unwrap()
    }

    fn flash(fault: Fault) -> (Memory, Result<u64, WriteError>) {
        let mut card = Memory::used(CARD, fault);
        let disk = disk();
        let layout = Layout::new(&disk, CARD as u64).unwrap();
        let done = write(&mut card, &disk, &layout, &Events::none());
        (card, done)
    }

    fn boots(card: &Memory) -> bool {
        card.bytes[510..512] == [0x55, 0xAA]
    }

    #[test]
    fn the_card_becomes_the_disk_and_its_start_is_last() {
        let (card, done) = flash(Fault::None);
        assert_eq!(done.unwrap(), (1 << 20) + (1 << 20) + 4096);
        let mut whole = Vec::new();
        disk().reader().read_to_end(&mut whole).unwrap();
        assert_eq!(card.bytes[..1 << 20], whole[..1 << 20]);
        let content = (4 << 20)..(5 << 20) + 4096;
        assert_eq!(card.bytes[content.clone()], whole[content]);
        assert_eq!(card.order.first(), Some(&0));
        assert_eq!(card.order.last(), Some(&0));
        assert_eq!(card.order.iter().filter(|&&at| at == 0).count(), 2);
        // An old table's copy at the end, and an old /var behind the boot partition.
        assert!(card.bytes[CARD - (1 << 20)..].iter().all(|&byte| byte == 0));
        assert!(card.bytes[6 << 20..7 << 20].iter().all(|&byte| byte == 0));
        // Marks are taken away, and nothing else is touched.
        let marked = (7 << 20..CARD - (1 << 20)).filter(|&at| card.bytes[at] == 0);
        assert!(marked.count() < 40 * 4096);
        assert!(!card.bytes.windows(9).any(|bytes| bytes == b"imgbuild:"));
    }

    #[test]
    fn whatever_fails_leaves_nothing_that_boots() {
        let at = (4 << 20) + 100_000;
        let faults = [
            Fault::Wraps(9 << 20),
            Fault::Wraps((16 << 20) + 8192),
            Fault::Drops(20 << 20),
            Fault::Flips(at),
            Fault::Refuses(at),
            Fault::Vanishes(7),
        ];
        for fault in faults {
            let (card, done) = flash(fault);
            let error = done.unwrap_err();
            assert!(!boots(&card), "{fault:?}: {error}");
            match (fault, &error) {
                (Fault::Wraps(real), WriteError::Wraps { has, .. }) => {
                    assert_eq!(has.get() % real, 0, "{fault:?}: {error}");
                }
                (Fault::Drops(real), WriteError::Loses { at }) => {
                    assert!(*at >= real, "{error}");
                }
                (Fault::Flips(_), WriteError::Differs { at: found }) => assert_eq!(*found, at),
                (Fault::Refuses(_), WriteError::Write { at: found, .. }) => {
                    assert!((*found..*found + PIECE).contains(&at), "{error}");
                }
                (Fault::Vanishes(_), WriteError::Write { source, .. }) => {
                    assert_eq!(source.raw_os_error(), Some(6));
                }
                _ => panic!("{fault:?}: {error}"),
            }
        }
    }

    #[test]
    fn wherever_it_is_interrupted_it_does_not_boot() {
        for writes in 0.. {
            let (card, done) = flash(Fault::Vanishes(writes));
            if done.is_ok() {
                assert!(boots(&card) && writes > 20, "{writes}");
                return;
            }
            assert!(!boots(&card) || writes == 0, "{writes}");
        }
    }

    #[test]
    fn a_card_that_is_too_small_is_not_touched() {
        let mut card = Memory::used(5 << 20, Fault::None);
        let disk = disk();
        let layout = Layout::new(&disk, 5 << 20).unwrap();
        let error = write(&mut card, &disk, &layout, &Events::none()).unwrap_err();
        assert!(matches!(error, WriteError::TooSmall { .. }), "{error}");
        assert_eq!(card.order, [0_u64; 0]);
    }
}
