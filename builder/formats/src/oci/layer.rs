use super::OciError;
use imgbuild_base::{Digest, Entry, Hashed, Kind, Tree};
use std::collections::BTreeSet;
use std::io::{self, Write};
use tar::{Builder, EntryType, Header};

/// A layer as its tar archive would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    /// SHA-256 of the archive.
    pub(super) digest: Digest,
    /// Its size in bytes.
    pub(super) size: u64,
    /// The users its files belong to.
    pub(super) users: BTreeSet<u32>,
    /// The groups.
    pub(super) groups: BTreeSet<u32>,
    /// The files.
    pub(super) root: Tree,
}

impl Layer {
    /// The layer of a tree.
    pub(super) fn of(root: &Tree) -> Result<Self, OciError> {
        let (digest, size) = archive(root, Hashed::new(io::sink()))?.finish();
        let owners = |id: fn(&Entry) -> u32| root.iter().map(|(_, entry)| id(entry)).collect();
        Ok(Self {
            digest,
            size,
            users: owners(|entry| entry.meta.uid),
            groups: owners(|entry| entry.meta.gid),
            root: root.clone(),
        })
    }
}

/// Writes the archive: the tree's entries in their order, as POSIX' ustar has them, with paths
/// that do not begin with a slash, and two blocks of zeros at the end.
pub(super) fn archive<W: Write>(root: &Tree, out: W) -> Result<W, OciError> {
    let mut archive = Builder::new(out);
    for (path, entry) in root.iter() {
        append(&mut archive, path.as_str(), entry).map_err(|source| OciError::Archive {
            path: path.to_string(),
            source,
        })?;
    }
    archive.into_inner().map_err(|source| OciError::Archive {
        path: String::new(),
        source,
    })
}

fn append<W: Write>(archive: &mut Builder<W>, path: &str, entry: &Entry) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_mode(u32::from(entry.meta.mode));
    header.set_uid(u64::from(entry.meta.uid));
    header.set_gid(u64::from(entry.meta.gid));
    header.set_mtime(entry.meta.mtime.seconds());
    header.set_size(0);
    match &entry.kind {
        Kind::Directory => {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, format!("{path}/"), io::empty())
        }
        Kind::File(body) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(body.bytes().len() as u64);
            archive.append_data(&mut header, path, body.bytes().as_ref())
        }
        Kind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            archive.append_link(&mut header, path, target)
        }
        Kind::CharDevice { major, minor } => {
            header.set_entry_type(EntryType::Char);
            header.set_device_major(*major)?;
            header.set_device_minor(*minor)?;
            archive.append_data(&mut header, path, io::empty())
        }
    }
}
