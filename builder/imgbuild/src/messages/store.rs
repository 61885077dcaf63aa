//! What the commands about the store say.

use schemars::JsonSchema;
use serde::Serialize;

/// How much room things of a kind take.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Usage {
    /// A kind of step, or `fetched and unnamed`, `cut-off downloads`, and last `all`.
    pub(crate) kind: String,
    /// How many.
    pub(crate) count: u64,
    /// Their bytes together.
    pub(crate) bytes: u64,
}

/// What was removed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Gc {
    /// How many objects.
    pub(crate) objects: usize,
    /// How many results of steps.
    pub(crate) results: usize,
    /// The bytes that this frees.
    pub(crate) freed: u64,
    /// The bytes that stay.
    pub(crate) kept: u64,
    /// Whether it would be so, and nothing was removed (`--dry-run`).
    pub(crate) dry_run: bool,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Verify {
    /// How many objects were read.
    pub(crate) objects: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// The names of those that were damaged, and are removed.
    pub(crate) corrupt: Vec<String>,
    /// How many results were removed because they named what is damaged or missing.
    pub(crate) results_removed: usize,
    /// How many files were removed that no build put there.
    pub(crate) strays_removed: usize,
}
