//! Arranging a node's layers on a disk.
//!
//! A disk is a partition table and one FAT partition, `BOOT`, that holds what the board starts
//! from and the layers. VMs get a GPT with the partition at 1 MiB, Raspberry Pis an MBR with
//! it at 4 MiB; the `state` partition behind it is made by the node itself.
//!
//! The images of a cluster are alike up to the end of the boot partition, where the node's
//! layer lies and the listing that names it: all that comes before is hashed once for all.
//! That is why volume ids, GUIDs and signatures follow from the cluster, as those of disks
//! that are copies of one image, and why the nodes' layers have one length.

use crate::error::{Failure, OrFail, Result};
use imgbuild_base::tree::Body;
use imgbuild_base::{
    ByteSize, ClusterName, Digest, Entry, Epoch, Hasher, Kind, Meta, Tree, TreePath,
};
use imgbuild_formats::disk::{DiskImage, Extent, SECTOR};
use imgbuild_formats::gpt::Guid;
use imgbuild_formats::grub::Loader;
use imgbuild_formats::{fat, gpt, mbr};
use imgbuild_recipe::resolved::{Board, DiskSize, NodeImage};
use imgbuild_system::boot::CORE_SECTOR;
use std::ops::Range;

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

/// Nodes' layers are filled up to a multiple of this many bytes, so that those of a cluster
/// are equally long. One has about 12 KiB.
const OWN_LAYER: usize = 64 << 10;

impl Layer {
    /// A node's own layer.
    pub(crate) fn own(name: String, mut squashfs: Vec<u8>) -> Self {
        squashfs.resize(squashfs.len().next_multiple_of(OWN_LAYER), 0);
        let body = Body::new(squashfs);
        Self { name, body }
    }
}

/// A node's disk, described.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// What is on it.
    pub(crate) image: DiskImage,
    /// Where the node's own part begins, in bytes: what comes before is the same for every
    /// node of a cluster.
    pub(crate) own: u64,
}

/// The directory of the layers on the boot partition.
const LAYERS: &str = "layers";

/// What all disks of a build have in common.
#[derive(Clone, Debug)]
pub(crate) struct Common<'a> {
    /// The cluster.
    pub(crate) cluster: &'a ClusterName,
    /// The kind of machine.
    pub(crate) board: Board,
    /// What the disk is like.
    pub(crate) image: NodeImage,
    /// The time of everything.
    pub(crate) epoch: Epoch,
    /// What the board starts from.
    pub(crate) boot: &'a Tree,
    /// What a PC's BIOS starts, where the recipe wants it.
    pub(crate) loader: Option<&'a Loader>,
    /// The shared layers.
    pub(crate) shared: &'a [Layer],
}

/// The disk of the node whose layer is `own`; without one, a disk that has the room for it.
pub(crate) fn disk(common: &Common<'_>, own: Option<&Layer>) -> Result<Disk> {
    let board = common.board;
    let (files, last) = files(common, own)?;
    let room = match own {
        Some(_) => 0,
        None => OWN_LAYER as u64,
    };
    let room = ByteSize::bytes(common.image.boot_reserve.get() + room);
    let volume_size = fat::min_size(&files, room).or_fail(Failure::Other)?;
    let start = boot_start(board);
    let identity = identity(common.cluster);
    let volume = fat::layout(
        &files,
        &fat::Options {
            volume_id: number(identity, 0),
            label: "BOOT".parse().or_fail(Failure::Other)?,
            size: volume_size,
            epoch: common.epoch,
            hidden_sectors: u32::try_from(start.get() / SECTOR).or_fail(Failure::Other)?,
            last,
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
    let own = start.get() + volume.last;
    let table = table(common, size, start, volume_size, identity)?;
    let shifted = volume
        .extents
        .into_iter()
        .map(|extent| extent.shifted(start.get()));
    let image = DiskImage::new(size, table.into_iter().chain(shifted)).or_fail(Failure::Other)?;
    Ok(Disk { image, own })
}

/// The boot partition's files, and what of them is the node's own: the directory of the layers
/// and the node's layer.
fn files(common: &Common<'_>, own: Option<&Layer>) -> Result<(Tree, Vec<TreePath>)> {
    let mut files = common.boot.clone();
    let directory = TreePath::new(LAYERS).or_fail(Failure::Other)?;
    let mut last = vec![directory.clone()];
    for layer in common.shared.iter().chain(own) {
        let path = directory.join(&layer.name).or_fail(Failure::Other)?;
        let entry = Entry {
            meta: Meta::root(0o644, common.epoch),
            kind: Kind::File(layer.body.clone()),
        };
        files.put(path, entry);
    }
    if let Some(own) = own {
        last.push(directory.join(&own.name).or_fail(Failure::Other)?);
    }
    Ok((files, last))
}

fn table(
    common: &Common<'_>,
    size: ByteSize,
    start: ByteSize,
    volume: ByteSize,
    identity: Digest,
) -> Result<Vec<Extent>> {
    let first = start.get() / SECTOR;
    let sectors = volume.get() / SECTOR;
    match common.board {
        Board::Vm => gpt(size, first..first + sectors, common.loader, identity),
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

/// The GPT of a VM: the boot partition and, where a BIOS shall start it as well, one around the
/// loader's core, in what is left before the boot partition. It comes second, so that the boot
/// partition is the first of every disk.
fn gpt(
    size: ByteSize,
    boot: Range<u64>,
    loader: Option<&Loader>,
    identity: Digest,
) -> Result<Vec<Extent>> {
    let partition = |kind, name: &str, sectors: Range<u64>| gpt::Partition {
        kind,
        guid: Guid::derived(name, identity),
        name: name.to_owned(),
        first: sectors.start,
        last: sectors.end - 1,
        attributes: 0,
    };
    let mut table = gpt::Table {
        disk: Guid::derived("disk", identity),
        partitions: vec![partition(Guid::EFI_SYSTEM, "boot", boot.clone())],
    };
    let Some(loader) = loader else {
        return table.extents(size).or_fail(Failure::Other);
    };
    let core = CORE_SECTOR..boot.start;
    table
        .partitions
        .push(partition(Guid::BIOS_BOOT, "bios", core));
    let mut extents = table.bootable(size, &loader.code).or_fail(Failure::Other)?;
    extents.push(Extent::new(CORE_SECTOR * SECTOR, loader.core.clone()));
    Ok(extents)
}

/// What a cluster's disks are recognised by.
fn identity(cluster: &ClusterName) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field("imgbuild disk").field(cluster.as_str());
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
        .field("imgbuild images 2")
        .field(common.cluster.as_str())
        .field(common.board.as_str())
        .field(size)
        .field(common.image.boot_reserve.get().to_string())
        .field(common.epoch.to_string())
        .field(common.boot.digest().as_bytes());
    for layer in common.shared {
        hasher
            .field(&layer.name)
            .field(layer.body.digest().as_bytes());
    }
    if let Some(loader) = common.loader {
        hasher.field("loader").field(loader.to_bytes());
    }
    hasher.finish()
}
