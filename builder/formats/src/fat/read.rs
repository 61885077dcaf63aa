//! From a volume back to its files, trusting nothing in it.
//!
//! Every cluster may belong to one chain only, which bounds all loops and all memory by the
//! size of the volume; directories nest at most [`DEEPEST`] levels. [`list`] finds out where
//! files are and leaves their contents where they lie; [`read`] is for volumes in memory.

use super::{name, time};
use crate::source::Source;
use bytes::Bytes;
use imgbuild_base::{ByteSize, Epoch, Meta, Tree, TreePath};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

/// How deep directories may nest.
const DEEPEST: usize = 64;
const ENTRY: usize = 32;
/// Bytes of the largest directory: 65536 entries.
const LARGEST_DIRECTORY: u64 = 2 << 20;
/// Bytes of the allocation table that are looked at together.
const WINDOW: u64 = 64 << 10;

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
    /// The medium does not give its bytes.
    #[error("the FAT volume cannot be read at offset {at}: {reason}")]
    Medium {
        /// Where, in bytes from the volume's start.
        at: u64,
        /// What the system says.
        reason: String,
    },
    /// Directories nest too deep.
    #[error("/{0} lies more than 64 directories deep")]
    TooDeep(TreePath),
}

/// A file or directory of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Time of last change, taken as UTC.
    pub mtime: Epoch,
    /// What it is.
    pub kind: ListedKind,
}

/// What a volume's entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListedKind {
    /// A directory; its entries are the paths below it.
    Directory,
    /// A file.
    File(Stretches),
}

/// Where a file's content lies: stretches of its volume in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretches(Vec<Range<u64>>);

impl Stretches {
    /// How long the file is.
    #[must_use]
    pub fn size(&self) -> ByteSize {
        ByteSize::bytes(self.0.iter().map(|part| part.end - part.start).sum())
    }

    /// Reads the content from the volume it was listed in.
    pub fn reader<S: Source>(&self, volume: S) -> impl io::Read {
        FileReader {
            volume,
            left: self.0.clone().into(),
        }
    }

    /// The content, to be read from any place, in the volume it was listed in.
    pub fn source<'a, S: Source + 'a>(&'a self, volume: S) -> impl Source + 'a {
        let ends = self.0.iter().scan(0, |end, part| {
            *end += part.end - part.start;
            Some(*end)
        });
        FileSource {
            ends: ends.collect(),
            parts: &self.0,
            volume,
        }
    }

    /// Leaves the first `size` bytes; whether there were as many.
    fn truncate(&mut self, size: u64) -> bool {
        let mut left = size;
        for part in &mut self.0 {
            part.end = part.end.min(part.start + left);
            left -= part.end - part.start;
        }
        self.0.retain(|part| !part.is_empty());
        left == 0
    }
}

#[cfg(test)]
pub(super) fn stretches(parts: Vec<Range<u64>>) -> Stretches {
    Stretches(parts)
}

struct FileSource<'a, S> {
    volume: S,
    parts: &'a [Range<u64>],
    /// How far into the file each part reaches.
    ends: Vec<u64>,
}

impl<S: Source> Source for FileSource<'_, S> {
    fn size(&self) -> ByteSize {
        ByteSize::bytes(self.ends.last().copied().unwrap_or(0))
    }

    fn read_at(&self, mut at: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let number = self.ends.partition_point(|&end| end <= at);
            let (Some(part), Some(end)) = (self.parts.get(number), self.ends.get(number)) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let left = end - at;
            let here = usize::try_from(left).unwrap_or(usize::MAX);
            let (now, later) = buffer.split_at_mut(here.min(buffer.len()));
            self.volume.read_at(part.end - left, now)?;
            at += now.len() as u64;
            buffer = later;
        }
        Ok(())
    }
}

struct FileReader<S> {
    volume: S,
    left: std::collections::VecDeque<Range<u64>>,
}

impl<S: Source> io::Read for FileReader<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(part) = self.left.front_mut() else {
            return Ok(0);
        };
        let here = usize::try_from(part.end - part.start).unwrap_or(usize::MAX);
        let count = here.min(buffer.len());
        self.volume.read_at(part.start, &mut buffer[..count])?;
        part.start += count as u64;
        if part.is_empty() {
            self.left.pop_front();
        }
        Ok(count)
    }
}

/// Reads the boot sector.
///
/// # Errors
/// [`ReadError`] when it is not one of a FAT32 volume that `volume` holds whole.
pub fn info(volume: &(impl Source + ?Sized)) -> Result<Info, ReadError> {
    Areas::new(volume).map(|areas| areas.info)
}

/// Finds all files and directories, reading no file.
///
/// # Errors
/// [`ReadError`] when the volume is damaged in any way that matters for its files.
pub fn list(volume: &(impl Source + ?Sized)) -> Result<BTreeMap<TreePath, Listed>, ReadError> {
    let areas = Areas::new(volume)?;
    let mut reader = Reader {
        volume,
        seen: vec![false; areas.info.clusters as usize + 2],
        areas,
        window: (0, Vec::new()),
        listing: BTreeMap::new(),
    };
    let mut todo: Vec<(Option<TreePath>, u32)> = vec![(None, reader.areas.root)];
    while let Some((path, cluster)) = todo.pop() {
        reader.directory(path.as_ref(), cluster, &mut todo)?;
    }
    Ok(reader.listing)
}

/// Reads all files. Bodies that lie in one piece, as those of [`super::layout`] do, are windows
/// on `volume`. Modes are 0755 and 0644, owners root; times are taken as UTC.
///
/// # Errors
/// As [`list`].
pub fn read(volume: &Bytes) -> Result<Tree, ReadError> {
    let mut tree = Tree::new();
    for (path, entry) in list(&volume[..])? {
        match entry.kind {
            ListedKind::Directory => tree.put_dir(path, Meta::root(0o755, entry.mtime)),
            ListedKind::File(Stretches(parts)) => {
                let parts: Vec<Bytes> = parts.iter().map(|part| slice(volume, part)).collect();
                let bytes = match &parts[..] {
                    [one] => one.clone(),
                    several => several.concat().into(),
                };
                tree.put_file(path, Meta::root(0o644, entry.mtime), bytes);
            }
        }
    }
    Ok(tree)
}

/// A stretch that was found in this very volume.
fn slice(volume: &Bytes, part: &Range<u64>) -> Bytes {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(volume.len());
    volume.slice(index(part.start)..index(part.end))
}

/// Where the areas of a volume are, in bytes.
struct Areas {
    info: Info,
    fat: u64,
    data: u64,
    cluster: u64,
    root: u32,
}

impl Areas {
    fn new(volume: &(impl Source + ?Sized)) -> Result<Self, ReadError> {
        use ReadError::NotFat32;
        if volume.size().get() < 512 {
            return Err(NotFat32("shorter than one sector"));
        }
        let boot = &fetch(volume, 0, 512)?[..];
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
        let (expected, found) = (total * sector, volume.size().get());
        if expected > found {
            return Err(ReadError::Truncated { expected, found });
        }
        // No more clusters than both the data area and the table have room for; entries 0
        // and 1 of the table are none.
        let clusters = ((total - areas) / per_cluster).min((table * sector / 4).saturating_sub(2));
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
            fat: reserved * sector,
            data: areas * sector,
            cluster: per_cluster * sector,
            root: u32_at(boot, 44),
        })
    }
}

/// The `length` bytes of the volume from `at` on.
fn fetch(volume: &(impl Source + ?Sized), at: u64, length: usize) -> Result<Vec<u8>, ReadError> {
    volume.bytes(at, length).map_err(|error| ReadError::Medium {
        at,
        reason: error.to_string(),
    })
}

struct Reader<'a, S: ?Sized> {
    volume: &'a S,
    areas: Areas,
    /// Clusters that belong to a chain already followed.
    seen: Vec<bool>,
    /// The part of the allocation table looked at last, and where it begins.
    window: (u64, Vec<u8>),
    listing: BTreeMap<TreePath, Listed>,
}

impl<S: Source + ?Sized> Reader<'_, S> {
    /// What the allocation table says of a cluster.
    fn next(&mut self, cluster: u32) -> Result<u32, ReadError> {
        let at = self.areas.fat + u64::from(cluster) * 4;
        let (start, bytes) = &self.window;
        if at < *start || at + 4 > *start + bytes.len() as u64 {
            let start = at / WINDOW * WINDOW;
            let end = (start + WINDOW).min(self.volume.size().get());
            let length = usize::try_from(end - start).unwrap_or(usize::MAX);
            self.window = (start, fetch(self.volume, start, length)?);
        }
        let (start, bytes) = &self.window;
        let inside = usize::try_from(at - start).unwrap_or(usize::MAX);
        Ok(u32_at(bytes, inside) & 0x0FFF_FFFF)
    }

    /// The clusters from `first` on, at most `length` bytes of them.
    fn chain(
        &mut self,
        path: &str,
        first: u32,
        length: Option<u32>,
    ) -> Result<Stretches, ReadError> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        let mut cluster = first;
        let fault = |cluster, what| ReadError::Chain {
            path: path.to_owned(),
            cluster,
            what,
        };
        loop {
            let index = cluster as usize;
            match self.seen.get_mut(index) {
                Some(seen) if index >= 2 => {
                    if std::mem::replace(seen, true) {
                        return Err(fault(cluster, "its chain runs into itself or another"));
                    }
                }
                _ => return Err(fault(cluster, "its chain leaves the volume")),
            }
            let start = self.areas.data + u64::from(cluster - 2) * self.areas.cluster;
            let end = start + self.areas.cluster;
            match runs.last_mut() {
                Some(run) if run.end == start => run.end = end,
                _ => runs.push(start..end),
            }
            cluster = self.next(cluster)?;
            if cluster >= 0x0FFF_FFF8 {
                break;
            }
        }
        let mut stretches = Stretches(runs);
        if let Some(length) = length
            && !stretches.truncate(length.into())
        {
            return Err(fault(first, "its chain is shorter than its size"));
        }
        Ok(stretches)
    }

    /// The entries of the directory that begins at a cluster.
    fn entries(&mut self, path: &str, cluster: u32) -> Result<Vec<u8>, ReadError> {
        let stretches = self.chain(path, cluster, None)?;
        if stretches.size().get() > LARGEST_DIRECTORY {
            return Err(ReadError::Chain {
                path: path.to_owned(),
                cluster,
                what: "it is a directory of more than 2 MiB",
            });
        }
        let mut bytes = Vec::new();
        for part in &stretches.0 {
            let length = usize::try_from(part.end - part.start).unwrap_or(usize::MAX);
            bytes.extend(fetch(self.volume, part.start, length)?);
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
        let bytes = self.entries(&shown, cluster)?;
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
                    if self.listing.contains_key(&child) {
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
            let kind = ListedKind::Directory;
            self.listing.insert(path.clone(), Listed { mtime, kind });
            todo.push((Some(path), cluster));
        } else {
            let content = match size {
                0 => Stretches::default(),
                _ => self.chain(path.as_str(), cluster, Some(size))?,
            };
            let kind = ListedKind::File(content);
            self.listing.insert(path, Listed { mtime, kind });
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
