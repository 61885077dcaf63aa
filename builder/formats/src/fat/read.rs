//! From a volume back to a tree, trusting nothing in it.
//!
//! Every cluster may belong to one chain only, which bounds all loops and all memory by the
//! size of the volume; directories nest at most [`DEEPEST`] levels.

use super::{name, time};
use bytes::Bytes;
use imgbuild_base::{ByteSize, Meta, Tree, TreePath};

/// How deep directories may nest.
const DEEPEST: usize = 64;
const ENTRY: usize = 32;

/// What a volume says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The serial number.
    pub volume_id: u32,
    /// The label in the boot sector, without trailing blanks.
    pub label: String,
    /// The whole size.
    pub size: ByteSize,
    /// Bytes in a cluster.
    pub cluster: ByteSize,
    /// How many clusters there are.
    pub clusters: u32,
    /// Sectors before the volume on its disk.
    pub hidden_sectors: u32,
}

/// Why bytes are not a sound FAT32 volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The boot sector does not describe a FAT32 volume.
    #[error("not a FAT32 volume: {0}")]
    NotFat32(&'static str),
    /// The volume is cut off.
    #[error("the FAT volume has {expected} bytes, but only {found} are there")]
    Truncated {
        /// What the boot sector says.
        expected: u64,
        /// What was given.
        found: u64,
    },
    /// A file's clusters cannot be followed.
    #[error("/{path}: {what} (cluster {cluster}): the volume is damaged, see fsck.fat")]
    Chain {
        /// The file or directory; empty for the root.
        path: String,
        /// The cluster at which it happened.
        cluster: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// A name that can be no component of a path.
    #[error("/{directory} holds the impossible name {name:?}: the volume is damaged")]
    Name {
        /// Where.
        directory: String,
        /// What.
        name: String,
    },
    /// One name twice.
    #[error("/{0} is there twice: the volume is damaged")]
    Duplicate(TreePath),
    /// Directories nest too deep.
    #[error("/{0} lies more than 64 directories deep")]
    TooDeep(TreePath),
}

/// Reads the boot sector.
///
/// # Errors
/// [`ReadError`] when it is not one of a FAT32 volume that `volume` holds whole.
pub fn info(volume: &[u8]) -> Result<Info, ReadError> {
    Areas::new(volume).map(|areas| areas.info)
}

/// Reads all files. Bodies that lie in one piece, as those of [`super::layout`] do, are windows
/// on `volume`. Modes are 0755 and 0644, owners root; times are taken as UTC.
///
/// # Errors
/// [`ReadError`] when the volume is damaged in any way that matters for its files.
pub fn read(volume: &Bytes) -> Result<Tree, ReadError> {
    let areas = Areas::new(volume)?;
    let mut reader = Reader {
        volume,
        seen: vec![false; areas.info.clusters as usize + 2],
        areas,
        tree: Tree::new(),
    };
    let mut todo: Vec<(Option<TreePath>, u32)> = vec![(None, reader.areas.root)];
    while let Some((path, cluster)) = todo.pop() {
        reader.directory(path.as_ref(), cluster, &mut todo)?;
    }
    Ok(reader.tree)
}

/// Where the areas of a volume are, in bytes.
struct Areas {
    info: Info,
    fat: usize,
    data: usize,
    cluster: usize,
    root: u32,
}

impl Areas {
    fn new(volume: &[u8]) -> Result<Self, ReadError> {
        use ReadError::NotFat32;
        let boot = volume
            .get(..512)
            .ok_or(NotFat32("shorter than one sector"))?;
        if boot[510..] != [0x55, 0xAA] {
            return Err(NotFat32("no 55 aa at offset 510"));
        }
        let sector = u64::from(u16_at(boot, 11));
        let per_cluster = u64::from(boot[13]);
        if !matches!(sector, 512 | 1024 | 2048 | 4096) || !per_cluster.is_power_of_two() {
            return Err(NotFat32("impossible sector or cluster size"));
        }
        if u16_at(boot, 17) != 0 || u16_at(boot, 19) != 0 || u16_at(boot, 22) != 0 {
            return Err(NotFat32("FAT12 or FAT16 fields are set"));
        }
        let (reserved, tables) = (u64::from(u16_at(boot, 14)), u64::from(boot[16]));
        let (total, table) = (u64::from(u32_at(boot, 32)), u64::from(u32_at(boot, 36)));
        let areas = reserved + tables * table;
        if reserved == 0 || tables == 0 || table == 0 || total <= areas {
            return Err(NotFat32("its areas do not fit its size"));
        }
        let (expected, found) = (total * sector, volume.len() as u64);
        if expected > found {
            return Err(ReadError::Truncated { expected, found });
        }
        // No more clusters than both the data area and the table have room for; entries 0
        // and 1 of the table are none.
        let clusters = ((total - areas) / per_cluster).min((table * sector / 4).saturating_sub(2));
        let oversized = |_| NotFat32("larger than this machine can address");
        Ok(Self {
            info: Info {
                volume_id: u32_at(boot, 67),
                label: String::from_utf8_lossy(&boot[71..82]).trim_end().to_owned(),
                size: ByteSize::bytes(expected),
                cluster: ByteSize::bytes(per_cluster * sector),
                clusters: u32::try_from(clusters)
                    .ok()
                    .filter(|&count| count < 0x0FFF_FFF5)
                    .ok_or(NotFat32("more clusters than FAT32 can count"))?,
                hidden_sectors: u32_at(boot, 28),
            },
            fat: usize::try_from(reserved * sector).map_err(oversized)?,
            data: usize::try_from(areas * sector).map_err(oversized)?,
            cluster: usize::try_from(per_cluster * sector).map_err(oversized)?,
            root: u32_at(boot, 44),
        })
    }
}

struct Reader<'a> {
    volume: &'a Bytes,
    areas: Areas,
    /// Clusters that belong to a chain already followed.
    seen: Vec<bool>,
    tree: Tree,
}

impl Reader<'_> {
    /// The clusters from `first` on as one piece of memory, at most `length` bytes of it.
    fn chain(&mut self, path: &str, first: u32, length: Option<u32>) -> Result<Bytes, ReadError> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        let mut cluster = first;
        loop {
            let fault = |what| ReadError::Chain {
                path: path.to_owned(),
                cluster,
                what,
            };
            let index = cluster as usize;
            match self.seen.get_mut(index) {
                Some(seen) if index >= 2 => {
                    if std::mem::replace(seen, true) {
                        return Err(fault("its chain runs into itself or another"));
                    }
                }
                _ => return Err(fault("its chain leaves the volume")),
            }
            let start = self.areas.data + (index - 2) * self.areas.cluster;
            let end = start + self.areas.cluster;
            match runs.last_mut() {
                Some(run) if run.1 == start => run.1 = end,
                _ => runs.push((start, end)),
            }
            cluster = u32_at(self.volume, self.areas.fat + index * 4) & 0x0FFF_FFFF;
            if cluster >= 0x0FFF_FFF8 {
                break;
            }
        }
        let mut bytes = match runs[..] {
            [(start, end)] => self.volume.slice(start..end),
            _ => {
                let parts: Vec<&[u8]> = runs.iter().map(|&(s, e)| &self.volume[s..e]).collect();
                parts.concat().into()
            }
        };
        if let Some(length) = length {
            if bytes.len() < length as usize {
                return Err(ReadError::Chain {
                    path: path.to_owned(),
                    cluster: first,
                    what: "its chain is shorter than its size",
                });
            }
            bytes.truncate(length as usize);
        }
        Ok(bytes)
    }

    fn directory(
        &mut self,
        path: Option<&TreePath>,
        cluster: u32,
        todo: &mut Vec<(Option<TreePath>, u32)>,
    ) -> Result<(), ReadError> {
        let shown = path.map(ToString::to_string).unwrap_or_default();
        let bytes = self.chain(&shown, cluster, None)?;
        let mut long = LongName::default();
        for entry in bytes.chunks_exact(ENTRY) {
            match (entry[0], entry[11]) {
                (0, _) => break,
                (0xE5, _) => long = LongName::default(),
                (_, attributes) if attributes & 0x3F == 0x0F => long.part(entry),
                // A volume label, or the directory itself and its parent.
                (_, attributes) if attributes & 0x08 != 0 => long = LongName::default(),
                (b'.', _) => long = LongName::default(),
                (_, attributes) => {
                    let name = std::mem::take(&mut long)
                        .finish(entry)
                        .unwrap_or_else(|| short_name(entry));
                    let child = child(path, &name).ok_or_else(|| ReadError::Name {
                        directory: shown.clone(),
                        name,
                    })?;
                    if self.tree.get(&child).is_some() {
                        return Err(ReadError::Duplicate(child));
                    }
                    self.entry(child, attributes, entry, todo)?;
                }
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        path: TreePath,
        attributes: u8,
        entry: &[u8],
        todo: &mut Vec<(Option<TreePath>, u32)>,
    ) -> Result<(), ReadError> {
        let mtime = time::from_dos(u16_at(entry, 24), u16_at(entry, 22));
        let cluster = u32::from(u16_at(entry, 20)) << 16 | u32::from(u16_at(entry, 26));
        let size = u32_at(entry, 28);
        if attributes & 0x10 != 0 {
            if path.components().count() > DEEPEST {
                return Err(ReadError::TooDeep(path));
            }
            self.tree.put_dir(path.clone(), Meta::root(0o755, mtime));
            todo.push((Some(path), cluster));
        } else {
            let bytes = match size {
                0 => Bytes::new(),
                _ => self.chain(path.as_str(), cluster, Some(size))?,
            };
            self.tree.put_file(path, Meta::root(0o644, mtime), bytes);
        }
        Ok(())
    }
}

/// The path of `name` in a directory, if it is one component.
fn child(directory: Option<&TreePath>, name: &str) -> Option<TreePath> {
    if name.contains('/') || name == "." || name.is_empty() {
        return None;
    }
    match directory {
        None => TreePath::new(name).ok(),
        Some(directory) => directory.join(name).ok(),
    }
}

/// A long name under way: its parts come from the last to the first.
#[derive(Default)]
struct LongName {
    /// The parts so far, the latest first.
    units: Vec<u16>,
    checksum: u8,
    /// The number the next part must have, plus one; 0 when nothing sound was begun.
    left: u8,
}

impl LongName {
    fn part(&mut self, entry: &[u8]) {
        let number = entry[0] & 0x3F;
        if entry[0] & 0x40 != 0 {
            *self = Self {
                units: Vec::new(),
                checksum: entry[13],
                left: number + 1,
            };
        }
        if number == 0 || number > 20 || number + 1 != self.left || entry[13] != self.checksum {
            *self = Self::default();
            return;
        }
        self.left = number;
        let places = (1..11).chain(14..26).chain(28..32).step_by(2);
        let units: Vec<u16> = places
            .map(|at| u16_at(entry, at))
            .take_while(|&unit| unit != 0)
            .collect();
        self.units.splice(0..0, units);
    }

    /// The name, if it is complete and belongs to this short entry.
    fn finish(self, entry: &[u8]) -> Option<String> {
        let short: [u8; 11] = entry[..11].try_into().ok()?;
        let sound = self.left == 1 && self.checksum == name::checksum(&short);
        (sound && !self.units.is_empty()).then(|| String::from_utf16_lossy(&self.units))
    }
}

/// The 8.3 name with its dot; lower case where the flags Windows keeps in byte 12 say so.
/// Bytes outside ASCII belong to an unknown code page and become U+FFFD.
fn short_name(entry: &[u8]) -> String {
    let part = |bytes: &[u8], lower: bool| {
        let text: String = bytes
            .iter()
            .map(|&byte| match byte {
                0x20..0x7F if lower => char::from(byte.to_ascii_lowercase()),
                0x20..0x7F => char::from(byte),
                _ => char::REPLACEMENT_CHARACTER,
            })
            .collect();
        text.trim_end().to_owned()
    };
    let base = part(&entry[..8], entry[12] & 0x08 != 0);
    let extension = part(&entry[8..11], entry[12] & 0x10 != 0);
    match extension.is_empty() {
        true => base,
        false => format!("{base}.{extension}"),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
