//! Arranging a node's layers on a disk.
//!
//! A disk is a partition table and one FAT partition, `BOOT`, that holds what the board starts
//! from and the layers. VMs get a GPT with the partition at 1 MiB, Raspberry Pis an MBR with
//! it at 4 MiB; the `state` partition behind it is made by the node itself. Volume ids, GUIDs
//! and signatures follow from the cluster and the node. The node's layer lies last, so images
//! of one cluster share all that comes before.

use crate::error::{Failure, OrFail, Result};
use imgbuild_base::tree::Body;
use imgbuild_base::{
    ByteSize, ClusterName, Digest, Entry, Epoch, Hasher, Kind, Meta, NodeName, Tree, TreePath,
};
use imgbuild_formats::disk::{DiskImage, Extent, SECTOR};
use imgbuild_formats::gpt::Guid;
use imgbuild_formats::{fat, gpt, mbr};
use imgbuild_recipe::resolved::{Board, DiskSize, Image};

/// Where the boot partition begins.
const fn boot_start(board: Board) -> ByteSize {
    match board {
        Board::Vm => ByteSize::mib(1),
        // Room for what some firmware writes before the first partition.
        Board::RaspberryPi => ByteSize::mib(4),
    }
}

/// Room behind the boot partition that a GPT needs for its backup.
const fn tail(board: Board) -> ByteSize {
    match board {
        Board::Vm => ByteSize::mib(1),
        Board::RaspberryPi => ByteSize::bytes(0),
    }
}

/// A layer as a file of the boot partition.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// The file's name below `layers/`; layers are stacked in the order of their names.
    pub(crate) name: String,
    /// The squashfs.
    pub(crate) body: Body,
}

/// What all disks of a build have in common.
#[derive(Clone, Debug)]
pub(crate) struct Common<'a> {
    /// The cluster.
    pub(crate) cluster: &'a ClusterName,
    /// The recipe's wishes.
    pub(crate) image: &'a Image,
    /// The time of everything.
    pub(crate) epoch: Epoch,
    /// What the board starts from.
    pub(crate) boot: &'a Tree,
    /// The shared layers.
    pub(crate) shared: &'a [Layer],
}

/// A node's disk, described.
pub(crate) fn disk(common: &Common<'_>, node: &NodeName, own: &Layer) -> Result<DiskImage> {
    let board = common.image.board;
    let (files, last) = files(common, own)?;
    let volume_size = fat::min_size(&files, common.image.boot_reserve).or_fail(Failure::Other)?;
    let start = boot_start(board);
    let identity = identity(common.cluster, node);
    let volume = fat::layout(
        &files,
        &fat::Options {
            volume_id: number(identity, 0),
            label: "BOOT".parse().or_fail(Failure::Other)?,
            size: volume_size,
            epoch: common.epoch,
            hidden_sectors: u32::try_from(start.get() / SECTOR).or_fail(Failure::Other)?,
            last: vec![last],
        },
    )
    .or_fail(Failure::Other)?;
    let least = start.get() + volume_size.get() + tail(board).get();
    let size = match common.image.size {
        DiskSize::Fit => ByteSize::bytes(least),
        DiskSize::Exactly(size) if size.get() >= least => size,
        DiskSize::Exactly(size) => {
            let least = ByteSize::bytes(least);
            let text = format!("image.size is {size}, but the boot partition needs {least}");
            return Err(crate::error::CommandError::msg(Failure::Recipe, text)
                .hint("give the image that size or more; the state partition fills the rest"));
        }
    };
    let table = table(board, size, start, volume_size, identity)?;
    let shifted = volume
        .extents
        .into_iter()
        .map(|extent| extent.shifted(start.get()));
    DiskImage::new(size, table.into_iter().chain(shifted)).or_fail(Failure::Other)
}

/// The boot partition's files, and the path of the node's layer among them.
fn files(common: &Common<'_>, own: &Layer) -> Result<(Tree, TreePath)> {
    let mut files = common.boot.clone();
    let mut last = None;
    for layer in common.shared.iter().chain([own]) {
        let path = TreePath::new(&format!("layers/{}", layer.name)).or_fail(Failure::Other)?;
        let entry = Entry {
            meta: Meta::root(0o644, common.epoch),
            kind: Kind::File(layer.body.clone()),
        };
        files.put(path.clone(), entry);
        last = Some(path);
    }
    last.map(|last| (files, last))
        .ok_or_else(|| crate::error::CommandError::msg(Failure::Other, "a disk without layers"))
}

fn table(
    board: Board,
    size: ByteSize,
    start: ByteSize,
    volume: ByteSize,
    identity: Digest,
) -> Result<Vec<Extent>> {
    let first = start.get() / SECTOR;
    let sectors = volume.get() / SECTOR;
    match board {
        Board::Vm => gpt::Table {
            disk: Guid::derived("disk", identity),
            partitions: vec![gpt::Partition {
                kind: Guid::EFI_SYSTEM,
                guid: Guid::derived("boot", identity),
                name: "boot".to_owned(),
                first,
                last: first + sectors - 1,
                attributes: 0,
            }],
        }
        .extents(size)
        .or_fail(Failure::Other),
        Board::RaspberryPi => mbr::Table {
            signature: number(identity, 4),
            partitions: vec![mbr::Partition {
                active: true,
                kind: mbr::FAT32,
                first: u32::try_from(first).or_fail(Failure::Other)?,
                sectors: u32::try_from(sectors).or_fail(Failure::Other)?,
            }],
        }
        .extents(size)
        .or_fail(Failure::Other),
    }
}

/// What a node's disk is recognised by.
fn identity(cluster: &ClusterName, node: &NodeName) -> Digest {
    let mut hasher = Hasher::new();
    hasher
        .field("imgbuild disk")
        .field(cluster.as_str())
        .field(node.as_str());
    hasher.finish()
}

fn number(identity: Digest, at: usize) -> u32 {
    let bytes = identity.as_bytes();
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Digest of everything that a build's images have in common, for telling whether an image is
/// still what it would become: names and digests of files, sizes, time.
pub(crate) fn common_key(common: &Common<'_>) -> Digest {
    let mut hasher = Hasher::new();
    let size = match common.image.size {
        DiskSize::Fit => "fit".to_owned(),
        DiskSize::Exactly(size) => size.get().to_string(),
    };
    hasher
        .field("imgbuild images 1")
        .field(common.cluster.as_str())
        .field(common.image.board.as_str())
        .field(size)
        .field(common.image.boot_reserve.get().to_string())
        .field(common.epoch.to_string())
        .field(common.boot.digest().as_bytes());
    for layer in common.shared {
        hasher
            .field(&layer.name)
            .field(layer.body.digest().as_bytes());
    }
    hasher.finish()
}
