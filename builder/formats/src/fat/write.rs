//! From a tree to a volume: [`Plan::new`] names and measures, [`Plan::emit`] places.

use super::geometry::{Geometry, SECTOR};
use super::{FatError, FatVolume, Options, name, time};
use crate::disk::Extent;
use bytes::Bytes;
use imgbuild_base::{Body, ByteSize, Kind, Tree, TreePath};
use std::collections::BTreeMap;

const ENTRY: usize = 32;
/// The largest directory, in bytes.
const LARGEST: usize = 65536 * ENTRY;
const DIRECTORY: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
const VOLUME: u8 = 0x08;
const LONG_NAME: u8 = 0x0F;
const END: u32 = 0x0FFF_FFFF;
const MEDIA: u8 = 0xF8;

enum What<'a> {
    /// Children, as indices.
    Directory(Vec<usize>),
    File(&'a Body),
}

struct Node<'a> {
    path: Option<&'a TreePath>,
    parent: usize,
    stored: name::Stored,
    what: What<'a>,
    /// Bytes it takes in the data area.
    length: u64,
}

/// A tree with FAT names, measured.
pub(super) struct Plan<'a> {
    /// In path order; the root is first.
    nodes: Vec<Node<'a>>,
    /// Indices in the order in which contents are to lie: directories, then files.
    order: Vec<usize>,
    /// Indices of those that lie at the volume's end instead, in order.
    last: Vec<usize>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(tree: &'a Tree, last: &[TreePath]) -> Result<Self, FatError> {
        let nameless = || name::Stored {
            short: [b' '; 11],
            long: Vec::new(),
        };
        let node = |path, parent, what, length| Node {
            path,
            parent,
            stored: nameless(),
            what,
            length,
        };
        let mut nodes = vec![node(None, 0, What::Directory(Vec::new()), 0)];
        let mut numbers: BTreeMap<&TreePath, usize> = BTreeMap::new();
        for (path, entry) in tree.iter() {
            let orphan = || FatError::Orphan(path.clone());
            let parent = match path.parent() {
                None => 0,
                Some(dir) => *numbers.get(&dir).ok_or_else(orphan)?,
            };
            let (what, length) = match &entry.kind {
                Kind::Directory => (What::Directory(Vec::new()), 0),
                Kind::File(body) => (What::File(body), body.bytes().len() as u64),
                other => {
                    return Err(FatError::Kind {
                        path: path.clone(),
                        what: other.describe(),
                    });
                }
            };
            if u32::try_from(length).is_err() {
                return Err(FatError::FileTooLarge {
                    path: path.clone(),
                    size: ByteSize::bytes(length),
                });
            }
            let number = nodes.len();
            match &mut nodes[parent].what {
                What::Directory(children) => children.push(number),
                What::File(_) => return Err(orphan()),
            }
            nodes.push(node(Some(path), parent, what, length));
            numbers.insert(path, number);
        }
        for directory in 0..nodes.len() {
            name_children(&mut nodes, directory)?;
        }
        let mut late = Vec::new();
        for path in last {
            match numbers.get(path) {
                Some(at) if late.contains(at) => {}
                Some(&at) => late.push(at),
                None => return Err(FatError::NoSuchEntry(path.clone())),
            }
        }
        let (directories, files): (Vec<usize>, Vec<usize>) = (0..nodes.len())
            .filter(|at| !late.contains(at))
            .partition(|&at| matches!(nodes[at].what, What::Directory(_)));
        let mut order = directories;
        order.extend(files);
        Ok(Self {
            nodes,
            order,
            last: late,
        })
    }

    /// How many clusters of that many bytes it takes.
    pub(super) fn clusters(&self, cluster: u64) -> u64 {
        let lengths = self.nodes.iter().map(|node| node.length.div_ceil(cluster));
        lengths.sum()
    }

    pub(super) fn emit(
        &self,
        geometry: &Geometry,
        options: &Options,
    ) -> Result<FatVolume, FatError> {
        let cluster = geometry.cluster_bytes();
        let needed = self.clusters(cluster);
        let full = || FatError::Full {
            needed: ByteSize::bytes(needed * cluster),
            available: ByteSize::bytes(u64::from(geometry.clusters) * cluster),
        };
        let used = u32::try_from(needed).map_err(|_| full())?;
        let free = geometry.clusters.checked_sub(used).ok_or_else(full)?;

        // Each node's first cluster, and the chains, which are all in one piece. What lies at
        // the end follows the free clusters.
        let mut starts = vec![0_u32; self.nodes.len()];
        let mut chains = |order: &[usize], first: u32, fat: &mut Vec<u32>| {
            let mut next = first;
            for &at in order {
                let count = self.nodes[at].length.div_ceil(cluster);
                let count = u32::try_from(count).map_err(|_| full())?;
                if count > 0 {
                    starts[at] = next;
                    fat.extend(next + 1..next + count);
                    fat.push(END);
                    next += count;
                }
            }
            Ok(next)
        };
        let mut fat = vec![0x0FFF_FF00 | u32::from(MEDIA), END];
        let next = chains(&self.order, 2, &mut fat)?;
        let behind = next + free;
        let mut end_of_fat = Vec::new();
        chains(&self.last, behind, &mut end_of_fat)?;

        let mut extents = vec![Extent::new(0, boot(geometry, options, free, next))];
        // Entries of free clusters are zeros that a reader looks at: on a medium that held
        // something else before, they have to be written.
        let free_entries = vec![0; usize::try_from(free).map_err(|_| full())?];
        let entries = fat.iter().chain(&free_entries).chain(&end_of_fat);
        let table = Bytes::from_iter(entries.flat_map(|entry| entry.to_le_bytes()));
        let tables = geometry.fats();
        extents.extend(tables.map(|at| Extent::new(at, table.clone())));
        for &at in self.order.iter().chain(&self.last) {
            let place = geometry.offset(starts[at].max(2));
            extents.push(match &self.nodes[at].what {
                What::Directory(children) => {
                    let mut listing = self.directory(at, children, &starts, options);
                    // A listing ends at its first zero.
                    let end = listing.len() as u64;
                    let end = end.next_multiple_of(cluster);
                    listing.resize(usize::try_from(end).map_err(|_| full())?, 0);
                    Extent::new(place, listing)
                }
                What::File(body) => Extent::of(place, body),
            });
        }
        extents.retain(|extent| !extent.bytes.is_empty());
        Ok(FatVolume {
            extents,
            size: options.size,
            cluster: ByteSize::bytes(cluster),
            free: ByteSize::bytes(u64::from(free) * cluster),
            last: geometry.offset(behind),
        })
    }

    fn directory(
        &self,
        at: usize,
        children: &[usize],
        starts: &[u32],
        options: &Options,
    ) -> Vec<u8> {
        let stamp = time::to_dos(options.epoch);
        let mut out = Vec::new();
        if at == 0 {
            out.extend(entry(&options.label.padded(), VOLUME, 0, 0, stamp));
        } else {
            let parent = self.nodes[at].parent;
            // The specification wants 0 for the root, though it lies at cluster 2.
            let up = if parent == 0 { 0 } else { starts[parent] };
            out.extend(entry(b".          ", DIRECTORY, starts[at], 0, stamp));
            out.extend(entry(b"..         ", DIRECTORY, up, 0, stamp));
        }
        for &child in children {
            let node = &self.nodes[child];
            long_entries(&node.stored, &mut out);
            let (attributes, size) = match &node.what {
                What::Directory(_) => (DIRECTORY, 0),
                // Checked when the plan was made.
                What::File(body) => {
                    let size = u32::try_from(body.bytes().len());
                    (ARCHIVE, size.unwrap_or(u32::MAX))
                }
            };
            out.extend(entry(
                &node.stored.short,
                attributes,
                starts[child],
                size,
                stamp,
            ));
        }
        out
    }
}

/// Gives the children of a directory their names and the directory its length.
fn name_children(nodes: &mut [Node<'_>], directory: usize) -> Result<(), FatError> {
    let What::Directory(children) = &nodes[directory].what else {
        return Ok(());
    };
    let children = children.clone();
    let paths: Vec<&TreePath> = children.iter().filter_map(|&at| nodes[at].path).collect();
    let mut seen: BTreeMap<String, &TreePath> = BTreeMap::new();
    for &path in &paths {
        if let Some(why) = name::problem(path.name()) {
            let path = path.clone();
            return Err(FatError::Name { path, why });
        }
        if let Some(first) = seen.insert(name::folded(path.name()), path) {
            return Err(FatError::Case {
                first: first.clone(),
                second: path.clone(),
            });
        }
    }
    let names: Vec<&str> = paths.iter().map(|path| path.name()).collect();
    let stored = name::assign(&names);
    let own = if directory == 0 { 1 } else { 2 };
    let entries = own + stored.iter().map(name::Stored::entries).sum::<usize>();
    if entries * ENTRY > LARGEST {
        let path = nodes[directory].path.map(ToString::to_string);
        return Err(FatError::DirectoryTooLarge(path.unwrap_or_default()));
    }
    nodes[directory].length = (entries * ENTRY) as u64;
    for (at, stored) in children.into_iter().zip(stored) {
        nodes[at].stored = stored;
    }
    Ok(())
}

fn entry(short: &[u8; 11], attributes: u8, cluster: u32, size: u32, stamp: (u16, u16)) -> [u8; 32] {
    let (date, time) = (stamp.0.to_le_bytes(), stamp.1.to_le_bytes());
    let cluster = cluster.to_le_bytes();
    let mut out = [0; ENTRY];
    out[..11].copy_from_slice(short);
    out[11] = attributes;
    out[14..16].copy_from_slice(&time);
    out[16..18].copy_from_slice(&date);
    out[18..20].copy_from_slice(&date);
    out[20..22].copy_from_slice(&cluster[2..]);
    out[22..24].copy_from_slice(&time);
    out[24..26].copy_from_slice(&date);
    out[26..28].copy_from_slice(&cluster[..2]);
    out[28..].copy_from_slice(&size.to_le_bytes());
    out
}

/// The entries of a long name: its parts from the last to the first, padded with 0 and ffff.
fn long_entries(stored: &name::Stored, out: &mut Vec<u8>) {
    let checksum = name::checksum(&stored.short);
    let parts: Vec<&[u16]> = stored.long.chunks(name::UNITS).collect();
    let numbered = (1_u8..).zip(&parts);
    for (number, part) in numbered.collect::<Vec<_>>().into_iter().rev() {
        let mut units = [0xFFFF_u16; name::UNITS];
        units[..part.len()].copy_from_slice(part);
        if let Some(after) = units.get_mut(part.len()) {
            *after = 0;
        }
        let is_last = usize::from(number) == parts.len();
        let mut text = units.iter().flat_map(|unit| unit.to_le_bytes());
        let mut put = |count| out_take(&mut text, count);
        let (one, two, three) = (put(10), put(12), put(4));
        out.push(number | if is_last { 0x40 } else { 0 });
        out.extend(one);
        out.extend([LONG_NAME, 0, checksum]);
        out.extend(two);
        out.extend([0, 0]);
        out.extend(three);
    }
}

fn out_take(bytes: &mut impl Iterator<Item = u8>, count: usize) -> Vec<u8> {
    bytes.take(count).collect()
}

/// The first nine sectors: boot sector, file system information and an empty third one,
/// three unused, and the backup of the first three.
fn boot(geometry: &Geometry, options: &Options, free: u32, next: u32) -> Vec<u8> {
    let mut sector = Vec::with_capacity(9 * 512);
    sector.extend([0xEB, 0x58, 0x90]); // jump to the code below
    sector.extend(b"IMGBUILD");
    sector.extend(512_u16.to_le_bytes());
    sector.push(geometry.per_cluster);
    sector.extend(geometry.reserved.to_le_bytes());
    sector.push(2); // tables
    sector.extend([0; 4]); // root entries and 16-bit size: not on FAT32
    sector.push(MEDIA);
    sector.extend([0; 2]); // 16-bit table size
    sector.extend(63_u16.to_le_bytes()); // sectors a track
    sector.extend(255_u16.to_le_bytes()); // heads
    sector.extend(options.hidden_sectors.to_le_bytes());
    sector.extend(geometry.total.to_le_bytes());
    sector.extend(geometry.fat.to_le_bytes());
    sector.extend([0; 4]); // both tables in use, version 0.0
    sector.extend(2_u32.to_le_bytes()); // root directory
    sector.extend(1_u16.to_le_bytes()); // file system information
    sector.extend(6_u16.to_le_bytes()); // backup
    sector.extend([0; 12]);
    sector.extend([0x80, 0, 0x29]); // a hard disk; three fields follow
    sector.extend(options.volume_id.to_le_bytes());
    sector.extend(options.label.padded());
    sector.extend(b"FAT32   ");
    // Nothing to boot here: hand over to the firmware's next choice (int 18h), else halt.
    sector.extend([0xCD, 0x18, 0xF4, 0xEB, 0xFD]);
    finish_sector(&mut sector);

    sector.extend(b"RRaA");
    sector.resize(2 * 512 - 28, 0);
    sector.extend(b"rrAa");
    sector.extend(free.to_le_bytes());
    sector.extend(next.to_le_bytes());
    finish_sector(&mut sector);
    finish_sector(&mut sector);

    let backup = sector.clone();
    sector.resize(6 * 512, 0);
    sector.extend(backup);
    debug_assert_eq!(sector.len() as u64, 9 * SECTOR);
    sector
}

/// Fills up to the next sector, which ends in the boot signature.
fn finish_sector(bytes: &mut Vec<u8>) {
    bytes.resize((bytes.len() + 2).next_multiple_of(512) - 2, 0);
    bytes.extend([0x55, 0xAA]);
}
