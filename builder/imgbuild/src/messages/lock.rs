//! What `lock` says.

use schemars::JsonSchema;
use serde::Serialize;
use std::path::PathBuf;

/// A lock that was made, or would be.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Lock {
    /// The lock's file.
    pub(crate) path: PathBuf,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// How many Debian packages it pins.
    pub(crate) packages: usize,
    /// What is new, gone or another, by name.
    pub(crate) changes: Vec<Change>,
}

/// What became of a lock's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It was written.
    Written,
    /// It was up to date.
    UpToDate,
    /// It would be another, and was left as it is (`--diff`).
    LeftAsItIs,
}

/// One input that is new, gone or another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Change {
    /// The input.
    pub(crate) what: String,
    /// What the old lock had; null when it had none.
    pub(crate) old: Option<String>,
    /// What the new lock has; null when it has none.
    pub(crate) new: Option<String>,
}
