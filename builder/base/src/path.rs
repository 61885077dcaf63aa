use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A path inside an image: relative to its root, components separated by single slashes,
/// none of them empty, `.` or `..`. The root itself is not a `TreePath`.
///
/// The order is by component, so that everything below a directory follows it at once and
/// siblings stand in the order of their bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TreePath(String);

/// Why a text is not a path inside an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The root, or nothing.
    #[error("a path inside an image cannot be empty or the root itself")]
    Empty,
    /// A `..` component would leave the tree.
    #[error("{0:?} has a '..' in it: a path inside an image cannot lead out of it")]
    Parent(String),
    /// A NUL byte, or a component longer than Linux allows (255 bytes).
    #[error("{0:?} has a component that no Linux file system can hold")]
    Component(String),
}

impl TreePath {
    /// Reads a path, taking a leading `/` or `./`, doubled or trailing slashes and `.`
    /// components as what they mean.
    ///
    /// # Errors
    /// [`PathError`] when nothing is left, `..` occurs, or a component cannot exist.
    pub fn new(text: &str) -> Result<Self, PathError> {
        let mut path = String::with_capacity(text.len());
        for part in text.split('/').filter(|part| !matches!(*part, "" | ".")) {
            if part == ".." {
                return Err(PathError::Parent(text.to_owned()));
            }
            if part.len() > 255 || part.contains('\0') {
                return Err(PathError::Component(text.to_owned()));
            }
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(part);
        }
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        Ok(Self(path))
    }

    /// The path without a leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path with a leading slash, as the running system sees it.
    #[must_use]
    pub fn absolute(&self) -> String {
        format!("/{}", self.0)
    }

    /// The last component.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The directory that holds it; `None` for an entry of the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(dir, _)| Self(dir.to_owned()))
    }

    /// Every directory above it, outermost first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        self.0
            .match_indices('/')
            .map(|(at, _)| Self(self.0[..at].to_owned()))
    }

    /// The path `below` this directory.
    ///
    /// # Errors
    /// As [`TreePath::new`].
    pub fn join(&self, below: &str) -> Result<Self, PathError> {
        Self::new(&format!("{}/{below}", self.0))
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether it is `dir` or lies below it.
    #[must_use]
    pub fn is_within(&self, dir: &str) -> bool {
        self.0
            .strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |byte: u8| if byte == b'/' { 0 } else { byte };
        self.0.bytes().map(key).cmp(other.0.bytes().map(key))
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for TreePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises() {
        for text in ["/usr/lib", "./usr/lib/", "usr//lib", "usr/./lib"] {
            assert_eq!(TreePath::new(text).unwrap().as_str(), "usr/lib");
        }
    }

    #[test]
    fn refuses() {
        assert_eq!(TreePath::new("./"), Err(PathError::Empty));
        assert_eq!(
            TreePath::new("a/../b"),
            Err(PathError::Parent("a/../b".into()))
        );
        let long = "x".repeat(256);
        assert_eq!(TreePath::new(&long), Err(PathError::Component(long)));
    }

    #[test]
    fn a_directory_is_followed_by_what_it_holds() {
        let mut paths: Vec<TreePath> = ["a-b", "a/c", "a", "a/b/d", "a/b"]
            .iter()
            .map(|text| TreePath::new(text).unwrap())
            .collect();
        paths.sort();
        let texts: Vec<&str> = paths.iter().map(TreePath::as_str).collect();
        assert_eq!(texts, ["a", "a/b", "a/b/d", "a/c", "a-b"]);
    }

    #[test]
    fn relations() {
        let path = TreePath::new("usr/lib/x").unwrap();
        assert_eq!(path.name(), "x");
        assert_eq!(path.parent().unwrap().as_str(), "usr/lib");
        let above: Vec<String> = path.ancestors().map(|p| p.to_string()).collect();
        assert_eq!(above, ["usr", "usr/lib"]);
        assert!(path.is_within("usr/lib") && !path.is_within("usr/li"));
    }
}
