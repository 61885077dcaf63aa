use imgbuild_base::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What kind of step a result belongs to: "fetch", "squashfs". It becomes a directory's name,
/// so it is one to 32 lower-case letters, digits and hyphens, beginning with a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKind(String);

/// The text cannot name a kind of step, or is not a step's key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// Not a kind.
    #[error("{0:?} is not a kind of step: expected 1 to 32 of a-z, 0-9 and '-', first a letter")]
    Kind(String),
    /// Not `kind:digest`.
    #[error("{0:?} is not a step's key: expected a kind, ':' and a SHA-256")]
    Key(String),
}

impl StepKind {
    /// Checks the name.
    ///
    /// # Errors
    /// [`KindError::Kind`] when it is no such name.
    pub fn new(name: impl Into<String>) -> Result<Self, KindError> {
        let name = name.into();
        let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fine = (1..=32).contains(&name.len())
            && name.bytes().all(rest)
            && name.starts_with(|first: char| first.is_ascii_lowercase());
        if fine {
            Ok(Self(name))
        } else {
            Err(KindError::Kind(name))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Names a step of a plan: its kind, and the SHA-256 of its canonical encoding (made with
/// [`imgbuild_base::Hasher::field`]), which covers everything that can change its result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKey {
    kind: StepKind,
    digest: Digest,
}

impl StepKey {
    /// The key of a step of that kind whose canonical encoding has that digest.
    #[must_use]
    pub const fn new(kind: StepKind, digest: Digest) -> Self {
        Self { kind, digest }
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> &StepKind {
        &self.kind
    }

    /// The digest of the step's encoding; not of what it yields.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Display for StepKey {
    /// As `kind:digest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.digest)
    }
}

impl FromStr for StepKey {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        let bad = || KindError::Key(text.to_owned());
        let (kind, digest) = text.split_once(':').ok_or_else(bad)?;
        let digest = digest.parse().map_err(|_| bad())?;
        Ok(Self::new(StepKind::new(kind)?, digest))
    }
}

/// An object a step gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The object's SHA-256.
    pub digest: Digest,
    /// Its length in bytes.
    pub len: u64,
}

impl From<&crate::Object> for Output {
    fn from(object: &crate::Object) -> Self {
        Self {
            digest: object.digest(),
            len: object.len(),
        }
    }
}

/// What a step gave. No part of it may be secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepResult {
    /// What the step was, for people: "squashfs of base, arm64".
    pub what: String,
    /// What went into it, for `imgbuild why`: a name and a digest or short value each.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// The objects that came out, by name.
    #[serde(default)]
    pub outputs: BTreeMap<String, Output>,
    /// Short texts that came out, by name: a version, a count.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// What [`crate::Store::realise`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Realised {
    /// The result was at hand.
    Cached(StepResult),
    /// The step was run.
    Built(StepResult),
}

impl Realised {
    /// The result, however it came about.
    #[must_use]
    pub fn into_result(self) -> StepResult {
        match self {
            Self::Cached(result) | Self::Built(result) => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_plain_names() {
        assert!(StepKind::new("node-layer").is_ok());
        for bad in ["", "-a", "1a", "A", "a/b", "..", "a.b", &"a".repeat(33)] {
            assert_eq!(StepKind::new(bad), Err(KindError::Kind(bad.to_owned())));
        }
    }

    #[test]
    fn keys_read_back() {
        let key = StepKey::new(StepKind::new("fetch").unwrap(), Digest::of(b""));
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(
            "fetch:xyz".parse::<StepKey>(),
            Err(KindError::Key("fetch:xyz".to_owned()))
        );
    }
}
