//! What the commands about the program itself say.

use schemars::JsonSchema;
use serde::Serialize;
use std::path::PathBuf;

/// A recipe that can be named.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Recipe {
    /// What `--recipe` takes.
    pub(crate) name: String,
    /// Its file, or `built in`.
    pub(crate) origin: String,
    /// What it is.
    pub(crate) about: String,
}

/// A new recipe.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Init {
    /// Its file.
    pub(crate) path: PathBuf,
    /// What it and the cluster are called.
    pub(crate) name: String,
    /// How many nodes it has.
    pub(crate) nodes: usize,
}

/// A completion script.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Completions {
    /// The shell it is for.
    pub(crate) shell: String,
    /// Its text.
    pub(crate) script: String,
}

/// Manual pages.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Man {
    /// The files, sorted.
    pub(crate) pages: Vec<PathBuf>,
}

/// A generated reference: one of its fields is not null.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Reference {
    /// The text, as Markdown.
    pub(crate) markdown: Option<String>,
    /// The JSON Schema (`--schema`).
    pub(crate) schema: Option<serde_json::Value>,
}
