//! A small tree of public files as one object of the store.
//!
//! The encoding: the length of the index as eight little-endian bytes, the index as JSON (for
//! each entry its path, mode, owner unless that is root and, for a file, offset and length in
//! what follows and the digest, or the target of a link), then the bodies one after the other.

use bytes::Bytes;
use imgbuild_base::{Body, Digest, Entry, Epoch, Kind, Meta, Tree, TreePath};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Row {
    path: TreePath,
    mode: u16,
    mtime: Epoch,
    body: Option<Window>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<(u32, u32)>,
}

#[derive(Serialize, Deserialize)]
struct Window {
    offset: usize,
    len: usize,
    digest: Digest,
}

/// Why a tree cannot be encoded, or an object is no tree.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// Something other than a file, a link or a directory.
    #[error("/{0} is {1}: only files, links and directories can be kept in this form")]
    Kind(TreePath, &'static str),
    /// The index.
    #[error("the index of a packed tree is damaged: {0}")]
    Index(#[from] serde_json::Error),
    /// The object ends too soon.
    #[error("a packed tree is cut short")]
    Short,
}

/// The tree as bytes.
pub(crate) fn encode(tree: &Tree) -> Result<Vec<u8>, PackError> {
    let mut rows = Vec::new();
    let mut bodies = Vec::new();
    for (path, entry) in tree.iter() {
        let (body, link) = match &entry.kind {
            Kind::Directory => (None, None),
            Kind::Symlink(target) => (None, Some(target.clone())),
            Kind::File(body) => {
                let window = Window {
                    offset: bodies.len(),
                    len: body.bytes().len(),
                    digest: body.digest(),
                };
                bodies.extend_from_slice(body.bytes());
                (Some(window), None)
            }
            other => return Err(PackError::Kind(path.clone(), other.describe())),
        };
        let Meta {
            mode,
            uid,
            gid,
            mtime,
        } = entry.meta;
        rows.push(Row {
            path: path.clone(),
            mode,
            mtime,
            body,
            link,
            owner: Some((uid, gid)).filter(|owner| *owner != (0, 0)),
        });
    }
    let index = serde_json::to_vec(&rows)?;
    let mut object = Vec::with_capacity(8 + index.len() + bodies.len());
    object.extend_from_slice(&(index.len() as u64).to_le_bytes());
    object.extend_from_slice(&index);
    object.extend_from_slice(&bodies);
    Ok(object)
}

/// The tree that [`encode`] made these bytes from; bodies are windows on them.
pub(crate) fn decode(object: &Bytes) -> Result<Tree, PackError> {
    let length = object.get(..8).ok_or(PackError::Short)?;
    let length = u64::from_le_bytes(length.try_into().map_err(|_| PackError::Short)?);
    let end = usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_add(8))
        .ok_or(PackError::Short)?;
    let index = object.get(8..end).ok_or(PackError::Short)?;
    let rows: Vec<Row> = serde_json::from_slice(index)?;
    let bodies = object.slice(end..);
    let mut tree = Tree::new();
    for row in rows {
        let kind = match (row.body, row.link) {
            (None, None) => Kind::Directory,
            (None, Some(target)) => Kind::Symlink(target),
            (
                Some(Window {
                    offset,
                    len,
                    digest,
                }),
                _,
            ) => {
                let end = offset.checked_add(len).ok_or(PackError::Short)?;
                if end > bodies.len() {
                    return Err(PackError::Short);
                }
                Kind::File(Body::known(bodies.slice(offset..end), digest))
            }
        };
        let (uid, gid) = row.owner.unwrap_or_default();
        let meta = Meta::root(row.mode, row.mtime).owned_by(uid, gid);
        tree.put(row.path, Entry { meta, kind });
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was() {
        let mut tree = Tree::new();
        let path = TreePath::new("EFI/BOOT/BOOTX64.EFI").unwrap();
        let epoch = Epoch::from_u32(7);
        tree.put_file(path, Meta::root(0o644, epoch), "kernel");
        let path = TreePath::new("etc/shadow").unwrap();
        tree.put_file(path, Meta::root(0o640, epoch).owned_by(0, 42), "");
        tree.put_link(TreePath::new("bin").unwrap(), "usr/bin", epoch);
        let object = Bytes::from(encode(&tree).unwrap());
        assert_eq!(decode(&object).unwrap(), tree);
        assert!(matches!(
            decode(&object.slice(..object.len() - 1)),
            Err(PackError::Short)
        ));
    }

    #[test]
    fn devices_are_refused() {
        let mut tree = Tree::new();
        let kind = Kind::CharDevice { major: 1, minor: 3 };
        let meta = Meta::root(0o666, Epoch::ZERO);
        tree.put(TreePath::new("a").unwrap(), Entry { meta, kind });
        assert!(matches!(encode(&tree), Err(PackError::Kind(..))));
    }
}
