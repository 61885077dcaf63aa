//! A tree of files as a value: what goes into a layer, an initramfs or an archive.
//!
//! A [`Tree`] maps [`TreePath`]s to [`Entry`]s in path order. The bodies of files are shared
//! ([`bytes::Bytes`]): copying a tree copies no content, and a body may be a window on a
//! memory-mapped object of the store.

use crate::{Digest, Epoch, Hasher, TreePath};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;

/// Owner, permissions and time of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Time of last change.
    pub mtime: Epoch,
}

impl Meta {
    /// Owned by root.
    #[must_use]
    pub const fn root(mode: u16, mtime: Epoch) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            mtime,
        }
    }

    /// The same with other owners.
    #[must_use]
    pub const fn owned_by(self, uid: u32, gid: u32) -> Self {
        Self { uid, gid, ..self }
    }
}

/// The content of a regular file and its digest.
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    bytes: Bytes,
    digest: Digest,
}

impl Body {
    /// Takes bytes and hashes them.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        Self { bytes, digest }
    }

    /// Takes bytes whose digest was computed when they were stored.
    #[must_use]
    pub const fn known(bytes: Bytes, digest: Digest) -> Self {
        Self { bytes, digest }
    }

    /// The content.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The content's digest.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Debug for Body {
    /// Never shows content: it may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.bytes.len())
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory; its entries are the paths below it.
    Directory,
    /// A regular file.
    File(Body),
    /// A symbolic link and its target as written.
    Symlink(String),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Owner, permissions, time.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
}

/// Two things claim one path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("/{path} is {first} and also {second}")]
pub struct Collision {
    /// The contested path.
    pub path: TreePath,
    /// What was there.
    pub first: &'static str,
    /// What came.
    pub second: &'static str,
}

impl Kind {
    /// What it is, in words.
    #[must_use]
    pub const fn describe(&self) -> &'static str {
        match self {
            Self::Directory => "a directory",
            Self::File(_) => "a file",
            Self::Symlink(_) => "a symbolic link",
            Self::CharDevice { .. } => "a character device",
        }
    }
}

/// A tree of files below a root directory (mode 0755, owner root).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<TreePath, Entry>,
}

impl Tree {
    /// A tree with nothing below its root.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The entry at `path`.
    #[must_use]
    pub fn get(&self, path: &TreePath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The entry at `path`, to be changed.
    pub fn get_mut(&mut self, path: &TreePath) -> Option<&mut Entry> {
        self.entries.get_mut(path)
    }

    /// The entry at a path given as text; `None` also when the text is no path.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Entry> {
        TreePath::new(path).ok().and_then(|path| self.get(&path))
    }

    /// The content of the regular file at `path`.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&Bytes> {
        match &self.at(path)?.kind {
            Kind::File(body) => Some(body.bytes()),
            _ => None,
        }
    }

    /// Puts an entry, replacing what was there; missing parent directories are made 0755
    /// root with the entry's time.
    pub fn put(&mut self, path: TreePath, entry: Entry) {
        for dir in path.ancestors() {
            self.entries.entry(dir).or_insert(Entry {
                meta: Meta::root(0o755, entry.meta.mtime),
                kind: Kind::Directory,
            });
        }
        self.entries.insert(path, entry);
    }

    /// Puts a regular file.
    pub fn put_file(&mut self, path: TreePath, meta: Meta, bytes: impl Into<Bytes>) {
        let kind = Kind::File(Body::new(bytes));
        self.put(path, Entry { meta, kind });
    }

    /// Puts a directory.
    pub fn put_dir(&mut self, path: TreePath, meta: Meta) {
        self.put(
            path,
            Entry {
                meta,
                kind: Kind::Directory,
            },
        );
    }

    /// Puts a symbolic link (mode 0777, owner root).
    pub fn put_link(&mut self, path: TreePath, target: impl Into<String>, mtime: Epoch) {
        let kind = Kind::Symlink(target.into());
        let meta = Meta::root(0o777, mtime);
        self.put(path, Entry { meta, kind });
    }

    /// Removes one entry (not what is below it) and returns it.
    pub fn remove(&mut self, path: &TreePath) -> Option<Entry> {
        self.entries.remove(path)
    }

    /// Keeps the entries for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&TreePath, &Entry) -> bool) {
        self.entries.retain(|path, entry| keep(path, entry));
    }

    /// Lays `other` over this tree. Directories merge (the later's owner and mode win), files
    /// of equal content and meta may repeat.
    ///
    /// # Errors
    /// [`Collision`] when both trees have a path and it is not a directory in both, or two
    /// equal entries.
    pub fn merge(&mut self, other: Self) -> Result<(), Collision> {
        for (path, entry) in other.entries {
            match self.entries.get(&path) {
                Some(old) if old.kind != entry.kind => {
                    return Err(Collision {
                        path,
                        first: old.kind.describe(),
                        second: entry.kind.describe(),
                    });
                }
                _ => {
                    self.entries.insert(path, entry);
                }
            }
        }
        Ok(())
    }

    /// All entries in path order: a directory before what it holds.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Entry)> {
        self.entries.iter()
    }

    /// All entries in path order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&TreePath, &mut Entry)> {
        self.entries.iter_mut()
    }

    /// The entries directly in `dir` (`None`: the root), in order.
    pub fn children<'a>(
        &'a self,
        dir: Option<&'a TreePath>,
    ) -> impl Iterator<Item = (&'a TreePath, &'a Entry)> {
        self.entries
            .iter()
            .filter(move |(path, _)| path.parent().as_ref() == dir)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Digest of the whole tree: for each entry in path order the fields path, mode, uid,
    /// gid, mtime (decimal), a letter for its kind (`d`, `f`, `l`, `c`) and its payload (body
    /// digest, link target, `major:minor`, or empty), in the encoding of [`Hasher::field`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for (path, entry) in &self.entries {
            let Meta {
                mode,
                uid,
                gid,
                mtime,
            } = entry.meta;
            let (letter, payload) = match &entry.kind {
                Kind::Directory => ("d", String::new()),
                Kind::File(body) => ("f", body.digest().to_string()),
                Kind::Symlink(target) => ("l", target.clone()),
                Kind::CharDevice { major, minor } => ("c", format!("{major}:{minor}")),
            };
            hasher
                .field(path.as_str())
                .field(mode.to_string())
                .field(uid.to_string())
                .field(gid.to_string())
                .field(mtime.to_string())
                .field(letter)
                .field(payload);
        }
        hasher.finish()
    }
}

impl IntoIterator for Tree {
    type Item = (TreePath, Entry);
    type IntoIter = std::collections::btree_map::IntoIter<TreePath, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    #[test]
    fn parents_are_made() {
        let mut tree = Tree::new();
        tree.put_file(path("etc/a/b"), Meta::root(0o644, Epoch::ZERO), "x");
        assert_eq!(tree.at("etc/a").unwrap().kind, Kind::Directory);
        assert_eq!(tree.file("etc/a/b").unwrap().as_ref(), b"x");
        assert_eq!(tree.children(Some(&path("etc"))).count(), 1);
    }

    #[test]
    fn a_collision_names_the_path() {
        let (mut one, mut two) = (Tree::new(), Tree::new());
        one.put_file(path("a"), Meta::root(0o644, Epoch::ZERO), "x");
        two.put_link(path("a"), "b", Epoch::ZERO);
        let error = one.merge(two).unwrap_err();
        assert_eq!(error.to_string(), "/a is a file and also a symbolic link");
    }

    #[test]
    fn every_field_reaches_the_digest() {
        let mut base = Tree::new();
        base.put_file(path("a"), Meta::root(0o644, Epoch::ZERO), "x");
        let changed = |change: fn(&mut Entry)| {
            let mut tree = base.clone();
            change(tree.get_mut(&path("a")).unwrap());
            tree.digest()
        };
        let changes: [fn(&mut Entry); 5] = [
            |e| e.meta.mode = 0o600,
            |e| e.meta.uid = 1,
            |e| e.meta.gid = 1,
            |e| e.meta.mtime = Epoch::from_u32(1),
            |e| e.kind = Kind::File(Body::new("y")),
        ];
        for change in changes {
            assert_ne!(changed(change), base.digest());
        }
        assert_eq!(changed(|_| {}), base.digest());
    }

    #[test]
    fn debug_shows_no_content() {
        assert_eq!(format!("{:?}", Body::new("secret")), "Body(6 bytes)");
    }
}
