//! Trees as tar archives, compressed with gzip, the same bytes for the same tree.
//!
//! An archive is written in parts, each a gzip member of its own (RFC 1952 2.2): what all nodes
//! of a build share is compressed once. Every reader of gzip takes them for one stream. A part
//! has no name, no time and no system in its header, and entries have no numbers of users: all
//! is root's.

use flate2::{Compression, GzBuilder};
use imgbuild_base::{Body, Entry, Epoch, Kind, Meta, Tree, TreePath};
use std::io::{self, Read, Write};
use tar::{EntryType, Header};

/// Two blocks of zeros end an archive (POSIX.1-2024, pax, "ustar Interchange Format").
const END: [u8; 1024] = [0; 1024];

/// The entries of a tree, in path order. Another part must follow.
pub(crate) fn part(tree: &Tree) -> io::Result<Vec<u8>> {
    compress(&entries(tree)?)
}

/// The entries of a tree, and the archive's end.
pub(crate) fn last_part(tree: &Tree) -> io::Result<Vec<u8>> {
    let mut bytes = entries(tree)?;
    bytes.extend(END);
    compress(&bytes)
}

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::default());
    gzip.write_all(bytes)?;
    gzip.finish()
}

fn entries(tree: &Tree) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, entry) in tree.iter() {
        append(&mut tar, path, entry)?;
    }
    let mut bytes = tar.into_inner()?;
    bytes.truncate(bytes.len().saturating_sub(END.len()));
    Ok(bytes)
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &TreePath, entry: &Entry) -> io::Result<()> {
    let Meta {
        mode,
        uid,
        gid,
        mtime,
    } = entry.meta;
    if (uid, gid) != (0, 0) {
        return Err(io::Error::other(format!(
            "/{path} belongs to {uid}:{gid}: an archive for machines with users of their own \
             holds root's files only"
        )));
    }
    let mut header = Header::new_gnu();
    header.set_mode(u32::from(mode));
    header.set_mtime(mtime.seconds());
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    header.set_size(0);
    match &entry.kind {
        Kind::Directory => {
            header.set_entry_type(EntryType::Directory);
            tar.append_data(&mut header, format!("{path}/"), io::empty())
        }
        Kind::File(body) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(body.bytes().len() as u64);
            tar.append_data(&mut header, path.as_str(), &body.bytes()[..])
        }
        Kind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            tar.append_link(&mut header, path.as_str(), target)
        }
        Kind::CharDevice { .. } => Err(io::Error::other(format!(
            "/{path} is a device: an archive holds files, directories and links"
        ))),
    }
}

/// The tree that an archive holds.
pub(crate) fn read(bytes: &[u8]) -> io::Result<Tree> {
    let mut tree = Tree::new();
    let mut archive = tar::Archive::new(flate2::bufread::MultiGzDecoder::new(bytes));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = TreePath::new(path.trim_end_matches('/')).map_err(io::Error::other)?;
        let header = entry.header();
        let mtime = Epoch::try_from(header.mtime()?).map_err(io::Error::other)?;
        let mode = u16::try_from(header.mode()?).map_err(io::Error::other)?;
        let meta = Meta::root(mode, mtime);
        let kind = match header.entry_type() {
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                Kind::Symlink(String::from_utf8_lossy(&target).into_owned())
            }
            EntryType::Regular => {
                let mut body = Vec::new();
                entry.read_to_end(&mut body)?;
                Kind::File(Body::new(body))
            }
            other => return Err(io::Error::other(format!("/{path} is of type {other:?}"))),
        };
        tree.put(path, Entry { meta, kind });
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(dir: &str) -> Tree {
        let path = |text: &str| TreePath::new(text).unwrap();
        let epoch = Epoch::from_u32(1_700_000_000);
        let mut tree = Tree::new();
        tree.put_dir(path(dir), Meta::root(0o700, epoch));
        let long = format!("{dir}/{}/{}", "long".repeat(30), "name".repeat(30));
        tree.put_file(path(&long), Meta::root(0o600, epoch), "key");
        let target = format!("/{long}");
        tree.put_link(path(&format!("{dir}/link")), target, epoch);
        tree
    }

    #[test]
    fn parts_are_one_archive() {
        let mut archive = part(&tree("a")).unwrap();
        archive.extend(last_part(&tree("b")).unwrap());
        let mut both = tree("a");
        both.merge(tree("b")).unwrap();
        assert_eq!(read(&archive).unwrap(), both);
        // No name, time or system in a header (RFC 1952 2.3.1).
        assert_eq!(archive[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
        assert_eq!(archive[9], 255);
    }

    #[test]
    fn what_is_not_roots_is_refused() {
        let mut tree = tree("a");
        for (_, entry) in tree.iter_mut() {
            entry.meta.uid = 7;
        }
        let error = last_part(&tree).unwrap_err().to_string();
        assert!(error.contains("/a belongs to 7:0"), "{error}");
    }
}
