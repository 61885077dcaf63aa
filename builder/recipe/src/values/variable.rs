//! Environment variables of etcd's process.

use super::{ValueError, wrong};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// The name of a variable (POSIX.1-2024 8.1: letters, digits and `_`, no digit first), not one
/// of etcd's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct VariableName(String);

impl VariableName {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for VariableName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.starts_with("ETCD_") {
            return Err(wrong(
                text,
                "for [etcd.environment]: etcd's settings are keys of [etcd] and of [etcd.options]",
            ));
        }
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let first = text.bytes().next();
        if first.is_some_and(|byte| !byte.is_ascii_digit()) && text.bytes().all(fine) {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "a variable's name: expected letters, digits and '_'",
            ))
        }
    }
}

/// The value of a variable: printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct VariableValue(String);

impl VariableValue {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VariableValue {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "a variable's value: expected printable ASCII characters",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values() {
        for good in ["GOMEMLIMIT", "GOGC", "_x1"] {
            assert!(good.parse::<VariableName>().is_ok(), "{good}");
        }
        for bad in ["", "1x", "A-B", "ETCD_NAME", "A B", "Ä"] {
            assert!(bad.parse::<VariableName>().is_err(), "{bad}");
        }
        assert!("200 MiB \"$x\"".parse::<VariableValue>().is_ok());
        for bad in ["a\nb", "ä", "\t"] {
            assert!(bad.parse::<VariableValue>().is_err(), "{bad:?}");
        }
    }
}
