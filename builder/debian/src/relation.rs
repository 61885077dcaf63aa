//! Relations between packages: the grammar of `Depends` and its kin (Debian Policy 7.1).
//!
//! A field is a comma-separated list of [`Dependency`]s, each a choice between [`Relation`]s
//! separated by `|`. Fields are kept as they stand in an index and parsed when asked for.

use crate::version::{Version, VersionError};
use imgbuild_base::Arch;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The name of a package: at least two of `a-z 0-9 + - .`, beginning with a letter or digit
/// (Debian Policy 5.6.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String);

impl PackageName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PackageName {
    type Err = RelationError;

    fn from_str(text: &str) -> Result<Self, RelationError> {
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let fine = bytes.len() >= 2
            && plain(&bytes[0])
            && bytes
                .iter()
                .all(|byte| plain(byte) || b"+-.".contains(byte));
        if fine {
            return Ok(Self(text.to_owned()));
        }
        Err(RelationError::Name(text.to_owned()))
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for PackageName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PackageName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text is not a relation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelationError {
    /// Not the name of a package.
    #[error("{0:?} is not the name of a package: expected two or more of a-z 0-9 + - .")]
    Name(String),
    /// The version in parentheses is malformed.
    #[error("in the relation {relation:?}: {source}")]
    Version {
        /// The relation.
        relation: String,
        /// What is wrong with the version.
        source: VersionError,
    },
    /// Anything else.
    #[error("the relation {relation:?} is malformed: {why}")]
    Form {
        /// The relation.
        relation: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// How a version must compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<<`
    Earlier,
    /// `<=`
    AtMost,
    /// `=`
    Exactly,
    /// `>=`
    AtLeast,
    /// `>>`
    Later,
}

impl Comparison {
    /// Whether `version` compares so with `bound`.
    #[must_use]
    pub fn holds(self, version: &Version, bound: &Version) -> bool {
        match self {
            Self::Earlier => version < bound,
            Self::AtMost => version <= bound,
            Self::Exactly => version == bound,
            Self::AtLeast => version >= bound,
            Self::Later => version > bound,
        }
    }

    const fn symbol(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::AtMost => "<=",
            Self::Exactly => "=",
            Self::AtLeast => ">=",
            Self::Later => ">>",
        }
    }
}

/// One package, perhaps of certain versions or architectures.
///
/// ```
/// use imgbuild_debian::relation::Relation;
/// let relation: Relation = "perl:any (>= 5.36) [amd64 arm64]".parse().unwrap();
/// assert_eq!(relation.name.as_str(), "perl");
/// assert_eq!(relation.to_string(), "perl:any (>= 5.36) [amd64 arm64]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The package, which may be virtual.
    pub name: PackageName,
    /// The architecture after the colon, as in `perl:any`.
    pub qualifier: Option<String>,
    /// Which versions will do.
    pub version: Option<(Comparison, Version)>,
    /// On which architectures it applies: names, or all of them negated with `!`; empty: all.
    pub architectures: Vec<String>,
}

impl Relation {
    /// Whether it applies when packages for `arch` are chosen.
    #[must_use]
    pub fn applies_to(&self, arch: Arch) -> bool {
        let name = arch.debian();
        if self.architectures.is_empty() {
            return true;
        }
        let negated = self.architectures[0].starts_with('!');
        let listed = self.architectures.iter().any(|listed| {
            let listed = listed.trim_start_matches('!');
            listed == name || matches!(listed, "any" | "linux-any")
        });
        listed != negated
    }

    /// Whether a package of this version satisfies it; without a version only a relation that
    /// names none is satisfied (as by an unversioned `Provides`).
    #[must_use]
    pub fn accepts(&self, version: Option<&Version>) -> bool {
        match (&self.version, version) {
            (None, _) => true,
            (Some((comparison, bound)), Some(version)) => comparison.holds(version, bound),
            (Some(_), None) => false,
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((comparison, version)) = &self.version {
            write!(f, " ({} {version})", comparison.symbol())?;
        }
        if !self.architectures.is_empty() {
            write!(f, " [{}]", self.architectures.join(" "))?;
        }
        Ok(())
    }
}

impl FromStr for Relation {
    type Err = RelationError;

    fn from_str(text: &str) -> Result<Self, RelationError> {
        let text = text.trim();
        let bad = |why| RelationError::Form {
            relation: text.to_owned(),
            why,
        };
        let end = text
            .find(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '<'))
            .unwrap_or(text.len());
        let (head, mut rest) = text.split_at(end);
        let (name, qualifier) = match head.split_once(':') {
            None => (head, None),
            Some((_, "")) => return Err(bad("nothing follows the colon")),
            Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
        };
        let name = name.parse()?;
        rest = rest.trim_start();
        let mut version = None;
        if let Some(after) = rest.strip_prefix('(') {
            let (inner, after) = after
                .split_once(')')
                .ok_or_else(|| bad("the parenthesis is not closed"))?;
            version = Some(constraint(inner.trim(), text)?);
            rest = after.trim_start();
        }
        let mut architectures = Vec::new();
        if let Some(after) = rest.strip_prefix('[') {
            let (inner, after) = after
                .split_once(']')
                .ok_or_else(|| bad("the bracket is not closed"))?;
            architectures = inner.split_whitespace().map(str::to_owned).collect();
            let negated = architectures.iter().filter(|a| a.starts_with('!')).count();
            if negated != 0 && negated != architectures.len() {
                return Err(bad("either all architectures or none are negated"));
            }
            rest = after.trim_start();
        }
        if !rest.is_empty() {
            return Err(bad("something follows its end"));
        }
        Ok(Self {
            name,
            qualifier,
            version,
            architectures,
        })
    }
}

/// What stands in the parentheses.
fn constraint(inner: &str, relation: &str) -> Result<(Comparison, Version), RelationError> {
    let symbols = [
        ("<<", Comparison::Earlier),
        ("<=", Comparison::AtMost),
        (">>", Comparison::Later),
        (">=", Comparison::AtLeast),
        ("=", Comparison::Exactly),
    ];
    let (comparison, version) = symbols
        .iter()
        .find_map(|(symbol, comparison)| Some((*comparison, inner.strip_prefix(symbol)?)))
        .ok_or_else(|| RelationError::Form {
            relation: relation.to_owned(),
            why: "expected <<, <=, =, >= or >> after the parenthesis",
        })?;
    let version = version
        .trim()
        .parse()
        .map_err(|source| RelationError::Version {
            relation: relation.to_owned(),
            source,
        })?;
    Ok((comparison, version))
}

/// A choice between relations, the preferred one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency(Vec<Relation>);

impl Dependency {
    /// The alternatives; at least one.
    #[must_use]
    pub fn alternatives(&self) -> &[Relation] {
        &self.0
    }
}

impl From<Relation> for Dependency {
    fn from(relation: Relation) -> Self {
        Self(vec![relation])
    }
}

impl FromStr for Dependency {
    type Err = RelationError;

    fn from_str(text: &str) -> Result<Self, RelationError> {
        text.split('|')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, relation) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { " | " };
            write!(f, "{separator}{relation}")?;
        }
        Ok(())
    }
}

/// Reads a whole field, as in `Depends: a, b (>= 1) | c`. A comma at the end is allowed.
///
/// # Errors
/// [`RelationError`] names the malformed relation.
pub fn parse_list(field: &str) -> Result<Vec<Dependency>, RelationError> {
    field
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_a_field() {
        let list =
            parse_list("libc6 (>= 2.38), default-mta|mail-agent ,\n perl:any(<<6),").unwrap();
        let shown: Vec<String> = list.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "libc6 (>= 2.38)",
                "default-mta | mail-agent",
                "perl:any (<< 6)"
            ]
        );
        assert_eq!(list[1].alternatives().len(), 2);
    }

    #[test]
    fn refuses() {
        for bad in [
            "",
            "a",
            "A_b",
            "ab (1)",
            "ab (>= 1",
            "ab (>= )",
            "ab [amd64",
            "ab [amd64 !arm64]",
            "ab:",
            "ab cd",
            "ab (= 1) x",
            "ab | ",
            "ab <!nocheck>",
        ] {
            assert!(bad.parse::<Dependency>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn architectures() {
        let applies = |text: &str| text.parse::<Relation>().unwrap().applies_to(Arch::Amd64);
        assert!(applies("ab") && applies("ab [amd64 i386]") && applies("ab [!armhf]"));
        assert!(applies("ab [linux-any]"));
        assert!(!applies("ab [arm64]") && !applies("ab [!amd64]"));
    }

    #[test]
    fn a_version_is_only_met_by_a_version() {
        let relation: Relation = "ab (>= 2)".parse().unwrap();
        let v = |text: &str| text.parse::<Version>().unwrap();
        assert!(relation.accepts(Some(&v("2"))) && !relation.accepts(Some(&v("1.9"))));
        assert!(!relation.accepts(None));
    }

    proptest! {
        #[test]
        fn never_panics(text in "([a-z0-9 ,|()\\[\\]<>=:!.-]|\\PC){0,60}") {
            if let Ok(list) = parse_list(&text) {
                for dependency in list {
                    let shown = dependency.to_string();
                    prop_assert_eq!(shown.parse::<Dependency>().unwrap(), dependency);
                }
            }
        }
    }
}
