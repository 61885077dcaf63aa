//! An image or card, opened: partition table, boot partition, the files on it.
//!
//! Nothing that is read is trusted: every structure is checked by its own reader in
//! `imgbuild-formats`, and a file is read only as far as the caller allows.

use imgbuild_base::{Digest, Hasher, TreePath};
use imgbuild_formats::fat::{self, Listed, ListedKind, Stretches};
use imgbuild_formats::partitions::{Partitions, PartitionsError};
use imgbuild_formats::source::{Part, Source};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// The directory of the layers on the boot partition.
pub(crate) const LAYERS: &str = "layers/";

/// Bytes that are hashed together.
const BLOCK: usize = 256 << 10;

/// Why a disk is none of ours, or a damaged one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// No sound partition table.
    #[error(transparent)]
    Partitions(#[from] PartitionsError),
    /// A table without partitions.
    #[error("the partition table names no partition: expected the boot partition first")]
    NoPartition,
    /// The partition cannot be looked at.
    #[error("the boot partition cannot be read")]
    Read(#[from] io::Error),
    /// The boot partition is none.
    #[error("the first partition is no boot partition")]
    Fat(#[from] fat::ReadError),
    /// A boot partition of somebody else.
    #[error("the first partition has no layers: expected layers/*.squashfs on it")]
    NoLayers,
}

/// An opened disk.
#[derive(Debug)]
pub(crate) struct Opened<S> {
    partitions: Partitions,
    boot: Part<S>,
    files: BTreeMap<TreePath, Listed>,
}

/// A layer that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundLayer<'a> {
    /// Its file's name below `layers/`.
    pub(crate) name: &'a str,
    /// Where it lies on the boot partition.
    pub(crate) content: &'a Stretches,
}

impl FoundLayer<'_> {
    /// Whether it is a node's own.
    pub(crate) fn is_own(&self) -> bool {
        self.name.starts_with("20-")
    }

    /// What its name says of its content: the first digits of the digest.
    pub(crate) fn claim(&self) -> Option<&str> {
        let plain = self.name.strip_suffix(".squashfs")?;
        plain.rsplit_once('-').map(|(_, digits)| digits)
    }
}

impl<S: Source> Opened<S> {
    /// Finds what is on a disk. No file is read yet.
    pub(crate) fn new(disk: S) -> Result<Self, OpenError> {
        let partitions = Partitions::read(&disk)?;
        let first = partitions.ranges().first().cloned();
        let boot = Part::new(disk, first.ok_or(OpenError::NoPartition)?)?;
        let files = fat::list(&boot)?;
        let opened = Self {
            partitions,
            boot,
            files,
        };
        if opened.layers().next().is_none() {
            return Err(OpenError::NoLayers);
        }
        Ok(opened)
    }

    /// The partition table.
    pub(crate) const fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    /// What the boot partition's volume says of itself.
    pub(crate) fn volume(&self) -> Result<fat::Info, OpenError> {
        Ok(fat::info(&self.boot)?)
    }

    /// The files of the boot partition, in the order of their paths.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&TreePath, &Stretches)> {
        self.files
            .iter()
            .filter_map(|(path, entry)| match &entry.kind {
                ListedKind::File(content) => Some((path, content)),
                ListedKind::Directory => None,
            })
    }

    /// The layers, lowest first.
    pub(crate) fn layers(&self) -> impl Iterator<Item = FoundLayer<'_>> {
        self.files().filter_map(|(path, content)| {
            let name = path.as_str().strip_prefix(LAYERS)?;
            let layer = name.ends_with(".squashfs") && !name.contains('/');
            layer.then_some(FoundLayer { name, content })
        })
    }

    /// The SHA-256 of a file of the boot partition.
    pub(crate) fn digest(&self, content: &Stretches) -> io::Result<Digest> {
        let mut reader = content.reader(&self.boot);
        let mut hasher = Hasher::new();
        let mut block = vec![0; BLOCK];
        loop {
            match reader.read(&mut block)? {
                0 => return Ok(hasher.finish()),
                count => hasher.update(&block[..count]),
            };
        }
    }

    /// A file of the boot partition as a source of its own.
    pub(crate) fn source<'a>(&'a self, content: &'a Stretches) -> impl Source + 'a {
        content.source(&self.boot)
    }
}
