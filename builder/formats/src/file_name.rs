use std::fmt;
use std::str::FromStr;

/// The name of a file beside others: what an image calls the file it builds upon, or a member
/// of an archive.
///
/// 1 to 100 of `A-Z a-z 0-9 . _ + -`, the first a letter or a digit. So a name needs no
/// escaping in XML, a quoted string or a shell, fits the name field of a tar header, and
/// cannot be taken for an option, a path, or QEMU's `protocol:file`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

/// Why a text is not a [`FileName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// Nothing at all.
    #[error("a file's name cannot be empty")]
    Empty,
    /// More than a tar header holds.
    #[error("the file name {0:?} is {1} characters long: shorten it to at most 100")]
    TooLong(String, usize),
    /// A character that means something somewhere.
    #[error(
        "the file name {0:?} has {1:?} in it: expected A-Z, a-z, 0-9, '.', '_', '+' and '-', \
         a letter or digit first"
    )]
    Character(String, char),
}

impl FileName {
    const LONGEST: usize = 100;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This name with `suffix` after it.
    ///
    /// # Errors
    /// [`FileNameError`] when that is no name.
    pub fn with_suffix(&self, suffix: &str) -> Result<Self, FileNameError> {
        format!("{}{suffix}", self.0).parse()
    }
}

impl FromStr for FileName {
    type Err = FileNameError;

    fn from_str(text: &str) -> Result<Self, FileNameError> {
        let Some(first) = text.chars().next() else {
            return Err(FileNameError::Empty);
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-');
        let stray = text.chars().find(|&c| !allowed(c));
        if let Some(found) = stray.or((!first.is_ascii_alphanumeric()).then_some(first)) {
            return Err(FileNameError::Character(text.to_owned(), found));
        }
        if text.len() > Self::LONGEST {
            return Err(FileNameError::TooLong(text.to_owned(), text.len()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_name() {
        let name: FileName = "pi-3node.base_1+2.qcow2".parse().unwrap();
        assert_eq!(name.to_string(), "pi-3node.base_1+2.qcow2");
        assert_eq!(name.with_suffix(".mf").unwrap().as_str().len(), 26);
        assert_eq!("".parse::<FileName>(), Err(FileNameError::Empty));
        for (text, stray) in [
            ("nbd:x", ':'),
            ("a/b", '/'),
            ("a\"b", '"'),
            ("a&b", '&'),
            ("\u{e4}", '\u{e4}'),
            ("-x", '-'),
            (".x", '.'),
            ("a b", ' '),
        ] {
            let error = FileNameError::Character(text.to_owned(), stray);
            assert_eq!(text.parse::<FileName>(), Err(error));
        }
        let long = "x".repeat(100);
        let name: FileName = long.parse().unwrap();
        let error = FileNameError::TooLong(format!("{long}y"), 101);
        assert_eq!(name.with_suffix("y"), Err(error));
    }
}
