//! Files of a node: where from, whose, with which permissions.

use super::{ValueError, serialize_as_text, wrong};
use imgbuild_base::TreePath;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

serialize_as_text!(FileMode, AccountName, SourcePath);

/// Text for a file: tabs and line breaks are all it has of control characters. What has more
/// is not text, and is a file beside the recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileText(String);

impl FileText {
    /// The text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl FromStr for FileText {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let odd = |c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r');
        if text.contains(odd) {
            Err(wrong(
                text,
                "text: expected no control characters but tabs and line breaks; other content is \
                 a file beside the recipe, named by `source`",
            ))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// Permission bits of a file, set-user-ID, set-group-ID and sticky bit included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileMode(u16);

impl FileMode {
    /// The bits: at most 0o7777.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether everybody on the node may read the file.
    #[must_use]
    pub const fn is_public(self) -> bool {
        self.0 & 0o004 != 0
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl FromStr for FileMode {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let bits = u16::from_str_radix(text, 8)
            .ok()
            .filter(|&bits| octal && (3..=4).contains(&text.len()) && bits <= 0o7777);
        bits.map(Self).ok_or_else(|| {
            wrong(
                text,
                "a file's mode: three or four octal digits, such as 0644",
            )
        })
    }
}

/// The name of a user or group: what Debian's adduser takes for a system account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(String);

impl AccountName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for AccountName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let starts_well = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if starts_well && text.len() <= 32 && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "the name of a user or group: up to 32 letters, digits, '_', '-' and '.', \
                 beginning with a letter",
            ))
        }
    }
}

/// Where a file is on the machine that builds: a path from the recipe's own directory
/// downwards, so that recipe and files can be moved and shared together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePath(TreePath);

impl SourcePath {
    /// The file's place, seen from where `dir` is.
    #[must_use]
    pub fn below(&self, dir: &Path) -> PathBuf {
        dir.join(self.0.as_str())
    }
}

impl fmt::Display for SourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.as_str())
    }
}

impl FromStr for SourcePath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match TreePath::new(text) {
            Ok(path) if !text.starts_with('/') && !text.contains(char::is_control) => {
                Ok(Self(path))
            }
            _ => Err(wrong(
                text,
                "a file beside the recipe: expected a path from the recipe's directory \
                 downwards, without '..'",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::testing::{bad, good};

    #[test]
    fn modes_are_octal() {
        let mode: FileMode = "0640".parse().unwrap();
        assert_eq!((mode.bits(), mode.to_string().as_str()), (0o640, "0640"));
        assert!(!mode.is_public());
        assert_eq!("4755".parse::<FileMode>().unwrap().bits(), 0o4755);
        assert!(bad::<FileMode>(&[
            "",
            "64",
            "0o644",
            "888",
            "17777",
            "+644",
            "rw-r--r--"
        ]));
    }

    #[test]
    fn texts_have_no_odd_characters() {
        assert!(good::<FileText>(&["", "a\tb\r\n", "ä"]));
        assert!(bad::<FileText>(&["\u{7}", "a\0"]));
    }

    #[test]
    fn accounts() {
        assert!(good::<AccountName>(&[
            "root",
            "www-data",
            "_apt",
            "Debian-exim"
        ]));
        assert!(bad::<AccountName>(&[
            "",
            "0root",
            "a b",
            "a:b",
            &"x".repeat(33)
        ]));
    }

    #[test]
    fn sources_lie_beside_the_recipe() {
        let source: SourcePath = "./files/motd".parse().unwrap();
        assert_eq!(
            source.below(Path::new("recipes")),
            Path::new("recipes/files/motd")
        );
        assert!(bad::<SourcePath>(&[
            "",
            ".",
            "/etc/motd",
            "../motd",
            "a\nb"
        ]));
    }
}
