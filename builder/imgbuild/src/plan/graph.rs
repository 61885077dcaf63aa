//! Steps as values, and the keys that name what they make.

use imgbuild_base::{Digest, Hasher};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The kinds of work there are. Each has a version that changes when the same parameters and
/// inputs would give different bytes: a new version makes every stored result of the kind
/// stale, which is what keeps an upgraded imgbuild honest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Downloads one file whose hash the lock names.
    Fetch,
    /// Unpacks one Debian package, pruned.
    Unpack,
    /// Composes packages and overlay into the base system's tree.
    Compose,
    /// Writes the base layer.
    BaseLayer,
    /// Makes what the board starts from: kernel, initramfs, firmware.
    Boot,
    /// Fetches or cross-compiles etcd's binaries.
    Etcd,
    /// Writes the etcd layer.
    EtcdLayer,
    /// Makes a node's layer. In memory only: it holds keys.
    NodeLayer,
    /// Arranges a node's layers on a disk image, in the output directory.
    Disk,
    /// Puts etcd and a node's part into an archive, in the output directory.
    Overlay,
}

impl Kind {
    /// The kind's name in `graph`, `why` and the store.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Unpack => "unpack",
            Self::Compose => "compose",
            Self::BaseLayer => "base-layer",
            Self::Boot => "boot",
            Self::Etcd => "etcd",
            Self::EtcdLayer => "etcd-layer",
            Self::NodeLayer => "node-layer",
            Self::Disk => "disk",
            Self::Overlay => "overlay",
        }
    }

    /// The version of what the kind makes.
    const fn version(self) -> u32 {
        match self {
            // 2: manifest and bodies are one object.
            Self::Unpack => 2,
            // 2: with an outline in place of two ids.
            Self::BaseLayer => 2,
            _ => 1,
        }
    }

    /// Where a result of this kind is kept.
    pub(crate) const fn kept(self) -> Kept {
        match self {
            Self::Fetch | Self::Unpack | Self::BaseLayer | Self::Boot => Kept::Store,
            Self::Etcd | Self::EtcdLayer => Kept::Store,
            Self::Compose | Self::NodeLayer => Kept::Memory,
            Self::Disk | Self::Overlay => Kept::Output,
        }
    }
}

/// Where results live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In the store, by step key.
    Store,
    /// Nowhere: made again when something that needs it is made.
    Memory,
    /// In the output directory.
    Output,
}

/// A step's place in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StepId(usize);

/// One step: what is done, with which parameters, on what.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What sort of work.
    pub(crate) kind: Kind,
    /// What it is about, for people and for `why`: a package, an architecture, a node.
    pub(crate) subject: String,
    /// Everything besides the inputs that decides the result, by name.
    pub(crate) params: BTreeMap<&'static str, String>,
    /// The steps whose results it works on.
    pub(crate) inputs: Vec<StepId>,
    /// How much work it is, in bytes, for progress and for starting the longest first.
    pub(crate) cost: u64,
    /// The name of its result.
    pub(crate) key: Digest,
}

impl Step {
    /// The step's name: `kind:subject`.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.kind.name(), self.subject)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

/// All steps of a build. Inputs come before what uses them, so there is no circle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    steps: Vec<Step>,
}

impl Graph {
    /// Adds a step on inputs that are already in the graph, and computes its key.
    ///
    /// The key is the SHA-256 of these fields, in the encoding of [`Hasher::field`]: the text
    /// `imgbuild step`, the kind's name and version, the number of parameters, each
    /// parameter's name and value in the order of the names, and each input's key in order.
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        subject: impl Into<String>,
        params: impl IntoIterator<Item = (&'static str, String)>,
        inputs: Vec<StepId>,
        cost: u64,
    ) -> StepId {
        let params: BTreeMap<&'static str, String> = params.into_iter().collect();
        let mut hasher = Hasher::new();
        hasher
            .field("imgbuild step")
            .field(kind.name())
            .field(kind.version().to_string())
            .field(params.len().to_string());
        for (name, value) in &params {
            hasher.field(name).field(value);
        }
        for input in &inputs {
            hasher.field(self.step(*input).key.as_bytes());
        }
        self.steps.push(Step {
            kind,
            subject: subject.into(),
            params,
            inputs,
            cost,
            key: hasher.finish(),
        });
        StepId(self.steps.len() - 1)
    }

    /// The step.
    pub(crate) fn step(&self, id: StepId) -> &Step {
        &self.steps[id.0]
    }

    /// All steps with their places, inputs first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (StepId, &Step)> {
        self.steps
            .iter()
            .enumerate()
            .map(|(at, step)| (StepId(at), step))
    }

    /// The step of that name.
    pub(crate) fn find(&self, name: &str) -> Option<StepId> {
        self.iter()
            .find(|(_, step)| step.name() == name)
            .map(|(id, _)| id)
    }

    /// The steps that have to run for `goals`, given which results are at hand: walks down
    /// from the goals and stops at whatever is at hand.
    pub(crate) fn needed(&self, goals: &[StepId], at_hand: impl Fn(StepId) -> bool) -> Vec<StepId> {
        let mut wanted = vec![false; self.steps.len()];
        for goal in goals {
            wanted[goal.0] = true;
        }
        let mut needed = Vec::new();
        // Inputs have smaller numbers than their users, so one pass from the end suffices.
        for (id, step) in self.iter().rev() {
            if wanted[id.0] && !at_hand(id) {
                needed.push(id);
                for input in &step.inputs {
                    wanted[input.0] = true;
                }
            }
        }
        needed.reverse();
        needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_steps(value: &str, package: &str) -> (Graph, StepId, StepId) {
        let mut graph = Graph::default();
        let sha = ("sha256", package.to_owned());
        let fetch = graph.add(Kind::Fetch, "a", [sha], vec![], 1);
        let param = ("prune", value.to_owned());
        let unpack = graph.add(Kind::Unpack, "a", [param], vec![fetch], 1);
        (graph, fetch, unpack)
    }

    #[test]
    fn keys_follow_parameters_and_inputs() {
        let key = |value: &str, package: &str| {
            let (graph, _, unpack) = two_steps(value, package);
            graph.step(unpack).key
        };
        assert_eq!(key("x", "1"), key("x", "1"));
        assert_ne!(key("x", "1"), key("y", "1"));
        assert_ne!(key("x", "1"), key("x", "2"));
    }

    #[test]
    fn what_is_at_hand_hides_what_it_was_made_of() {
        let (graph, fetch, unpack) = two_steps("x", "1");
        assert_eq!(graph.needed(&[unpack], |_| false), [fetch, unpack]);
        assert_eq!(graph.needed(&[unpack], |id| id == fetch), [unpack]);
        assert_eq!(graph.needed(&[unpack], |id| id == unpack), []);
    }

    #[test]
    fn steps_are_found_by_name() {
        let (graph, _, unpack) = two_steps("x", "1");
        assert_eq!(graph.find("unpack:a"), Some(unpack));
        assert_eq!(graph.find("unpack:b"), None);
    }
}
