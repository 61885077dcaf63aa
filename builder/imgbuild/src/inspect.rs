//! What an image or a card is: told from the bytes alone, without recipe, lock or secret.

use crate::error::{CommandError, Failure, OrFail, Result};
use crate::messages::card;
use crate::opened::{FoundLayer, Opened};
use imgbuild_base::{Arch, ByteSize, Digest, Epoch, Tree, TreePath};
use imgbuild_cluster::identity::PLATE;
use imgbuild_etcd::NOTE;
use imgbuild_formats::source::Source;
use imgbuild_formats::squashfs::{self, Limits};
use imgbuild_recipe::resolved::Board;
use serde::Deserialize;

/// What is read of layers: no more than this much of each.
const LIMITS: Limits = Limits {
    content: 64 << 20,
    metadata: 64 << 20,
    entries: 1 << 20,
};

const DEBIAN: &str = "etc/debian_version";

/// What was found out about an image.
#[derive(Debug)]
pub(crate) struct Inspection {
    /// The size of the disk in bytes.
    pub(crate) size: u64,
    /// `MBR` or `GPT`.
    pub(crate) table: &'static str,
    /// How many partitions there are; a card that was booted has its state partition, too.
    pub(crate) partitions: usize,
    /// What it boots on; nothing when the boot files are those of no known board.
    pub(crate) board: Option<&'static str>,
    /// The architecture its layers are named after.
    pub(crate) arch: Option<String>,
    /// Debian's version.
    pub(crate) debian: Option<String>,
    /// etcd's version.
    pub(crate) etcd: Option<String>,
    /// Whose it is; nothing on an image without a node's layer.
    pub(crate) node: Option<Plate>,
    /// The certificates in the node's layer.
    pub(crate) certificates: Vec<FoundCertificate>,
    /// The layers, lowest first.
    pub(crate) layers: Vec<LayerReport>,
}

/// Whose a node's layer is.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Plate {
    /// The cluster.
    pub(crate) cluster: String,
    /// The node.
    pub(crate) node: String,
}

/// A certificate of the node's.
#[derive(Debug)]
pub(crate) struct FoundCertificate {
    /// The file on the node.
    pub(crate) file: String,
    /// Its subject.
    pub(crate) subject: String,
    /// From when on it holds, in seconds since 1970.
    pub(crate) from: Epoch,
    /// When it ends.
    pub(crate) until: Epoch,
}

/// A layer as it is.
#[derive(Debug)]
pub(crate) struct LayerReport {
    /// Its file's name.
    pub(crate) name: String,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// Its SHA-256.
    pub(crate) sha256: Digest,
    /// Whether the content is the one that the name promises. The names of nodes' own layers
    /// promise nothing that can be checked without the cluster's secret.
    pub(crate) sound: bool,
}

impl Inspection {
    /// Reads what there is to say.
    pub(crate) fn of<S: Source>(disk: &Opened<S>, size: ByteSize) -> Result<Self> {
        let mut found = Self {
            size: size.get(),
            table: disk.partitions().kind(),
            partitions: disk.partitions().ranges().len(),
            board: board(disk).map(Board::as_str),
            arch: None,
            debian: None,
            etcd: None,
            node: None,
            certificates: Vec::new(),
            layers: Vec::new(),
        };
        for layer in disk.layers() {
            found
                .layer(disk, layer)
                .map_err(|error| error.context(format!("looking into {}", layer.name)))?;
        }
        Ok(found)
    }

    /// The same for programs.
    pub(crate) fn message(&self) -> card::Inspection {
        let node = self.node.as_ref().map(|plate| card::Plate {
            cluster: plate.cluster.clone(),
            node: plate.node.clone(),
        });
        let certificates = self
            .certificates
            .iter()
            .map(|found| card::FoundCertificate {
                file: found.file.clone(),
                subject: found.subject.clone(),
                from: found.from.seconds(),
                until: found.until.seconds(),
            });
        let layers = self.layers.iter().map(|layer| card::LayerReport {
            name: layer.name.clone(),
            size: layer.size,
            sha256: layer.sha256.to_string(),
            sound: layer.sound,
        });
        card::Inspection {
            size: self.size,
            table: self.table,
            partitions: self.partitions,
            board: self.board,
            arch: self.arch.clone(),
            debian: self.debian.clone(),
            etcd: self.etcd.clone(),
            node,
            certificates: certificates.collect(),
            layers: layers.collect(),
        }
    }

    fn layer<S: Source>(&mut self, disk: &Opened<S>, layer: FoundLayer<'_>) -> Result<()> {
        let sha256 = disk.digest(layer.content).or_fail(Failure::Storage)?;
        let promised = layer.claim().is_some_and(|claim| claim == sha256.short());
        let sound = layer.is_own() || promised;
        self.layers.push(LayerReport {
            name: layer.name.to_owned(),
            size: layer.content.size().get(),
            sha256,
            sound,
        });
        self.arch = self.arch.take().or_else(|| arch(layer.name));
        if !sound {
            // What is in it says nothing about what was built.
            return Ok(());
        }
        let wanted =
            |path: &TreePath| layer.is_own() || [PLATE, NOTE, DEBIAN].contains(&path.as_str());
        let source = disk.source(layer.content);
        let tree = squashfs::read_where(&source, &LIMITS, wanted).or_fail(Failure::Verify)?;
        if layer.is_own() {
            self.own(&tree, layer.name)?;
        }
        let text = |path: &str| {
            let text = std::str::from_utf8(tree.file(path)?).ok()?;
            Some(text.trim().to_owned())
        };
        if let Some(version) = text(DEBIAN) {
            self.debian = Some(version);
        }
        if let Some(version) = text(NOTE).as_deref().and_then(etcd) {
            self.etcd = Some(version);
        }
        Ok(())
    }

    /// A node's own layer.
    fn own(&mut self, tree: &Tree, name: &str) -> Result<()> {
        let plate = tree
            .file(PLATE)
            .and_then(|text| serde_json::from_slice(text).ok());
        let plate: Plate = plate.ok_or_else(|| {
            CommandError::msg(
                Failure::Verify,
                format!("/{PLATE} does not say whose it is"),
            )
        })?;
        if let Some(other) = &self.node {
            let text = format!(
                "there are two nodes' layers: one of {}, one of {}; the last is {name}",
                other.node, plate.node
            );
            return Err(CommandError::msg(Failure::Verify, text)
                .hint("a node that finds two does not start: leave one in layers/"));
        }
        self.node = Some(plate);
        let mut last = None;
        for (path, certificate) in imgbuild_cluster::certificates(tree) {
            // A file shows its own certificate first, then those that vouch for it.
            if last.replace(path) == Some(path) {
                continue;
            }
            let certificate = certificate.or_fail(Failure::Verify)?;
            let validity = certificate.validity();
            self.certificates.push(FoundCertificate {
                file: format!("/{path}"),
                subject: certificate.subject().to_owned(),
                from: validity.not_before(),
                until: validity.not_after(),
            });
        }
        Ok(())
    }

    /// The first day on which a certificate has ended.
    pub(crate) fn until(&self) -> Option<Epoch> {
        self.certificates.iter().map(|one| one.until).min()
    }
}

/// The board whose boot files are there.
fn board<S: Source>(disk: &Opened<S>) -> Option<Board> {
    disk.files().find_map(|(path, _)| {
        let path = path.as_str();
        match path {
            "bootcode.bin" | "start.elf" | "start4.elf" => Some(Board::RaspberryPi),
            "EFI/BOOT/BOOTX64.EFI" | "EFI/BOOT/BOOTAA64.EFI" => Some(Board::Vm),
            _ => None,
        }
    })
}

/// `00-base-amd64-0123abcd.squashfs` → `amd64`.
fn arch(layer: &str) -> Option<String> {
    let known = |word: &&str| word.parse::<Arch>().is_ok();
    layer.split('-').find(known).map(str::to_owned)
}

/// The version in the note of the programs' origin: upstream's, or that of Debian's package.
fn etcd(note: &str) -> Option<String> {
    let note: serde_json::Value = serde_json::from_str(note).ok()?;
    let origin = note.get("origin")?;
    if let Some(version) = origin.get("version").and_then(|version| version.as_str()) {
        return Some(version.to_owned());
    }
    let packages = origin.get("packages")?.as_object()?;
    let server = packages
        .keys()
        .find_map(|name| name.strip_prefix("etcd-server="));
    server.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_notes_are_read() {
        assert_eq!(
            arch("00-base-armhf-0123abcd.squashfs").as_deref(),
            Some("armhf")
        );
        assert_eq!(arch("notes.squashfs"), None);
        let release = r#"{"origin":{"source":"release","version":"3.6.16"}}"#;
        assert_eq!(etcd(release).as_deref(), Some("3.6.16"));
        let debian = r#"{"origin":{"packages":{"etcd-server=3.5.16-4":"00"}}}"#;
        assert_eq!(etcd(debian).as_deref(), Some("3.5.16-4"));
        for other in ["", "[]", r#"{"origin":{"packages":[]}}"#] {
            assert_eq!(etcd(other), None, "{other}");
        }
    }
}
