//! Binary packages: a `.deb` in memory becomes a tree of files, nothing is run.
//!
//! [`unpack`] decompresses, reads the tar, drops what is not wanted and hashes what is, all
//! in one pass; the wanted bodies end up one after the other in a single buffer, the *pack*.
//! An [`UnpackedDeb`] is written as [`UnpackedDeb::encode_manifest`] and, behind it,
//! [`UnpackedDeb::pack`]; it comes back from the two ([`UnpackedDeb::decode`]) without
//! copying or hashing: they may be one memory-mapped file.
//!
//! Paths are rewritten for merged `/usr`: what lies below `bin`, `sbin`, `lib`, `lib32`,
//! `lib64`, `libx32` or `libo32` moves below `usr/`, as it would when dpkg follows the links
//! of base-files. Those links themselves stay where they are.

mod container;
mod manifest;
mod unpack;

pub use manifest::ManifestError;
pub use unpack::unpack;

use crate::control::{ControlError, Stanza};
use bytes::Bytes;
use imgbuild_base::{Digest, Entry, EpochError, Kind, Meta, PathError, Tree, TreePath};
use std::io;

/// Why a `.deb` cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// It does not begin as an `ar` archive.
    #[error("not a Debian package: {len} bytes that do not begin with \"!<arch>\"")]
    NotAnArchive {
        /// Size of what was given.
        len: usize,
    },
    /// The archive ends within a member.
    #[error("the package is truncated: the archive member at byte {offset} is not whole")]
    Truncated {
        /// Where the member's header begins.
        offset: usize,
    },
    /// A member's header is malformed.
    #[error("the archive member at byte {offset} of the package has a malformed header")]
    Header {
        /// Where the header begins.
        offset: usize,
    },
    /// Another member was expected (deb(5)).
    #[error("the package has a member {found:?} where {expected:?} was expected")]
    Member {
        /// Its name.
        found: String,
        /// The expected name, or how it begins.
        expected: &'static str,
    },
    /// The format's version is not 2.
    #[error("the package has format {0:?}: only 2.x is known")]
    Format(String),
    /// A compression that Debian does not use for current packages.
    #[error("member {0:?} has an unknown compression: expected none, .gz, .xz or .zst")]
    Compression(String),
    /// Decompressing or reading the tar failed.
    #[error("reading {member}: {source}")]
    Read {
        /// The member of the package.
        member: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The tar ends within a file.
    #[error("{member} is truncated within {path}")]
    Short {
        /// The member of the package.
        member: String,
        /// The entry as the tar names it.
        path: String,
    },
    /// The control tar has no `control`.
    #[error("{0} holds no file \"control\"")]
    NoControl(String),
    /// The control file is malformed.
    #[error("the package's control file: {0}")]
    Control(#[from] ControlError),
    /// An entry's name is not a path inside the tree.
    #[error("the package has an entry that cannot be placed: {0}")]
    Path(#[from] PathError),
    /// An entry's name begins with a slash.
    #[error("the package has an entry with the absolute name {0:?}: expected one like \"./usr\"")]
    Absolute(String),
    /// A name that is not UTF-8.
    #[error("the package has an entry whose name or link target is not UTF-8: {0:?}")]
    NotUtf8(String),
    /// A number in the header makes no sense.
    #[error("entry {path:?} has {what} that cannot be: {value}")]
    Number {
        /// The entry.
        path: String,
        /// Which number.
        what: &'static str,
        /// What was found.
        value: String,
    },
    /// A time out of range.
    #[error("entry {path:?} has a time of change that cannot be: {source}")]
    Time {
        /// The entry.
        path: String,
        /// What is wrong with it.
        source: EpochError,
    },
    /// A kind of entry that packages do not ship.
    #[error(
        "entry {path:?} is of type {kind}: only files, directories, links and character devices are unpacked"
    )]
    Kind {
        /// The entry.
        path: String,
        /// What it is.
        kind: String,
    },
    /// A hard link to what the tar did not hold before it.
    #[error("entry {path:?} is a hard link to {target:?}, which is no file before it")]
    HardLink {
        /// The entry.
        path: TreePath,
        /// Where it points.
        target: TreePath,
    },
    /// A symbolic link to nothing.
    #[error("entry {0:?} is a symbolic link without a target")]
    EmptyLink(TreePath),
    /// Two entries for one path, not both directories.
    #[error("the package holds {0} twice")]
    Duplicate(TreePath),
    /// An entry below something that is no directory.
    #[error("the package holds {path}, but {above} is {what}")]
    Below {
        /// The entry.
        path: TreePath,
        /// What it lies below.
        above: TreePath,
        /// What that is.
        what: &'static str,
    },
}

/// A package as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpackedDeb {
    /// The package's control stanza.
    control: Stanza,
    /// Paths of the configuration files it declares, whether kept or not.
    conffiles: Vec<TreePath>,
    /// What was kept, in path order.
    rows: Vec<Row>,
    /// The kept bodies, one after the other.
    pack: Bytes,
}

/// One kept entry; a file's body is a window on the pack.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    path: TreePath,
    meta: Meta,
    kind: RowKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum RowKind {
    Directory,
    File(Window),
    Symlink(String),
    CharDevice { major: u32, minor: u32 },
}

/// Where in the pack a body lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    offset: usize,
    len: usize,
    digest: Digest,
}

impl RowKind {
    const fn describe(&self) -> &'static str {
        match self {
            Self::Directory => "a directory",
            Self::File(_) => "a file",
            Self::Symlink(_) => "a symbolic link",
            Self::CharDevice { .. } => "a character device",
        }
    }
}

impl UnpackedDeb {
    /// The package's control stanza.
    #[must_use]
    pub const fn control(&self) -> &Stanza {
        &self.control
    }

    /// The configuration files it declares (deb-conffiles(5)), whether they were kept or not,
    /// in their order there and at their merged-`/usr` paths.
    #[must_use]
    pub fn conffiles(&self) -> &[TreePath] {
        &self.conffiles
    }

    /// The kept bodies, one after the other, each once.
    #[must_use]
    pub const fn pack(&self) -> &Bytes {
        &self.pack
    }

    /// Every kept path, in order.
    pub fn paths(&self) -> impl Iterator<Item = &TreePath> {
        self.rows.iter().map(|row| &row.path)
    }

    /// The kept files as a tree. Bodies are windows on the pack: nothing is copied.
    #[must_use]
    pub fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        for Row { path, meta, kind } in &self.rows {
            let kind = match kind {
                RowKind::Directory => Kind::Directory,
                RowKind::File(window) => {
                    let range = window.offset..window.offset + window.len;
                    Kind::File(imgbuild_base::Body::known(
                        self.pack.slice(range),
                        window.digest,
                    ))
                }
                RowKind::Symlink(target) => Kind::Symlink(target.clone()),
                &RowKind::CharDevice { major, minor } => Kind::CharDevice { major, minor },
            };
            let entry = Entry { meta: *meta, kind };
            tree.put(path.clone(), entry);
        }
        tree
    }
}

/// Directories that base-files makes links into `usr/`.
const MERGED: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"];

/// Where a path lies once `/usr` is merged. `link`: the entry is a symbolic link, so that a
/// top-level name is base-files' own link and stays.
fn merged(path: TreePath, link: bool) -> Result<TreePath, PathError> {
    let text = path.as_str();
    let (first, rest) = text.split_once('/').unwrap_or((text, ""));
    if MERGED.contains(&first) && !(link && rest.is_empty()) {
        return TreePath::new(&format!("usr/{text}"));
    }
    Ok(path)
}
