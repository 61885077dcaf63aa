//! What the commands about cards and images say.

use schemars::JsonSchema;
use serde::Serialize;
use std::path::PathBuf;

/// A disk of this machine.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Candidate {
    /// Its device.
    pub(crate) path: PathBuf,
    /// What its maker calls it.
    pub(crate) model: String,
    /// Its size in bytes; zero for a reader without a card.
    pub(crate) size: u64,
    /// Whether it is a card or stick that is taken out.
    pub(crate) removable: bool,
    /// Whether it cannot be written to.
    pub(crate) read_only: bool,
    /// Its partitions' names.
    pub(crate) partitions: Vec<String>,
    /// What it is used for.
    pub(crate) uses: Vec<String>,
    /// Why it would not be written to; null when it would.
    pub(crate) refusal: Option<String>,
}

/// A medium that was written and read back.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Flash {
    /// What was written to it.
    pub(crate) what: String,
    /// The device.
    pub(crate) device: PathBuf,
    /// How many bytes were written.
    pub(crate) written: u64,
    /// How long it took, reading back included, in seconds.
    pub(crate) seconds: f64,
}

/// A node's own layer.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NodeLayer {
    /// Whose it is.
    pub(crate) node: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Its SHA-256.
    pub(crate) sha256: String,
    /// Its size in bytes.
    pub(crate) size: u64,
}

/// What an image or a card is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Inspection {
    /// The size of the disk in bytes.
    pub(crate) size: u64,
    /// `MBR` or `GPT`.
    pub(crate) table: &'static str,
    /// How many partitions there are; a card that was booted has its state partition, too.
    pub(crate) partitions: usize,
    /// What it boots on; null when the boot files are those of no known board.
    pub(crate) board: Option<&'static str>,
    /// The architecture its layers are named after.
    pub(crate) arch: Option<String>,
    /// Debian's version.
    pub(crate) debian: Option<String>,
    /// etcd's version.
    pub(crate) etcd: Option<String>,
    /// Whose it is; null on an image without a node's layer.
    pub(crate) node: Option<Plate>,
    /// The certificates in the node's layer.
    pub(crate) certificates: Vec<FoundCertificate>,
    /// The layers, lowest first.
    pub(crate) layers: Vec<LayerReport>,
}

/// Whose a node's layer is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Plate {
    /// The cluster.
    pub(crate) cluster: String,
    /// The node.
    pub(crate) node: String,
}

/// A certificate of the node's.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FoundCertificate {
    /// The file on the node.
    pub(crate) file: String,
    /// Its subject.
    pub(crate) subject: String,
    /// From when on it holds, in seconds since 1970.
    pub(crate) from: u64,
    /// When it ends, in seconds since 1970.
    pub(crate) until: u64,
}

/// A layer as it is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LayerReport {
    /// Its file's name.
    pub(crate) name: String,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// Its SHA-256.
    pub(crate) sha256: String,
    /// Whether the content is the one that the name promises. The names of nodes' own layers
    /// promise nothing that can be checked without the cluster's secret.
    pub(crate) sound: bool,
}
