//! Versions and their order (Debian Policy 5.6.12).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A version, `[epoch:]upstream[-revision]`, ordered as dpkg orders them.
///
/// ```
/// use imgbuild_debian::version::Version;
/// let v = |text: &str| text.parse::<Version>().unwrap();
/// assert!(v("1.0~rc1") < v("1.0"));
/// assert!(v("1.0") < v("1.0+b1"));
/// assert!(v("1.9") < v("1.10"));
/// assert!(v("2.0") < v("1:1.0"));
/// assert!(v("1.0-1") < v("1.0-1+deb13u1"));
/// assert!(v("3.5.16-4~bpo12+1") < v("3.5.16-4"));
/// // A missing epoch or revision counts as 0; leading zeros do not count.
/// assert_eq!(v("0:1.0-0"), v("1.00"));
/// assert_eq!(v("1.00").to_string(), "1.00");
/// ```
#[derive(Clone)]
pub struct Version {
    text: String,
    epoch: u32,
    /// Where the upstream version begins and ends in `text`.
    upstream: (usize, usize),
}

/// Why a text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a Debian version: {why}")]
pub struct VersionError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Version {
    /// The version as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The epoch; 0 where none is written.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The upstream part.
    #[must_use]
    pub fn upstream(&self) -> &str {
        &self.text[self.upstream.0..self.upstream.1]
    }

    /// The Debian revision; empty where none is written (which orders as `0`).
    #[must_use]
    pub fn revision(&self) -> &str {
        self.text.get(self.upstream.1 + 1..).unwrap_or_default()
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let bad = |why| VersionError {
            text: text.to_owned(),
            why,
        };
        let (epoch, start) = match text.split_once(':') {
            None => (0, 0),
            Some((epoch, _)) => {
                if epoch.is_empty() || !epoch.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(bad("the epoch before ':' must be a number"));
                }
                let number = epoch
                    .parse()
                    .map_err(|_| bad("the epoch is out of range"))?;
                (number, epoch.len() + 1)
            }
        };
        let end = text[start..].rfind('-').map_or(text.len(), |at| start + at);
        let version = Self {
            text: text.to_owned(),
            epoch,
            upstream: (start, end),
        };
        if version.upstream().is_empty() {
            return Err(bad("the upstream part is empty"));
        }
        if end + 1 == text.len() {
            return Err(bad("the revision after '-' is empty"));
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b".+~-:".contains(&byte);
        if !text[start..].bytes().all(known) {
            return Err(bad("only letters, digits and . + - : ~ may occur"));
        }
        Ok(version)
    }
}

/// Orders one part as dpkg does: runs of non-digits and of digits in turn.
fn compare(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        // Non-digits, byte by byte; the end of the run weighs between '~' and everything else.
        loop {
            let head = |bytes: &[u8]| bytes.first().copied().filter(|b| !b.is_ascii_digit());
            let (a, b) = (head(left), head(right));
            if a.is_none() && b.is_none() {
                break;
            }
            match weight(a).cmp(&weight(b)) {
                Ordering::Equal => (left, right) = (&left[1..], &right[1..]),
                other => return other,
            }
        }
        // Digits, as a number of any length.
        let number = |bytes: &mut &[u8]| {
            let len = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
            let (digits, rest) = bytes.split_at(len);
            let zeros = digits.iter().take_while(|&&b| b == b'0').count();
            *bytes = rest;
            (len - zeros, digits[zeros..].to_vec())
        };
        match number(&mut left).cmp(&number(&mut right)) {
            Ordering::Equal => {}
            other => return other,
        }
    }
    Ordering::Equal
}

fn weight(byte: Option<u8>) -> u16 {
    match byte {
        Some(b'~') => 0,
        None => 1,
        Some(byte) if byte.is_ascii_alphabetic() => u16::from(byte),
        Some(byte) => u16::from(byte) + 256,
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare(self.upstream(), other.upstream()))
            .then_with(|| compare(self.revision(), other.revision()))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    /// Equal in the order, which is not always equal as text.
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn parts() {
        let version = v("2:1.2-3-4~bpo1");
        assert_eq!(version.epoch(), 2);
        assert_eq!(version.upstream(), "1.2-3");
        assert_eq!(version.revision(), "4~bpo1");
        assert_eq!(v("1.2").revision(), "");
    }

    #[test]
    fn refuses() {
        for bad in [
            "",
            ":1",
            "a:1",
            "1:",
            "-1",
            "1-",
            "1 2",
            "1_2",
            "99999999999:1",
            "ü",
        ] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }

    /// dpkg itself as judge, on every pair of a list of difficult versions.
    #[test]
    fn dpkg_agrees() {
        let list = [
            "1",
            "1.0",
            "1.0-1",
            "1.0-0",
            "1.0-1.1",
            "1.0~",
            "1.0~~",
            "1.0~~a",
            "1.0a",
            "1.0+",
            "1.0.",
            "0:1.0",
            "1:0",
            "1.00",
            "10",
            "1.0-1~deb13u1",
        ];
        for (at, a) in list.iter().enumerate() {
            for b in &list[at..] {
                let op = match v(a).cmp(&v(b)) {
                    Ordering::Less => "lt",
                    Ordering::Equal => "eq",
                    Ordering::Greater => "gt",
                };
                let status = Command::new("dpkg")
                    .args(["--compare-versions", a, op, b])
                    .status()
                    .unwrap();
                assert!(status.success(), "{a} {op} {b}");
            }
        }
    }

    const VERSION: &str = "([0-2]:)?[0-9a.~+]{1,5}(-[0-9a.~+]{1,3})?";

    proptest! {
        #[test]
        fn the_order_is_total(a in VERSION, b in VERSION, c in VERSION) {
            let (a, b, c) = (v(&a), v(&b), v(&c));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(a.cmp(&a), Ordering::Equal);
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,20}") {
            if let Ok(version) = text.parse::<Version>() {
                prop_assert_eq!(version.to_string(), text);
            }
        }
    }
}
