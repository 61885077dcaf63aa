//! An image as a tree. The image may come from anywhere: whatever it holds, the reader ends,
//! stays within its [`Limits`] and does not panic.

use super::error::ReadError;
use super::inode::{Inode, Node, Tail, major_minor};
use super::layout::{
    DATA_RAW, DOTS, FRAGMENT, Fields, HEADER_ENTRIES, METADATA, METADATA_RAW, Place, SUPERBLOCK,
    Superblock,
};
use crate::source::{Part, Source};
use imgbuild_base::{Body, Entry, Epoch, Kind, Meta, Tree, TreePath};
use std::collections::{HashMap, HashSet, VecDeque};
use zstd::bulk::Decompressor;

/// Bytes in the longest path that is read.
const LONGEST_PATH: usize = 4096;
/// Fragment blocks kept decompressed: files side by side share few of them.
const RECENT: usize = 8;

/// What an image may cost at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all different files together.
    pub content: u64,
    /// Bytes of each metadata table, decompressed.
    pub metadata: u64,
    /// Entries in all directories.
    pub entries: u64,
}

impl Default for Limits {
    /// 4 GiB of content, 64 MiB for a table, a million entries.
    fn default() -> Self {
        Self {
            content: 4 << 30,
            metadata: 64 << 20,
            entries: 1 << 20,
        }
    }
}

/// Reads an image as [`super::write`] makes it (zstd, no extended attributes), within the
/// default [`Limits`]. The root directory's own owner and mode are not part of a tree.
///
/// # Errors
/// [`ReadError`] when the image is damaged, too large, or uses what imgbuild does not write.
pub fn read(image: &[u8]) -> Result<Tree, ReadError> {
    read_with(image, &Limits::default())
}

/// As [`read`], within the given limits.
///
/// # Errors
/// As [`read`].
pub fn read_with(image: &[u8], limits: &Limits) -> Result<Tree, ReadError> {
    read_where(&image, limits, |_| true)
}

/// Reads of an image what is `wanted`, with the directories it lies in; of the rest only the
/// tables are looked at. So a few files can be had from a large image on a slow medium.
///
/// # Errors
/// As [`read`], and [`ReadError::Medium`].
pub fn read_where(
    image: &dyn Source,
    limits: &Limits,
    wanted: impl Fn(&TreePath) -> bool,
) -> Result<Tree, ReadError> {
    let head = usize::try_from(image.size().get()).unwrap_or(usize::MAX);
    let head = image.bytes(0, head.min(SUPERBLOCK));
    let superblock = Superblock::decode(&head.map_err(|error| medium(0, &error))?)?;
    let image = Part::new(image, 0..superblock.bytes_used).map_err(|_| ReadError::Truncated {
        what: "the image: it is shorter than its superblock says",
    })?;
    let mut source = Stored {
        image,
        decompressor: Decompressor::new().map_err(|error| ReadError::Block {
            what: "nothing",
            at: 0,
            reason: error.to_string(),
        })?,
    };
    let mut reader = Reader {
        ids: ids(&mut source, &superblock, limits)?,
        fragments: fragments(&mut source, &superblock, limits)?,
        inodes: source.table(
            superblock.inode_table,
            superblock.directory_table,
            limits.metadata,
        )?,
        directories: source.table(
            superblock.directory_table,
            // What follows is the fragment table if there is one, else the id table. Their
            // blocks come before their lists, so this may read some blocks too many.
            directories_end(&superblock),
            limits.metadata,
        )?,
        source,
        superblock,
        limits: *limits,
        content: 0,
        entries: 0,
        bodies: HashMap::new(),
        recent: VecDeque::with_capacity(RECENT),
        tree: Tree::new(),
    };
    reader.walk(&wanted)?;
    Ok(reader.tree)
}

fn medium(at: u64, error: &std::io::Error) -> ReadError {
    ReadError::Medium {
        at,
        reason: error.to_string(),
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn directories_end(superblock: &Superblock) -> u64 {
    superblock.id_table.min(superblock.fragment_table)
}

fn ids(
    source: &mut Stored<'_>,
    superblock: &Superblock,
    limits: &Limits,
) -> Result<Vec<u32>, ReadError> {
    let bytes = usize::from(superblock.ids) * 4;
    let table = source.lookup_table(superblock.id_table, bytes, limits.metadata)?;
    let mut fields = Fields::new(&table, "the id table");
    (0..superblock.ids).map(|_| fields.u32()).collect()
}

fn fragments(
    source: &mut Stored<'_>,
    superblock: &Superblock,
    limits: &Limits,
) -> Result<Vec<(u64, u32)>, ReadError> {
    let bytes = index(superblock.fragments.into()).saturating_mul(FRAGMENT);
    let table = source.lookup_table(superblock.fragment_table, bytes, limits.metadata)?;
    let mut fields = Fields::new(&table, "the fragment table");
    let mut fragments = Vec::with_capacity(table.len() / FRAGMENT);
    for _ in 0..table.len() / FRAGMENT {
        fragments.push((fields.u64()?, fields.u32()?));
        let _unused = fields.u32()?;
    }
    Ok(fragments)
}

/// The image's bytes and the means to decompress them.
struct Stored<'a> {
    image: Part<&'a dyn Source>,
    decompressor: Decompressor<'static>,
}

/// A metadata table, decompressed, and where in it each stored block starts.
struct Table {
    bytes: Vec<u8>,
    blocks: HashMap<u32, usize>,
}

impl Table {
    /// The bytes from a place on.
    fn at(&self, place: Place, what: &'static str) -> Result<&[u8], ReadError> {
        let astray = ReadError::Astray {
            what,
            at: place.block.into(),
        };
        let Some(start) = self.blocks.get(&place.block) else {
            return Err(astray);
        };
        self.bytes
            .get(start + usize::from(place.offset)..)
            .ok_or(astray)
    }
}

impl Stored<'_> {
    fn bytes(&self, at: u64, length: usize, what: &'static str) -> Result<Vec<u8>, ReadError> {
        let bytes = self.image.bytes(at, length);
        bytes.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => ReadError::Astray { what, at },
            _ => medium(at, &error),
        })
    }

    /// Decompresses a block to at most `most` bytes.
    fn unpack(
        &mut self,
        at: u64,
        length: usize,
        most: usize,
        what: &'static str,
    ) -> Result<Vec<u8>, ReadError> {
        let stored = self.bytes(at, length, what)?;
        let mut out = Vec::with_capacity(most);
        self.decompressor
            .decompress_to_buffer(&stored[..], &mut out)
            .map_err(|error| ReadError::Block {
                what,
                at,
                reason: error.to_string(),
            })?;
        Ok(out)
    }

    /// One metadata block and the position after it.
    fn metadata(&mut self, at: u64) -> Result<(Vec<u8>, u64), ReadError> {
        let what = "a metadata block";
        let header = Fields::new(&self.bytes(at, 2, what)?, what).u16()?;
        let length = usize::from(header & !METADATA_RAW);
        let start = at.saturating_add(2);
        let bytes = if header & METADATA_RAW == 0 {
            self.unpack(start, length, METADATA, what)?
        } else {
            self.bytes(start, length, what)?
        };
        if bytes.is_empty() || bytes.len() > METADATA {
            return Err(ReadError::Block {
                what,
                at,
                reason: format!("{} bytes, expected 1 to {METADATA}", bytes.len()),
            });
        }
        Ok((bytes, start.saturating_add(length as u64)))
    }

    /// All metadata blocks from `start` to `end`.
    fn table(&mut self, start: u64, end: u64, limit: u64) -> Result<Table, ReadError> {
        let mut table = Table {
            bytes: Vec::new(),
            blocks: HashMap::new(),
        };
        let mut at = start;
        while at < end {
            let block = u32::try_from(at - start).map_err(|_| ReadError::TooLarge {
                what: "metadata",
                limit,
            })?;
            let (bytes, next) = self.metadata(at)?;
            table.blocks.insert(block, table.bytes.len());
            let last = bytes.len() < METADATA;
            table.bytes.extend(bytes);
            if table.bytes.len() as u64 > limit {
                return Err(ReadError::TooLarge {
                    what: "metadata",
                    limit,
                });
            }
            if last {
                break;
            }
            at = next;
        }
        Ok(table)
    }

    /// A table of `length` bytes whose blocks are listed at `list`.
    fn lookup_table(&mut self, list: u64, length: usize, limit: u64) -> Result<Vec<u8>, ReadError> {
        let what = "a table's list of blocks";
        if length as u64 > limit {
            return Err(ReadError::TooLarge {
                what: "metadata",
                limit,
            });
        }
        if length == 0 {
            return Ok(Vec::new());
        }
        let count = length.div_ceil(METADATA);
        let positions = self.bytes(list, count * 8, what)?;
        let mut positions = Fields::new(&positions, what);
        let mut table = Vec::new();
        for _ in 0..count {
            table.extend(self.metadata(positions.u64()?)?.0);
        }
        if table.len() != length {
            return Err(ReadError::Truncated { what: "a table" });
        }
        Ok(table)
    }
}

/// What makes two inodes' content one.
type Content = (u64, u64, Option<Tail>, Vec<u32>);

struct Reader<'a> {
    source: Stored<'a>,
    superblock: Superblock,
    limits: Limits,
    ids: Vec<u32>,
    fragments: Vec<(u64, u32)>,
    inodes: Table,
    directories: Table,
    content: u64,
    entries: u64,
    bodies: HashMap<Content, Body>,
    /// The fragment blocks read last, with their numbers.
    recent: VecDeque<(u32, Vec<u8>)>,
    tree: Tree,
}

/// A directory to be read.
struct Todo {
    path: Option<TreePath>,
    listing: Place,
    size: u32,
}

impl Reader<'_> {
    fn walk(&mut self, wanted: &impl Fn(&TreePath) -> bool) -> Result<(), ReadError> {
        let root = self.superblock.root;
        let mut seen = HashSet::from([root]);
        let Node::Directory { listing, size, .. } = self.inode(root)?.node else {
            return Err(ReadError::Astray {
                what: "the root directory",
                at: root.block.into(),
            });
        };
        let mut todo = vec![Todo {
            path: None,
            listing,
            size,
        }];
        while let Some(dir) = todo.pop() {
            for (name, place) in self.listing(&dir)? {
                let path = join(dir.path.as_ref(), &name)?;
                let inode = self.inode(place)?;
                let meta = self.meta(&inode)?;
                let kind = match inode.node {
                    Node::Directory { listing, size, .. } => {
                        if !seen.insert(place) {
                            return Err(ReadError::Loop {
                                path: path.to_string(),
                            });
                        }
                        todo.push(Todo {
                            path: Some(path.clone()),
                            listing,
                            size,
                        });
                        Kind::Directory
                    }
                    Node::File { .. } if !wanted(&path) => continue,
                    Node::File {
                        start,
                        size,
                        tail,
                        blocks,
                        ..
                    } => {
                        let blocks = blocks.into_owned();
                        Kind::File(self.body((start, size, tail, blocks))?)
                    }
                    Node::Symlink { target } => {
                        let target =
                            std::str::from_utf8(target).map_err(|_| ReadError::Target {
                                path: path.to_string(),
                            })?;
                        Kind::Symlink(target.to_owned())
                    }
                    Node::CharDevice { device } => {
                        let (major, minor) = major_minor(device);
                        Kind::CharDevice { major, minor }
                    }
                };
                self.tree.put(path, Entry { meta, kind });
            }
        }
        Ok(())
    }

    fn inode(&self, place: Place) -> Result<Inode<'_>, ReadError> {
        let bytes = self.inodes.at(place, "an inode")?;
        Inode::decode(bytes, self.superblock.block_log, self.limits.content)
    }

    fn meta(&self, inode: &Inode<'_>) -> Result<Meta, ReadError> {
        let id = |index: u16| {
            let id = self.ids.get(usize::from(index)).copied();
            id.ok_or(ReadError::Astray {
                what: "an owner",
                at: index.into(),
            })
        };
        Ok(Meta {
            mode: inode.mode & 0o7777,
            uid: id(inode.uid)?,
            gid: id(inode.gid)?,
            mtime: Epoch::from_u32(inode.mtime),
        })
    }

    /// Names and inodes of a directory's entries.
    fn listing(&mut self, dir: &Todo) -> Result<Vec<(Vec<u8>, Place)>, ReadError> {
        let what = "a directory";
        let size = index(dir.size.saturating_sub(DOTS).into());
        let mut entries = Vec::new();
        if size == 0 {
            return Ok(entries);
        }
        let bytes = self.directories.at(dir.listing, what)?;
        let bytes = bytes.get(..size).ok_or(ReadError::Truncated { what })?;
        let mut fields = Fields::new(bytes, what);
        let mut left = size;
        while left > 0 {
            let count = index(fields.u32()?.into()).saturating_add(1);
            let block = fields.u32()?;
            let _number = fields.u32()?;
            left = left.saturating_sub(12);
            if count > HEADER_ENTRIES {
                return Err(ReadError::Astray {
                    what: "a directory's header",
                    at: dir.listing.block.into(),
                });
            }
            self.entries += count as u64;
            if self.entries > self.limits.entries {
                return Err(ReadError::TooLarge {
                    what: "directories",
                    limit: self.limits.entries,
                });
            }
            for _ in 0..count {
                let offset = fields.u16()?;
                let _delta = fields.u16()?;
                let _kind = fields.u16()?;
                let length = usize::from(fields.u16()?) + 1;
                let name = fields.bytes(length)?;
                left = left.saturating_sub(8 + length);
                entries.push((name.to_vec(), Place { block, offset }));
            }
        }
        Ok(entries)
    }

    fn body(&mut self, content: Content) -> Result<Body, ReadError> {
        if let Some(body) = self.bodies.get(&content) {
            return Ok(body.clone());
        }
        let (start, size, tail, blocks) = &content;
        self.content = self.content.saturating_add(*size);
        if self.content > self.limits.content {
            return Err(ReadError::TooLarge {
                what: "content",
                limit: self.limits.content,
            });
        }
        let block_size = 1_usize << self.superblock.block_log;
        // Grown as blocks arrive: a damaged size must not reserve memory for nothing.
        let mut bytes = Vec::new();
        let mut at = *start;
        for &stored in blocks {
            let expected = block_size.min(index(*size) - bytes.len());
            if stored == 0 {
                bytes.resize(bytes.len() + expected, 0);
                continue;
            }
            let block = self.block(at, stored, expected, "a data block")?;
            if block.len() != expected {
                return Err(ReadError::Block {
                    what: "a data block",
                    at,
                    reason: format!("{} bytes, expected {expected}", block.len()),
                });
            }
            bytes.extend(block);
            at = at.saturating_add((stored & !DATA_RAW).into());
        }
        if let Some(tail) = tail {
            let length = index(*size) - bytes.len();
            bytes.extend(self.tail(*tail, length)?);
        }
        let body = Body::new(bytes);
        self.bodies.insert(content, body.clone());
        Ok(body)
    }

    fn block(
        &mut self,
        at: u64,
        stored: u32,
        most: usize,
        what: &'static str,
    ) -> Result<Vec<u8>, ReadError> {
        let length = index((stored & !DATA_RAW).into());
        if stored & DATA_RAW == 0 {
            return self.source.unpack(at, length, most, what);
        }
        self.source.bytes(at, length.min(most), what)
    }

    fn tail(&mut self, tail: Tail, length: usize) -> Result<Vec<u8>, ReadError> {
        let what = "a fragment";
        let astray = ReadError::Astray {
            what,
            at: tail.fragment.into(),
        };
        if !self.recent.iter().any(|(n, _)| *n == tail.fragment) {
            let &(start, stored) = self
                .fragments
                .get(index(tail.fragment.into()))
                .ok_or(astray.clone())?;
            let most = 1 << self.superblock.block_log;
            let bytes = self.block(start, stored, most, "a fragment block")?;
            self.recent.truncate(RECENT - 1);
            self.recent.push_front((tail.fragment, bytes));
        }
        self.recent
            .iter()
            .find(|(number, _)| *number == tail.fragment)
            .and_then(|(_, bytes)| bytes.get(index(tail.offset.into())..)?.get(..length))
            .map(<[u8]>::to_vec)
            .ok_or(astray)
    }
}

fn join(directory: Option<&TreePath>, name: &[u8]) -> Result<TreePath, ReadError> {
    let refused = || ReadError::Name {
        directory: directory.map(TreePath::to_string).unwrap_or_default(),
        name: String::from_utf8_lossy(name).into_owned(),
    };
    let text = std::str::from_utf8(name).map_err(|_| refused())?;
    let above = directory.map_or(0, |dir| dir.as_str().len());
    if matches!(text, "." | "..") || text.contains('/') || above + text.len() > LONGEST_PATH {
        return Err(refused());
    }
    match directory {
        None => TreePath::new(text),
        Some(directory) => directory.join(text),
    }
    .map_err(|_| refused())
}
