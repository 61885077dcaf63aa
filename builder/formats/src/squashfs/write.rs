//! A tree as an image: data first, then inodes and directories from the leaves up, then the
//! tables that say where all of it lies, and at last the superblock.

use super::codec::Codec;
use super::data::{self, Data};
use super::inode::{Inode, Node, device};
use super::layout::{DOTS, HEADER_ENTRIES, NONE_64, Place, SUPERBLOCK, Superblock};
use super::metadata::{Metadata, lookup_table};
use super::{Options, Summary, WriteError};
use imgbuild_base::{ByteSize, Entry, Kind, Meta, Tree, TreePath};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Seek, SeekFrom, Write};

/// The image's length is a multiple of this, so that it can be loop-mounted.
const PADDING: u64 = 4096;

/// Writes `tree` as an image from `out`'s position on, and leaves the position at its end.
///
/// The superblock is written last: what a broken run leaves behind is not taken for an image.
///
/// # Errors
/// [`WriteError`] when the tree does not fit the format or `out` fails.
pub fn write<W: Write + Seek>(
    tree: &Tree,
    options: &Options,
    out: &mut W,
) -> Result<Summary, WriteError> {
    let origin = out.stream_position()?;
    out.write_all(&[0; SUPERBLOCK])?;

    let codec = Codec::new(options.level);
    let bodies = tree.iter().filter_map(|(_, entry)| match &entry.kind {
        Kind::File(body) => Some(body),
        _ => None,
    });
    let block_size = options.block_size.bytes();
    let data = data::store(bodies, block_size, &codec, SUPERBLOCK as u64, out)?;

    let tables = Tables::build(tree, options, &codec, &data)?;
    let inode_table = data.end;
    let directory_table = inode_table + tables.inodes.len() as u64;
    let mut rest = tables.inodes;
    rest.extend(tables.directories);

    let mut fragment_table = NONE_64;
    if !data.fragments.is_empty() {
        let mut entries = Vec::new();
        for fragment in &data.fragments {
            entries.extend(fragment.start.to_le_bytes());
            entries.extend(fragment.size.to_le_bytes());
            entries.extend([0; 4]);
        }
        let (table, start) = lookup_table(&codec, &entries, inode_table + rest.len() as u64)?;
        fragment_table = start;
        rest.extend(table);
    }

    let ids: Vec<u8> = tables.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let (table, id_table) = lookup_table(&codec, &ids, inode_table + rest.len() as u64)?;
    rest.extend(table);

    let bytes_used = inode_table + rest.len() as u64;
    let size = bytes_used.next_multiple_of(PADDING);
    rest.resize(
        rest.len() + usize::try_from(size - bytes_used).unwrap_or(0),
        0,
    );
    out.write_all(&rest)?;

    let fragments = narrow(data.fragments.len(), "fragments")?;
    let superblock = Superblock {
        inodes: tables.count,
        mtime: options.epoch.seconds_u32(),
        block_log: options.block_size.log(),
        fragments,
        ids: u16::try_from(tables.ids.len()).map_err(|_| Owners::TOO_MANY)?,
        root: tables.root,
        bytes_used,
        id_table,
        inode_table,
        directory_table,
        fragment_table,
    };
    out.seek(SeekFrom::Start(origin))?;
    out.write_all(&superblock.encode())?;
    out.seek(SeekFrom::Start(origin + size))?;
    Ok(Summary {
        size: ByteSize::bytes(size),
        content: ByteSize::bytes(data.content),
        inodes: tables.count,
        duplicates: data.duplicates,
        fragments,
    })
}

fn narrow(number: usize, what: &'static str) -> Result<u32, WriteError> {
    u32::try_from(number).map_err(|_| WriteError::TooMany {
        what,
        limit: u32::MAX.into(),
    })
}

/// User and group numbers in the order they were met.
#[derive(Default)]
struct Owners {
    ids: Vec<u32>,
    index: HashMap<u32, u16>,
}

impl Owners {
    const TOO_MANY: WriteError = WriteError::TooMany {
        what: "different users and groups",
        limit: 65_535,
    };

    fn index(&mut self, id: u32) -> Result<u16, WriteError> {
        if let Some(&index) = self.index.get(&id) {
            return Ok(index);
        }
        let index = u16::try_from(self.ids.len())
            .ok()
            .filter(|&index| index < u16::MAX)
            .ok_or(Self::TOO_MANY)?;
        self.ids.push(id);
        self.index.insert(id, index);
        Ok(index)
    }
}

/// One line of a directory's listing.
struct Child<'t> {
    name: &'t str,
    place: Place,
    number: u32,
    kind: u16,
}

/// A directory whose entries are still coming.
struct Open<'t> {
    path: Option<&'t TreePath>,
    meta: Meta,
    number: u32,
    children: Vec<Child<'t>>,
    subdirectories: u32,
}

/// Inodes and directories.
struct Tables {
    inodes: Vec<u8>,
    directories: Vec<u8>,
    ids: Vec<u32>,
    root: Place,
    count: u32,
}

impl Tables {
    fn build(
        tree: &Tree,
        options: &Options,
        codec: &Codec,
        data: &Data,
    ) -> Result<Self, WriteError> {
        let mut build = Build {
            inodes: Metadata::new(codec),
            directories: Metadata::new(codec),
            owners: Owners::default(),
            count: narrow(tree.len() + 1, "entries")?,
        };
        // The root is number 1, the others follow in path order. A directory comes before
        // what it holds in the tree and after it in the table: it must know where its
        // entries lie.
        let mut above = Vec::new();
        let mut here = Open {
            path: None,
            meta: Meta::root(0o755, options.epoch),
            number: 1,
            children: Vec::new(),
            subdirectories: 0,
        };
        for (number, (path, entry)) in (2..).zip(tree.iter()) {
            let parent = path.parent();
            while here.path != parent.as_ref() {
                let orphan = || WriteError::NoParent(path.to_string());
                let outer = above.pop().ok_or_else(orphan)?;
                here = build.close(here, outer)?;
            }
            if matches!(entry.kind, Kind::Directory) {
                here.subdirectories += 1;
                let inner = Open {
                    path: Some(path),
                    meta: entry.meta,
                    number,
                    children: Vec::new(),
                    subdirectories: 0,
                };
                above.push(std::mem::replace(&mut here, inner));
            } else {
                let node = node(path, entry, data)?;
                let kind = node.basic_type();
                let place = build.inode(entry.meta, number, node)?;
                here.children.push(Child {
                    name: path.name(),
                    place,
                    number,
                    kind,
                });
            }
        }
        while let Some(outer) = above.pop() {
            here = build.close(here, outer)?;
        }
        // Above the root is a number that no inode has.
        let parent = build.count.saturating_add(1);
        let root = build.directory(&here, parent)?;
        Ok(Self {
            inodes: build.inodes.finish()?,
            directories: build.directories.finish()?,
            ids: build.owners.ids,
            root,
            count: build.count,
        })
    }
}

/// What an entry that is no directory becomes.
fn node<'t>(path: &TreePath, entry: &'t Entry, data: &'t Data) -> Result<Node<'t>, WriteError> {
    match &entry.kind {
        Kind::File(body) => {
            let stored = data
                .of(body)
                .ok_or_else(|| WriteError::Compress(format!("/{path} was not stored")))?;
            Ok(Node::File {
                start: stored.start(),
                size: stored.size,
                sparse: stored.sparse,
                tail: stored.tail,
                blocks: Cow::Borrowed(&stored.blocks),
            })
        }
        Kind::Symlink(target) if (1..4096).contains(&target.len()) => Ok(Node::Symlink {
            target: target.as_bytes(),
        }),
        Kind::Symlink(target) => Err(WriteError::Target {
            path: path.to_string(),
            length: target.len(),
        }),
        Kind::CharDevice { major, minor } => device(*major, *minor)
            .map(|device| Node::CharDevice { device })
            .ok_or_else(|| WriteError::Device {
                path: path.to_string(),
                major: *major,
                minor: *minor,
            }),
        Kind::Directory => Err(WriteError::NoParent(path.to_string())),
    }
}

struct Build<'c> {
    inodes: Metadata<'c>,
    directories: Metadata<'c>,
    owners: Owners,
    count: u32,
}

impl Build<'_> {
    fn inode(&mut self, meta: Meta, number: u32, node: Node<'_>) -> Result<Place, WriteError> {
        let place = self.inodes.place()?;
        let inode = Inode {
            mode: meta.mode,
            uid: self.owners.index(meta.uid)?,
            gid: self.owners.index(meta.gid)?,
            mtime: meta.mtime.seconds_u32(),
            number,
            node,
        };
        let mut bytes = Vec::new();
        inode.encode(&mut bytes);
        self.inodes.push(&bytes)?;
        Ok(place)
    }

    /// Writes a directory that is complete and lists it in the one above.
    fn close<'t>(&mut self, dir: Open<'t>, mut outer: Open<'t>) -> Result<Open<'t>, WriteError> {
        let place = self.directory(&dir, outer.number)?;
        outer.children.push(Child {
            name: dir.path.map_or("", TreePath::name),
            place,
            number: dir.number,
            kind: 1,
        });
        Ok(outer)
    }

    fn directory(&mut self, dir: &Open<'_>, parent: u32) -> Result<Place, WriteError> {
        let listing = self.directories.place()?;
        let bytes = encode_listing(&dir.children);
        let size = narrow(bytes.len(), "entries in a directory")?.saturating_add(DOTS);
        self.directories.push(&bytes)?;
        let node = Node::Directory {
            listing,
            size,
            links: dir.subdirectories.saturating_add(2),
            parent,
        };
        self.inode(dir.meta, dir.number, node)
    }
}

/// A directory's entries in the order of their names, in runs below one header: at most 256,
/// inodes in one metadata block, numbers within 32767 of the first.
fn encode_listing(children: &[Child<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = children;
    while let Some(first) = rest.first() {
        let delta = |child: &Child<'_>| {
            i16::try_from(i64::from(child.number) - i64::from(first.number)).ok()
        };
        let run: Vec<(&Child<'_>, i16)> = rest
            .iter()
            .take(HEADER_ENTRIES)
            .take_while(|child| child.place.block == first.place.block)
            .map_while(|child| Some((child, delta(child)?)))
            .collect();
        // One to 256 entries, stored as one less.
        let more = u32::try_from(run.len() - 1).unwrap_or(u32::MAX);
        for number in [more, first.place.block, first.number] {
            out.extend(number.to_le_bytes());
        }
        for (child, delta) in &run {
            // Names have one to 255 bytes.
            let length = u16::try_from(child.name.len() - 1).unwrap_or(u16::MAX);
            out.extend(child.place.offset.to_le_bytes());
            out.extend(delta.to_le_bytes());
            out.extend(child.kind.to_le_bytes());
            out.extend(length.to_le_bytes());
            out.extend(child.name.as_bytes());
        }
        rest = &rest[run.len()..];
    }
    out
}
