use imgbuild_base::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a file is in a release: a name, or a directory and a name, joined by a slash.
///
/// Each part is 1 to 200 of `A-Z a-z 0-9 . _ + -`, the first neither a dot nor a minus. So a
/// path never leaves the release, is not hidden, and stands in sums, URLs and shells as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleasePath(String);

/// The text is no such path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be a file of a release: expected a name, or a directory and a name, of A-Z, \
     a-z, 0-9, '.', '_', '+' and '-', not beginning with '.' or '-'"
)]
pub struct ReleasePathError(pub String);

impl ReleasePath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path with `suffix` after it.
    ///
    /// # Errors
    /// [`ReleasePathError`] when that is no path.
    pub fn with_suffix(&self, suffix: &str) -> Result<Self, ReleasePathError> {
        format!("{}{suffix}", self.0).parse()
    }
}

fn is_part(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._+-".contains(&b);
    !text.is_empty()
        && text.len() <= 200
        && !text.starts_with(['.', '-'])
        && text.bytes().all(allowed)
}

impl FromStr for ReleasePath {
    type Err = ReleasePathError;

    fn from_str(text: &str) -> Result<Self, ReleasePathError> {
        let fine = match text.split_once('/') {
            Some((directory, name)) => is_part(directory) && is_part(name),
            None => is_part(text),
        };
        match fine {
            true => Ok(Self(text.to_owned())),
            false => Err(ReleasePathError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for ReleasePath {
    type Error = ReleasePathError;

    fn try_from(text: String) -> Result<Self, ReleasePathError> {
        text.parse()
    }
}

impl From<ReleasePath> for String {
    fn from(path: ReleasePath) -> Self {
        path.0
    }
}

impl fmt::Display for ReleasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A file of a release as another one describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Where it is.
    pub path: ReleasePath,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_path() {
        for fine in ["SHA256SUMS", "layers/00-base.squashfs", "a+b_c.img.zst"] {
            assert_eq!(fine.parse::<ReleasePath>().unwrap().as_str(), fine);
        }
        let long = "x".repeat(201);
        for bad in [
            "", "/a", "a/", "a/b/c", "../a", "a/..", ".a", "-a", "a b", "a\n", "\u{e4}", &long,
        ] {
            let error = ReleasePathError(bad.to_owned());
            assert_eq!(bad.parse::<ReleasePath>(), Err(error));
        }
    }
}
