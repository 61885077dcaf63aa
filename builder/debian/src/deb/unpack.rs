//! From the bytes of a `.deb` to kept entries and their bodies, in one pass.

use super::container::{Container, Member};
use super::{DebError, Row, RowKind, UnpackedDeb, Window, merged};
use crate::control::Stanza;
use bytes::Bytes;
use imgbuild_base::{Digest, Epoch, Meta, TreePath};
use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use tar::{Archive, EntryType};

/// Unpacks a package, keeping the entries for which `keep` holds.
///
/// `keep` sees paths as they will be (with merged `/usr`). The bodies of other entries are
/// decompressed and forgotten: memory is bounded by what is kept. The root directory's own
/// entry is dropped.
///
/// # Errors
/// [`DebError`]: the archive, a member's compression or its tar is malformed or ends early;
/// an entry leads out of the tree, appears twice, lies below what is no directory, or is of
/// a kind that packages do not ship.
pub fn unpack(deb: &[u8], keep: &dyn Fn(&TreePath) -> bool) -> Result<UnpackedDeb, DebError> {
    let container = Container::split(deb)?;
    let (control, conffiles) = read_control(&container.control)?;
    let mut data = Data::read(&container.data, keep, &BTreeSet::new())?;
    if !data.wanted.is_empty() {
        // A hard link is kept whose first name is not: read again, holding on to that body.
        let wanted = data.wanted;
        data = Data::read(&container.data, keep, &wanted)?;
    }
    check_parents(data.seen.iter().map(|(path, seen)| (path, seen.describe())))?;
    let rows = data.rows();
    Ok(UnpackedDeb {
        control,
        conffiles,
        rows,
        pack: Bytes::from(data.pack),
    })
}

/// Largest control file read; the largest in Debian is a few kilobytes.
const CONTROL_LIMIT: u64 = 16 << 20;

fn read_control(member: &Member<'_>) -> Result<(Stanza, Vec<TreePath>), DebError> {
    let failed = |source| read_error(member, source);
    let mut archive = Archive::new(member.reader().map_err(failed)?);
    let (mut control, mut conffiles) = (None, Vec::new());
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = utf8(&entry.path_bytes())?;
        let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
        if !matches!(name.as_str(), "control" | "conffiles") {
            continue;
        }
        let mut bytes = Vec::new();
        let size = entry.size().min(CONTROL_LIMIT);
        read_body(&mut entry, size, &mut bytes, member, &name)?;
        if name == "control" {
            control = Some(Stanza::parse(&bytes)?);
        } else {
            conffiles = parse_conffiles(crate::control::text(&bytes)?)?;
        }
    }
    let control = control.ok_or_else(|| DebError::NoControl(member.name.to_owned()))?;
    Ok((control, conffiles))
}

/// Lines of deb-conffiles(5): an absolute path, perhaps after a flag. The one flag there is,
/// `remove-on-upgrade`, names a file that is not shipped.
fn parse_conffiles(text: &str) -> Result<Vec<TreePath>, DebError> {
    text.lines()
        .map(str::trim)
        .filter(|line| line.starts_with('/'))
        .map(|line| Ok(merged(TreePath::new(line)?, false)?))
        .collect()
}

/// What has been read of the data member.
struct Data {
    /// Entries by path; `None` for those that are not kept.
    seen: BTreeMap<TreePath, Seen>,
    pack: Vec<u8>,
    /// First names, not kept, of hard links that are.
    wanted: BTreeSet<TreePath>,
}

struct Seen {
    meta: Meta,
    kind: SeenKind,
    keep: bool,
}

enum SeenKind {
    Row(RowKind),
    /// A file whose body was not read, and the name under which the tar holds it.
    DroppedFile(TreePath),
}

impl Data {
    fn read(
        member: &Member<'_>,
        keep: &dyn Fn(&TreePath) -> bool,
        wanted: &BTreeSet<TreePath>,
    ) -> Result<Self, DebError> {
        let failed = |source| read_error(member, source);
        let mut data = Self {
            seen: BTreeMap::new(),
            pack: Vec::new(),
            wanted: BTreeSet::new(),
        };
        let mut archive = Archive::new(member.reader().map_err(failed)?);
        for entry in archive.entries().map_err(failed)? {
            data.add(entry.map_err(failed)?, member, keep, wanted)?;
        }
        // The compressor's own checksum stands at the end: read up to it.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(failed)?;
        data.pack.shrink_to_fit();
        Ok(data)
    }

    fn add<R: Read>(
        &mut self,
        mut entry: tar::Entry<'_, R>,
        member: &Member<'_>,
        keep: &dyn Fn(&TreePath) -> bool,
        wanted: &BTreeSet<TreePath>,
    ) -> Result<(), DebError> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let name = utf8(&entry.path_bytes())?;
        if name.starts_with('/') {
            return Err(DebError::Absolute(name));
        }
        if matches!(name.as_str(), "." | "./") {
            return Ok(());
        }
        let path = merged(TreePath::new(&name)?, kind == EntryType::Symlink)?;
        let mut meta = meta(&entry, &name)?;
        let kept = keep(&path);
        let kind = match kind {
            EntryType::Directory => SeenKind::Row(RowKind::Directory),
            EntryType::Regular | EntryType::Continuous => {
                if kept || wanted.contains(&path) {
                    let size = entry.size();
                    let offset = self.pack.len();
                    read_body(&mut entry, size, &mut self.pack, member, &name)?;
                    let body = &self.pack[offset..];
                    SeenKind::Row(RowKind::File(Window {
                        offset,
                        len: body.len(),
                        digest: Digest::of(body),
                    }))
                } else {
                    SeenKind::DroppedFile(path.clone())
                }
            }
            EntryType::Link => {
                let target = link_target(&entry, &path)?;
                let target = merged(TreePath::new(&target)?, false)?;
                let no_file = || DebError::HardLink {
                    path: path.clone(),
                    target: target.clone(),
                };
                let first = self.seen.get(&target).ok_or_else(no_file)?;
                meta = first.meta;
                match &first.kind {
                    SeenKind::Row(RowKind::File(window)) => SeenKind::Row(RowKind::File(*window)),
                    SeenKind::DroppedFile(first) => {
                        if kept {
                            self.wanted.insert(first.clone());
                        }
                        SeenKind::DroppedFile(first.clone())
                    }
                    SeenKind::Row(_) => return Err(no_file()),
                }
            }
            EntryType::Symlink => SeenKind::Row(RowKind::Symlink(link_target(&entry, &path)?)),
            EntryType::Char => {
                let number = |what, value: io::Result<Option<u32>>| match value {
                    Ok(Some(value)) => Ok(value),
                    other => Err(DebError::Number {
                        path: name.clone(),
                        what,
                        value: format!("{other:?}"),
                    }),
                };
                SeenKind::Row(RowKind::CharDevice {
                    major: number("a major device number", entry.header().device_major())?,
                    minor: number("a minor device number", entry.header().device_minor())?,
                })
            }
            other => {
                return Err(DebError::Kind {
                    path: name,
                    kind: format!("{other:?}"),
                });
            }
        };
        let seen = Seen {
            meta,
            kind,
            keep: kept,
        };
        match self.seen.entry(path) {
            Slot::Vacant(slot) => {
                slot.insert(seen);
            }
            // `lib/` and `usr/lib/` are the same directory once /usr is merged.
            Slot::Occupied(mut slot) if slot.get().is_dir() && seen.is_dir() => {
                slot.insert(seen);
            }
            Slot::Occupied(slot) => return Err(DebError::Duplicate(slot.key().clone())),
        }
        Ok(())
    }

    /// The kept entries, in path order.
    fn rows(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.seen)
            .into_iter()
            .filter(|(_, seen)| seen.keep)
            .filter_map(|(path, seen)| match seen.kind {
                SeenKind::Row(kind) => Some(Row {
                    path,
                    meta: seen.meta,
                    kind,
                }),
                SeenKind::DroppedFile(_) => None,
            })
            .collect()
    }
}

impl Seen {
    const fn describe(&self) -> &'static str {
        match &self.kind {
            SeenKind::Row(kind) => kind.describe(),
            SeenKind::DroppedFile(_) => "a file",
        }
    }

    const fn is_dir(&self) -> bool {
        matches!(self.kind, SeenKind::Row(RowKind::Directory))
    }
}

/// Nothing may lie below what is no directory. `entries` are in path order, in which all that
/// is below an entry follows it at once.
pub(super) fn check_parents<'a>(
    entries: impl Iterator<Item = (&'a TreePath, &'static str)>,
) -> Result<(), DebError> {
    let mut last: Option<(&TreePath, &'static str)> = None;
    for (path, what) in entries {
        if let Some((above, what)) = last
            && what != RowKind::Directory.describe()
            && path.is_within(above.as_str())
        {
            return Err(DebError::Below {
                path: path.clone(),
                above: above.clone(),
                what,
            });
        }
        last = Some((path, what));
    }
    Ok(())
}

fn read_error(member: &Member<'_>, source: io::Error) -> DebError {
    DebError::Read {
        member: member.name.to_owned(),
        source,
    }
}

/// Appends exactly `size` bytes to `to`.
fn read_body(
    from: &mut impl Read,
    size: u64,
    to: &mut Vec<u8>,
    member: &Member<'_>,
    name: &str,
) -> Result<(), DebError> {
    let read = from
        .take(size)
        .read_to_end(to)
        .map_err(|source| read_error(member, source))?;
    if u64::try_from(read).ok() == Some(size) {
        return Ok(());
    }
    Err(DebError::Short {
        member: member.name.to_owned(),
        path: name.to_owned(),
    })
}

fn utf8(bytes: &[u8]) -> Result<String, DebError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(DebError::NotUtf8(
            String::from_utf8_lossy(bytes).into_owned(),
        )),
    }
}

fn link_target<R: Read>(entry: &tar::Entry<'_, R>, path: &TreePath) -> Result<String, DebError> {
    match entry.link_name_bytes() {
        Some(bytes) if !bytes.is_empty() => utf8(&bytes),
        _ => Err(DebError::EmptyLink(path.clone())),
    }
}

fn meta<R: Read>(entry: &tar::Entry<'_, R>, name: &str) -> Result<Meta, DebError> {
    let header = entry.header();
    let number = |what, value: io::Result<u64>| {
        value.map_err(|error| DebError::Number {
            path: name.to_owned(),
            what,
            value: error.to_string(),
        })
    };
    let id = |what, value| {
        let value = number(what, value)?;
        u32::try_from(value).map_err(|_| DebError::Number {
            path: name.to_owned(),
            what,
            value: value.to_string(),
        })
    };
    let mode = id("a mode", header.mode().map(u64::from))? & 0o7777;
    let mtime = number("a time of change", header.mtime())?;
    Ok(Meta {
        mode: u16::try_from(mode).unwrap_or(0),
        uid: id("an owner", header.uid())?,
        gid: id("a group", header.gid())?,
        mtime: Epoch::try_from(mtime).map_err(|source| DebError::Time {
            path: name.to_owned(),
            source,
        })?,
    })
}
