//! kmod's binary index: a trie from keys to values, read by libkmod through `mmap`.
//!
//! Layout (format 2.1 of kmod), all numbers 32 bits, big endian:
//!
//! | what | content |
//! |---|---|
//! | header | magic `B007F457`, version `00020001`, reference to the root node |
//! | reference | offset of a node in the low 28 bits; the high bits say which parts it has |
//! | node, 1st part (bit 31) | the bytes all its keys continue with, ended by NUL |
//! | node, 2nd part (bit 29) | first and last next byte (8 bits each), then a reference for each byte in between, 0 where there is none |
//! | node, 3rd part (bit 30) | number of values; each is its priority and the text, ended by NUL |
//!
//! Children are written before the node that refers to them.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xB007_F457;
const VERSION: u32 = 0x0002_0001;
const PREFIX: u32 = 0x8000_0000;
const VALUES: u32 = 0x4000_0000;
const CHILDREN: u32 = 0x2000_0000;
const OFFSET: u32 = 0x0FFF_FFFF;

/// Values by key; each value has a priority, lower ones are found first.
pub type Entries = BTreeMap<String, Vec<(u32, String)>>;

/// The index would not fit in the 256 MiB that references can reach, or a text has a NUL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Too large.
    #[error("a module index of more than 256 MiB cannot be written")]
    TooLarge,
    /// Texts are ended by a NUL and so cannot hold one.
    #[error("{0:?} cannot stand in a module index: it is not ASCII without NUL")]
    Text(String),
}

/// Writes the index.
///
/// # Errors
/// [`IndexError`].
pub fn write(entries: &Entries) -> Result<Vec<u8>, IndexError> {
    let mut out = Vec::new();
    out.extend(MAGIC.to_be_bytes());
    out.extend(VERSION.to_be_bytes());
    out.extend([0; 4]);
    let mut items = Vec::with_capacity(entries.len());
    for (key, values) in entries {
        for text in std::iter::once(key).chain(values.iter().map(|(_, text)| text)) {
            if !text.bytes().all(|byte| (1..=0x7F).contains(&byte)) {
                return Err(IndexError::Text(text.clone()));
            }
        }
        let mut values: Vec<&(u32, String)> = values.iter().collect();
        values.sort();
        items.push((key.as_bytes(), values));
    }
    let root = node(&mut out, &items, 0)?;
    out[8..12].copy_from_slice(&root.to_be_bytes());
    Ok(out)
}

type Item<'a> = (&'a [u8], Vec<&'a (u32, String)>);

/// Writes the node for `items`, which agree in their first `depth` bytes, and returns the
/// reference to it.
fn node(out: &mut Vec<u8>, items: &[Item<'_>], depth: usize) -> Result<u32, IndexError> {
    // Sorted: what first and last share, all share.
    let shared = match items {
        [] => depth,
        [first, .., last] => {
            let pairs = first.0[depth..].iter().zip(&last.0[depth..]);
            depth + pairs.take_while(|(a, b)| a == b).count()
        }
        [only] => only.0.len(),
    };
    let prefix = items.first().map_or(&[][..], |item| &item.0[depth..shared]);
    let (values, below) = match items {
        [first, rest @ ..] if first.0.len() == shared => (first.1.as_slice(), rest),
        _ => (&[][..], items),
    };

    let mut children = Vec::new();
    for group in below.chunk_by(|a, b| a.0[shared] == b.0[shared]) {
        children.push((group[0].0[shared], node(out, group, shared + 1)?));
    }

    let offset = u32::try_from(out.len()).map_err(|_| IndexError::TooLarge)?;
    if offset > OFFSET {
        return Err(IndexError::TooLarge);
    }
    let mut flags = 0;
    if !prefix.is_empty() {
        flags |= PREFIX;
        out.extend(prefix);
        out.push(0);
    }
    if let [(first, _), ..] = children[..] {
        flags |= CHILDREN;
        let last = children.last().map_or(first, |(byte, _)| *byte);
        out.extend([first, last]);
        let mut children = children.into_iter().peekable();
        for byte in first..=last {
            let child = children.next_if(|(found, _)| *found == byte);
            out.extend(child.map_or(0, |(_, reference)| reference).to_be_bytes());
        }
    }
    if !values.is_empty() {
        flags |= VALUES;
        let count = u32::try_from(values.len()).map_err(|_| IndexError::TooLarge)?;
        out.extend(count.to_be_bytes());
        for (priority, text) in values {
            out.extend(priority.to_be_bytes());
            out.extend(text.as_bytes());
            out.push(0);
        }
    }
    Ok(offset | flags)
}

/// Reads an index; `None` when it is malformed.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Entries> {
    let number = |at: usize| {
        Some(u32::from_be_bytes(
            bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
        ))
    };
    if number(0)? != MAGIC || number(4)? >> 16 != VERSION >> 16 {
        return None;
    }
    let mut entries = Entries::new();
    // A node is at most as deep as the file is long: references that run in a circle end here.
    let mut budget = bytes.len();
    let mut open = vec![(number(8)?, Vec::new())];
    while let Some((reference, mut key)) = open.pop() {
        budget = budget.checked_sub(1)?;
        let mut at = usize::try_from(reference & OFFSET).ok()?;
        let text = |at: &mut usize| {
            let rest = bytes.get(*at..)?;
            let len = rest.iter().position(|&byte| byte == 0)?;
            *at += len + 1;
            Some(rest[..len].to_vec())
        };
        if reference & PREFIX != 0 {
            key.extend(text(&mut at)?);
        }
        if reference & CHILDREN != 0 {
            let (first, last) = (*bytes.get(at)?, *bytes.get(at + 1)?);
            at += 2;
            for byte in first..=last {
                let child = number(at)?;
                at += 4;
                if child != 0 {
                    let mut key = key.clone();
                    key.push(byte);
                    open.push((child, key));
                }
            }
        }
        if reference & VALUES != 0 {
            let count = number(at)?;
            at += 4;
            let mut values = Vec::new();
            for _ in 0..count {
                let priority = number(at)?;
                at += 4;
                values.push((priority, String::from_utf8(text(&mut at)?).ok()?));
            }
            entries.insert(String::from_utf8(key).ok()?, values);
        }
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_layout_is_as_described() {
        let value = |text: &str| vec![(7, text.to_owned())];
        let entries = Entries::from([("ab".into(), value("x")), ("ac".into(), value("y"))]);
        let bytes = write(&entries).unwrap();
        let mut expected = Vec::new();
        expected.extend([0xB0, 0x07, 0xF4, 0x57, 0, 2, 0, 1]);
        expected.extend((PREFIX | CHILDREN | 32).to_be_bytes());
        for text in *b"xy" {
            expected.extend([0, 0, 0, 1, 0, 0, 0, 7, text, 0]);
        }
        expected.extend([b'a', 0, b'b', b'c']);
        expected.extend((VALUES | 12).to_be_bytes());
        expected.extend((VALUES | 22).to_be_bytes());
        assert_eq!(bytes, expected);
    }

    #[test]
    fn refuses_what_cannot_be_a_text() {
        let entries = Entries::from([("a\0".into(), Vec::new())]);
        assert_eq!(write(&entries), Err(IndexError::Text("a\0".into())));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            entries in proptest::collection::btree_map(
                "[a-d:*]{0,6}",
                proptest::collection::vec((0u32..9, "[ -~]{0,5}"), 1..3),
                0..40,
            )
        ) {
            let mut sorted = entries.clone();
            for values in sorted.values_mut() {
                values.sort();
            }
            prop_assert_eq!(read(&write(&entries).unwrap()), Some(sorted));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut file = vec![0xB0, 0x07, 0xF4, 0x57, 0, 2, 0, 1];
            file.extend(bytes);
            let _ = read(&file);
        }
    }
}
