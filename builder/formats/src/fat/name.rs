//! Names: each file has an 8.3 name in upper case, and a long one where that differs.

use std::collections::{BTreeMap, BTreeSet};

/// UTF-16 units in one long-name entry.
pub(super) const UNITS: usize = 13;

/// How a name is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// The 8.3 name, blanks included, without the dot.
    pub(super) short: [u8; 11],
    /// The name as UTF-16; empty when the short one says it all.
    pub(super) long: Vec<u16>,
}

impl Stored {
    /// Directory entries it takes.
    pub(super) fn entries(&self) -> usize {
        1 + self.long.len().div_ceil(UNITS)
    }
}

/// What FAT has against a name.
pub(super) fn problem(name: &str) -> Option<&'static str> {
    let bad = |c: char| c < ' ' || c == '\x7f' || "\"*/:<>?\\|".contains(c);
    if name.chars().any(bad) {
        return Some("none of \" * / : < > ? \\ | and control characters may be in it");
    }
    if name.ends_with(['.', ' ']) || name.starts_with(' ') {
        return Some("it may not end in a dot, nor start or end with a space");
    }
    (name.encode_utf16().count() > 255).then_some("it has more than 255 UTF-16 units")
}

/// What names are compared by: FAT ignores case.
pub(super) fn folded(name: &str) -> String {
    name.to_uppercase()
}

/// Stores the names of one directory. Names that are 8.3 but for their case get themselves as
/// alias, first; the others `BASIS~N`, numbered in the order given.
pub(super) fn assign(names: &[&str]) -> Vec<Stored> {
    let mut taken = BTreeSet::new();
    let plain: Vec<Option<[u8; 11]>> = names
        .iter()
        .map(|name| plain(name).filter(|short| taken.insert(*short)))
        .collect();
    let mut next: BTreeMap<(Vec<u8>, Vec<u8>), u32> = BTreeMap::new();
    let mut numbered = |name: &str| {
        let (base, extension) = basis(name);
        let count = next.entry((base.clone(), extension.clone())).or_insert(0);
        loop {
            *count += 1;
            let tail = format!("~{count}");
            let keep = base.len().min(8 - tail.len().min(8));
            let stem = [&base[..keep], tail.as_bytes()].concat();
            let short = pack(&stem, &extension);
            if taken.insert(short) {
                return short;
            }
        }
    };
    names
        .iter()
        .zip(plain)
        .map(|(name, plain)| {
            let short = plain.unwrap_or_else(|| numbered(name));
            let same = plain.is_some() && !name.bytes().any(|byte| byte.is_ascii_lowercase());
            let long = match same {
                true => Vec::new(),
                false => name.encode_utf16().collect(),
            };
            Stored { short, long }
        })
        .collect()
}

fn short_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"!#$%&'()-@^_`{}~".contains(&byte)
}

fn pack(base: &[u8], extension: &[u8]) -> [u8; 11] {
    let mut short = [b' '; 11];
    for (to, from) in short[..8].iter_mut().zip(base) {
        *to = *from;
    }
    for (to, from) in short[8..].iter_mut().zip(extension) {
        *to = *from;
    }
    short
}

/// The 8.3 form of a name that loses nothing but its case.
fn plain(name: &str) -> Option<[u8; 11]> {
    let upper = name.to_ascii_uppercase();
    let (base, extension) = upper.split_once('.').unwrap_or((&upper, ""));
    let fits = (1..=8).contains(&base.len())
        && extension.len() <= 3
        && base.bytes().chain(extension.bytes()).all(short_byte)
        && (extension.is_empty() != name.contains('.'));
    fits.then(|| pack(base.as_bytes(), extension.as_bytes()))
}

/// Stem (up to 6) and extension (up to 3) a numbered alias is made from.
fn basis(name: &str) -> (Vec<u8>, Vec<u8>) {
    let clean = |part: &str, length| -> Vec<u8> {
        part.chars()
            .filter(|c| !matches!(c, ' ' | '.'))
            .map(|c| u8::try_from(c.to_ascii_uppercase()).unwrap_or(b'_'))
            .map(|byte| if short_byte(byte) { byte } else { b'_' })
            .take(length)
            .collect()
    };
    let inner = name.trim_start_matches('.');
    let (stem, extension) = inner.rsplit_once('.').unwrap_or((inner, ""));
    let mut base = clean(stem, 6);
    if base.is_empty() {
        base.push(b'_');
    }
    (base, clean(extension, 3))
}

/// What ties long-name entries to the short name they belong to.
pub(super) fn checksum(short: &[u8; 11]) -> u8 {
    short
        .iter()
        .fold(0_u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases(names: &[&str]) -> Vec<String> {
        let show = |stored: Stored| String::from_utf8(stored.short.to_vec()).unwrap();
        assign(names).into_iter().map(show).collect()
    }

    #[test]
    fn aliases_are_the_expected_ones() {
        let names = [
            "BOOTX64.EFI",
            "config.txt",
            "00-base-abc.squashfs",
            "00-base-def.squashfs",
            "bcm2711-rpi-4-b.dtb",
            "longfi~1.txt",
            "longfile.name.txt",
            ".hidden",
            "naïve file",
            "été",
            "a+b",
        ];
        let expected = [
            "BOOTX64 EFI",
            "CONFIG  TXT",
            "00-BAS~1SQU",
            "00-BAS~2SQU",
            "BCM271~1DTB",
            "LONGFI~1TXT",
            "LONGFI~2TXT",
            "HIDDEN~1   ",
            "NA_VEF~1   ",
            "_T_~1      ",
            "A_B~1      ",
        ];
        assert_eq!(aliases(&names), expected);
        assert!(assign(&names)[0].long.is_empty());
        assert_eq!(
            assign(&names)[1].long,
            "config.txt".encode_utf16().collect::<Vec<_>>()
        );
    }

    #[test]
    fn many_alike_stay_apart() {
        let names: Vec<String> = (0..1200).map(|n| format!("a long name {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let aliases = aliases(&names);
        assert_eq!(aliases.iter().collect::<BTreeSet<_>>().len(), 1200);
        assert_eq!(aliases[1199], "ALO~1200   ");
    }

    #[test]
    fn impossible_names() {
        for bad in ["a:b", "a.", "a ", " a", "a\nb", "a\\b", &"é".repeat(256)] {
            assert!(problem(bad).is_some(), "{bad:?}");
        }
        assert_eq!(problem("a b.c+d"), None);
    }

    #[test]
    fn known_checksum() {
        // Computed by hand for "A": 0x41, then ten blanks.
        let by_hand = (0..10).fold(0x41_u8, |sum, _| sum.rotate_right(1).wrapping_add(0x20));
        assert_eq!(checksum(b"A          "), by_hand);
    }
}
