use crate::dirhash::{H1, H1Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Which file of a module a line of `go.sum` is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModuleHash {
    /// The module's path.
    pub path: String,
    /// Its version, `v1.2.3`.
    pub version: String,
    /// Only its `go.mod`, not the whole archive.
    pub go_mod: bool,
}

/// A `go.sum` (Go modules reference, "go.sum files"): one hash per module version and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoSum(BTreeMap<ModuleHash, H1>);

/// Why a text is no `go.sum`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GoSumError {
    /// Not three words.
    #[error("go.sum, line {line}: {text:?} is not a module, a version and a hash")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// The third word is no hash.
    #[error("go.sum, line {line}")]
    Hash {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: H1Error,
    },
    /// Two lines disagree.
    #[error("go.sum, line {line}: a second, different hash of {module}")]
    Conflict {
        /// Counted from 1.
        line: usize,
        /// The module and version.
        module: ModuleHash,
    },
}

impl GoSum {
    /// The hash of one file.
    #[must_use]
    pub fn get(&self, module: &ModuleHash) -> Option<H1> {
        self.0.get(module).copied()
    }

    /// Every line, in order of path, version, archive before `go.mod`.
    pub fn iter(&self) -> impl Iterator<Item = (&ModuleHash, H1)> {
        self.0.iter().map(|(module, hash)| (module, *hash))
    }

    /// How many lines it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps the lines for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&ModuleHash) -> bool) {
        self.0.retain(|module, _| keep(module));
    }
}

impl fmt::Display for ModuleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.go_mod { "/go.mod" } else { "" };
        write!(f, "{} {}{suffix}", self.path, self.version)
    }
}

impl fmt::Display for GoSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(module, hash)| writeln!(f, "{module} {hash}"))
    }
}

impl FromStr for GoSum {
    type Err = GoSumError;

    fn from_str(text: &str) -> Result<Self, GoSumError> {
        let mut lines = BTreeMap::new();
        for (at, text) in text.lines().enumerate() {
            let line = at + 1;
            let mut words = text.split_whitespace();
            let (path, version, hash) = match (words.next(), words.next(), words.next()) {
                (None, ..) => continue,
                (Some(path), Some(version), Some(hash)) if words.next().is_none() => {
                    (path, version, hash)
                }
                _ => {
                    let text = text.to_owned();
                    return Err(GoSumError::Line { line, text });
                }
            };
            let short = version.strip_suffix("/go.mod");
            let module = ModuleHash {
                path: path.to_owned(),
                version: short.unwrap_or(version).to_owned(),
                go_mod: short.is_some(),
            };
            let hash: H1 = hash
                .parse()
                .map_err(|source| GoSumError::Hash { line, source })?;
            if *lines.entry(module.clone()).or_insert(hash) != hash {
                return Err(GoSumError::Conflict { line, module });
            }
        }
        Ok(Self(lines))
    }
}

impl Serialize for GoSum {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoSum {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ZERO: &str = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const ONE: &str = "h1:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    #[test]
    fn reads_and_writes() {
        let text = format!("a.b/c v1.0.0 {ZERO}\na.b/c v1.0.0/go.mod {ONE}\n");
        let sum: GoSum = text.parse().unwrap();
        assert_eq!((sum.len(), sum.to_string()), (2, text));
        let module = ModuleHash {
            path: "a.b/c".to_owned(),
            version: "v1.0.0".to_owned(),
            go_mod: true,
        };
        assert_eq!(sum.get(&module), Some(ONE.parse().unwrap()));
    }

    #[test]
    fn refuses_bad_lines() {
        let parse = |text: &str| text.parse::<GoSum>();
        assert!(matches!(
            parse("a v1"),
            Err(GoSumError::Line { line: 1, .. })
        ));
        assert!(matches!(
            parse("\na v1 h1:x"),
            Err(GoSumError::Hash { line: 2, .. })
        ));
        let text = format!("a v1 {ZERO}\na v1 {ONE}");
        assert!(matches!(
            parse(&text),
            Err(GoSumError::Conflict { line: 2, .. })
        ));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z/ .\n=:1]{0,80}") {
            if let Ok(sum) = text.parse::<GoSum>() {
                prop_assert_eq!(sum.to_string().parse::<GoSum>(), Ok(sum));
            }
        }
    }
}
