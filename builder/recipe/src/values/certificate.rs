//! What certificates and their files are called.

use super::{ValueError, wrong};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A name in a certificate's subject: 1 to 64 printable ASCII characters (RFC 5280 A.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SubjectName(String);

impl SubjectName {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SubjectName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if printable && (1..=64).contains(&text.len()) && text.trim() == text {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "a name for a certificate: expected 1 to 64 printable ASCII characters",
            ))
        }
    }
}

/// The path of a certificate or key below their directory, in plain characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct FileName(String);

impl FileName {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for FileName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        let part =
            |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
        if text.split('/').all(part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "a file's name: expected letters, digits, '.', '_', '+', '-', and '/' between \
                 directories",
            ))
        }
    }
}

/// The path of a file of the user's, as the recipe writes it: from the recipe's directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct BesidePath(String);

impl BesidePath {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BesidePath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() || text.chars().any(char::is_control) {
            Err(wrong(text, "the path of a file"))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bad, good};
    use super::*;

    #[test]
    fn names() {
        assert!(good::<SubjectName>(&[
            "prometheus",
            "system:node:e1",
            "O'Neil & Co."
        ]));
        assert!(bad::<SubjectName>(&[
            "",
            " a",
            "a\nb",
            "Zürich",
            &"x".repeat(65)
        ]));
        assert!(good::<FileName>(&["ca.pem", "etcd/server.crt", "a_b-c+d"]));
        assert!(bad::<FileName>(&[
            "",
            "/ca.pem",
            "../ca.pem",
            "a//b",
            ".hidden",
            "a b"
        ]));
        assert!(good::<BesidePath>(&[
            "ca.crt",
            "../our ca/ca.crt",
            "/etc/ca.crt"
        ]));
        assert!(bad::<BesidePath>(&["", "a\0b"]));
    }
}
