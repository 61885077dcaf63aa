//! Marks at the far places of a medium: a card that has less room than it says loses them, or
//! finds them where something else was written.

use std::ops::Range;

/// Bytes in a mark: a block of every medium.
pub(crate) const MARK: u64 = 4096;
/// How many marks there are at most, so that a large disk does not take for ever.
const MOST: u64 = 2048;

const WORDS: &str = "imgbuild: this is the block at offset ";
/// Digits of an offset.
const DIGITS: usize = 20;

/// Where marks belong on a medium of `size` bytes whose image ends at `from` and has `content`
/// bytes to write: no further apart than the content is long, so that a medium which begins
/// again from its start gets one of them into the content, wherever it does; and the last block.
pub(crate) fn places(from: u64, size: u64, content: u64) -> Vec<u64> {
    let Some(last) = (size / MARK * MARK).checked_sub(MARK) else {
        return Vec::new();
    };
    let from = from.next_multiple_of(MARK);
    let step = content.max(size / MOST).max(MARK) / MARK * MARK;
    let mut places: Vec<u64> = std::iter::successors(Some(from), |at| at.checked_add(step))
        .take_while(|&at| at < last)
        .collect();
    if last >= from {
        places.push(last);
    }
    places
}

/// The mark for a place.
pub(crate) fn mark(at: u64) -> Vec<u8> {
    let words = format!("{WORDS}{at:0DIGITS$}\n");
    let bytes = words.bytes().cycle();
    bytes.take(usize::try_from(MARK).unwrap_or(0)).collect()
}

/// The place that a block was marked for, if it was marked.
pub(crate) fn place(block: &[u8]) -> Option<u64> {
    let text = block.get(..WORDS.len() + DIGITS)?;
    let digits = text.strip_prefix(WORDS.as_bytes())?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The block around a place, within a piece that begins at `start`.
pub(crate) fn block(start: u64, at: u64, length: usize) -> Range<usize> {
    let from = (at / MARK * MARK).max(start);
    let index = |at: u64| usize::try_from(at - start).unwrap_or(length).min(length);
    index(from)..index(at / MARK * MARK + MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_say_where_they_belong() {
        let mark = mark(1 << 35);
        assert_eq!(mark.len(), 4096);
        assert_eq!(place(&mark), Some(1 << 35));
        assert_eq!(place(&[0; 4096]), None);
        assert_eq!(place(b"imgbuild"), None);
    }

    #[test]
    fn no_gap_is_longer_than_the_content() {
        let places = places(60 << 20, 8 << 30, 50 << 20);
        assert_eq!(places.first(), Some(&(60 << 20)));
        assert_eq!(places.last(), Some(&((8 << 30) - 4096)));
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] <= 50 << 20));
        assert!(super::places(0, 4 << 40, 1 << 20).len() <= 2049);
        assert_eq!(super::places(8192, 8192, 1), [0_u64; 0]);
        assert_eq!(super::places(0, 100, 1), [0_u64; 0]);
    }
}
