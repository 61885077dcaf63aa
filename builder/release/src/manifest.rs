//! What the images of a release are made of: `manifest.json`, version 1.

use crate::file::{FileRecord, ReleasePath};
use imgbuild_base::{Arch, Digest, Epoch};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the format.
pub const VERSION: u32 = 1;

/// All of a release but its sums, its signature, its provenance and this file itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format's version.
    pub version: u32,
    /// The release's name: its recipe's.
    pub name: String,
    /// The program that made it, with its version.
    pub builder: Builder,
    /// The time that stands for "now" in every output, in seconds since 1970.
    pub epoch: Epoch,
    /// The kind of machine the images are for, as in the recipe.
    pub board: String,
    /// Its architecture.
    pub arch: Arch,
    /// The recipe.
    pub recipe: FileRecord,
    /// Its lock.
    pub lock: FileRecord,
    /// The bill of materials of each architecture.
    pub sboms: BTreeMap<Arch, FileRecord>,
    /// What a person reads first.
    pub notes: FileRecord,
    /// The layers that images share.
    pub layers: Vec<FileRecord>,
    /// The images.
    pub images: Vec<ImageRecord>,
}

/// The program that made a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Builder {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Builder {
    /// This program.
    #[must_use]
    pub fn this() -> Self {
        Self {
            name: "imgbuild".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRecord {
    /// The file.
    pub file: FileRecord,
    /// How it is packed.
    pub packing: Packing,
    /// Its block map.
    pub block_map: FileRecord,
    /// For which nodes it is.
    pub nodes: Vec<String>,
    /// Whether it holds those nodes' layers, and so their private keys.
    pub secret: bool,
    /// The disk that it unpacks to.
    pub disk: DiskRecord,
}

/// How an image is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Not at all: a raw disk.
    Raw,
    /// By zstd.
    Zstd,
    /// By xz.
    Xz,
}

impl Packing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Zstd, Self::Xz];

    /// What file names of such images end with.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Raw => ".img",
            Self::Zstd => ".img.zst",
            Self::Xz => ".img.xz",
        }
    }
}

/// A disk, and what is found on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskRecord {
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// The kind of its partition table: `GPT` or `MBR`.
    pub table: String,
    /// Its partitions, in the order of their numbers.
    pub partitions: Vec<PartitionRecord>,
    /// The file system of the first partition.
    pub boot: BootRecord,
}

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionRecord {
    /// Where it begins, in bytes.
    pub start: u64,
    /// Its length in bytes.
    pub size: u64,
}

/// The boot partition's FAT volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootRecord {
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub volume_id: u32,
    /// Every file on it, by path: what the machine starts from, and the layers.
    pub files: BTreeMap<String, BootFile>,
}

/// A file of the boot partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootFile {
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// Why a text is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON of this form.
    #[error("the manifest cannot be read: {0}")]
    Format(#[from] serde_json::Error),
    /// A format of another imgbuild.
    #[error("the manifest has format {0}, this imgbuild reads {VERSION}: use another imgbuild")]
    Version(u32),
}

impl Manifest {
    /// Reads the text.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn read(text: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_slice(text)?;
        match head.version {
            VERSION => Ok(serde_json::from_slice(text)?),
            other => Err(ManifestError::Version(other)),
        }
    }

    /// Every file it describes.
    pub fn files(&self) -> impl Iterator<Item = &FileRecord> {
        let images = self.images.iter();
        [&self.recipe, &self.lock, &self.notes]
            .into_iter()
            .chain(self.sboms.values())
            .chain(&self.layers)
            .chain(images.flat_map(|image| [&image.file, &image.block_map]))
    }

    /// The path of a layer in the release, by its file name on boot partitions.
    #[must_use]
    pub fn layer(&self, name: &str) -> Option<&ReleasePath> {
        let mut paths = self.layers.iter().map(|layer| &layer.path);
        paths.find(|path| path.as_str().rsplit('/').next() == Some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_told_from_damage() {
        assert!(matches!(
            Manifest::read(br#"{"version": 2, "new": true}"#),
            Err(ManifestError::Version(2))
        ));
        for damaged in [&b"{}"[..], b"", br#"{"version": 1}"#] {
            let error = Manifest::read(damaged);
            assert!(matches!(error, Err(ManifestError::Format(_))));
        }
    }
}
