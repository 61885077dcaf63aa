use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than a DNS label may be (RFC 1035 2.3.4).
    #[error("{0:?} is {1} characters long: a host name label has at most 63")]
    TooLong(String, usize),
    /// A character outside the set of RFC 1123 2.1.
    #[error("{0:?} has {1:?} in it: a host name label is made of a-z, 0-9 and '-'")]
    Character(String, char),
    /// A hyphen at an end.
    #[error("{0:?} starts or ends with '-': a host name label may not")]
    Hyphen(String),
}

/// One label of a host name: 1 to 63 of `a-z`, `0-9` and inner hyphens (RFC 1123 2.1), in
/// lower case because etcd, systemd and X.509 all compare it as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if let Some(found) = text.chars().find(|&c| !allowed(c)) {
            return Err(NameError::Character(text.to_owned(), found));
        }
        if text.len() > 63 {
            return Err(NameError::TooLong(text.to_owned(), text.len()));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(NameError::Hyphen(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! host_like {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(HostName);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The name as a host name.
            #[must_use]
            pub fn host(&self) -> &HostName {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                text.parse().map(Self)
            }
        }
    )*};
}

host_like!(
    /// The name of a node: its host name and etcd member name.
    NodeName,
    /// The name of a cluster; every derived identity starts from it.
    ClusterName
);

macro_rules! text_like {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

text_like!(HostName, NodeName, ClusterName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_labels() {
        for name in ["a", "controller-0", "0", "k8s-tutorial", &"x".repeat(63)] {
            assert_eq!(name.parse::<NodeName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let parse = |text: &str| text.parse::<HostName>().unwrap_err();
        assert_eq!(parse(""), NameError::Empty);
        assert_eq!(parse("a_b"), NameError::Character("a_b".into(), '_'));
        assert_eq!(parse("Node"), NameError::Character("Node".into(), 'N'));
        assert_eq!(parse("-a"), NameError::Hyphen("-a".into()));
        assert_eq!(parse("a-"), NameError::Hyphen("a-".into()));
        assert_eq!(
            parse(&"x".repeat(64)),
            NameError::TooLong("x".repeat(64), 64)
        );
    }
}
