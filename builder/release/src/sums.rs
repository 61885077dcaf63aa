use crate::file::{ReleasePath, ReleasePathError};
use imgbuild_base::Digest;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The digest of every file of a release: the text of `SHA256SUMS`, as sha256sum (GNU coreutils)
/// writes and checks it, in the order of the paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<ReleasePath, Digest>);

/// Why a text is no list of sums.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SumsError {
    /// Not a digest, two spaces and a path.
    #[error("SHA256SUMS, line {line}: {text:?} is not a SHA-256, two spaces and a path")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// The path is none.
    #[error("SHA256SUMS, line {line}")]
    Path {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        #[source]
        source: ReleasePathError,
    },
    /// One path twice.
    #[error("SHA256SUMS, line {line}: {path} is listed a second time")]
    Twice {
        /// Counted from 1.
        line: usize,
        /// Which.
        path: ReleasePath,
    },
}

impl Sums {
    /// The digest of a file.
    #[must_use]
    pub fn get(&self, path: &ReleasePath) -> Option<Digest> {
        self.0.get(path).copied()
    }

    /// Every file with its digest, in the order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = (&ReleasePath, Digest)> {
        self.0.iter().map(|(path, digest)| (path, *digest))
    }
}

impl FromIterator<(ReleasePath, Digest)> for Sums {
    fn from_iter<I: IntoIterator<Item = (ReleasePath, Digest)>>(files: I) -> Self {
        Self(files.into_iter().collect())
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter()
            .try_for_each(|(path, digest)| writeln!(f, "{digest}  {path}"))
    }
}

impl FromStr for Sums {
    type Err = SumsError;

    fn from_str(text: &str) -> Result<Self, SumsError> {
        let mut files = BTreeMap::new();
        for (at, text) in text.lines().enumerate() {
            let line = at + 1;
            let words = text.split_once("  ");
            let words = words.and_then(|(digest, path)| Some((digest.parse().ok()?, path)));
            let Some((digest, path)) = words else {
                let text = text.to_owned();
                return Err(SumsError::Line { line, text });
            };
            let path: ReleasePath = path
                .parse()
                .map_err(|source| SumsError::Path { line, source })?;
            if files.insert(path.clone(), digest).is_some() {
                return Err(SumsError::Twice { line, path });
            }
        }
        Ok(Self(files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes() {
        let one = Digest::of(b"1");
        let text = format!("{one}  a\n{one}  layers/b\n");
        let sums: Sums = text.parse().unwrap();
        assert_eq!(sums.to_string(), text);
        assert_eq!(sums.get(&"layers/b".parse().unwrap()), Some(one));
    }

    #[test]
    fn refuses_bad_lines() {
        let one = Digest::of(b"1");
        let parse = |text: String| text.parse::<Sums>();
        let line = parse(format!("{one} a"));
        assert!(matches!(line, Err(SumsError::Line { line: 1, .. })));
        let path = parse(format!("{one}  a\n{one}  ../a"));
        assert!(matches!(path, Err(SumsError::Path { line: 2, .. })));
        let twice = parse(format!("{one}  a\n{one}  a"));
        assert!(matches!(twice, Err(SumsError::Twice { line: 2, .. })));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-f0-9]{62,66} {1,3}[a-c./ \n-]{0,12}") {
            if let Ok(sums) = text.parse::<Sums>() {
                prop_assert_eq!(sums.to_string().parse::<Sums>(), Ok(sums));
            }
        }
    }
}
