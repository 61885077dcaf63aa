//! Debian's packages and where they come from.

use super::{ValueError, serialize_as_text, wrong};
use std::fmt;
use std::str::FromStr;

serialize_as_text!(PackageName, MirrorUrl);

/// The name of a Debian binary package (Debian Policy 5.6.7).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String);

impl PackageName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for PackageName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let starts_well = text.bytes().next().is_some_and(plain);
        if text.len() >= 2
            && starts_well
            && text
                .bytes()
                .all(|byte| plain(byte) || matches!(byte, b'+' | b'-' | b'.'))
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "a Debian package name: two or more of a-z, 0-9, '+', '-' and '.'",
            ))
        }
    }
}

/// The base address of a Debian mirror: http or https, no query, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MirrorUrl(String);

impl MirrorUrl {
    /// The address as text, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MirrorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for MirrorUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || {
            wrong(
                text,
                "a mirror's address: expected http:// or https://, a host and a path",
            )
        };
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
            .ok_or_else(bad)?;
        let visible = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"');
        if rest.is_empty() || rest.starts_with('/') || !rest.bytes().all(visible) {
            return Err(bad());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::testing::{bad, good};

    #[test]
    fn packages() {
        assert!(good::<PackageName>(&["htop", "libstdc++6", "0ad", "g++"]));
        assert!(bad::<PackageName>(&["", "a", "+a", "Vim", "a_b", "a/b"]));
    }

    #[test]
    fn mirrors_lose_their_trailing_slash() {
        let mirror: MirrorUrl = "https://debian.example.org/debian/".parse().unwrap();
        assert_eq!(mirror.as_str(), "https://debian.example.org/debian");
        assert!(bad::<MirrorUrl>(&[
            "",
            "http://",
            "http:///x",
            "ftp://a/b",
            "http://a/?q",
            "http://a b/"
        ]));
    }
}
