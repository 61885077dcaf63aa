//! What `show`, `why` and `graph` say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Steps by their names.
pub(crate) type Steps = BTreeMap<String, StepRecord>;

/// A step: its key, and what decided it. Also in `build.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StepRecord {
    /// The step's key: its kind and a SHA-256 of all that decides it.
    pub(crate) key: String,
    /// Parameters by name, and inputs' keys by the inputs' names.
    pub(crate) decided_by: BTreeMap<String, String>,
}

/// A recipe, and what building it would do.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Show {
    /// The recipe with every default, section by section.
    #[schemars(with = "ShownRecipe")]
    pub(crate) recipe: imgbuild_recipe::Recipe,
    /// By kind of step.
    pub(crate) steps: BTreeMap<&'static str, ToDo>,
    /// How much is to be downloaded of Debian packages, in bytes.
    pub(crate) download: u64,
}

/// The sections of a recipe; what is in them is in the recipe reference.
#[derive(JsonSchema)]
#[expect(
    dead_code,
    reason = "only its schema is used: the sections of imgbuild_recipe::Recipe"
)]
struct ShownRecipe {
    /// The cluster's identity.
    cluster: serde_json::Map<String, serde_json::Value>,
    /// What the images are made of, the same for all nodes.
    image: serde_json::Map<String, serde_json::Value>,
    /// Who signs certificates, and those that are no node's own.
    pki: serde_json::Map<String, serde_json::Value>,
    /// The network all nodes' addresses are in.
    subnet: String,
    /// The nodes, each with all that holds for it.
    nodes: Vec<serde_json::Map<String, serde_json::Value>>,
    /// What the user should know though it is no mistake; each has a `kind`.
    warnings: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// Steps of a kind.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct ToDo {
    /// How many the plan has.
    pub(crate) all: usize,
    /// How many of them are to be done.
    pub(crate) to_do: usize,
}

/// What decides a step.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Why {
    /// The step.
    pub(crate) step: String,
    /// Where its result is.
    pub(crate) state: StepState,
    /// The step as it would be done now.
    pub(crate) now: StepRecord,
    /// The step as the last build into the output directory did it; null when it did not.
    pub(crate) before: Option<StepRecord>,
}

/// Where a step's result is.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StepState {
    /// In the store.
    Stored,
    /// Nowhere yet.
    ToBeMade,
    /// Made in memory when something needs it; never stored.
    Memory,
    /// Written to the output directory.
    Output,
}
