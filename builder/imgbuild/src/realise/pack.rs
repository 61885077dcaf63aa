//! A small tree of public files as one object of the store.
//!
//! The encoding: the length of the index as eight little-endian bytes, the index as JSON (for
//! each entry its path, mode and, for a file, offset and length in what follows and the
//! digest), then the bodies one after the other. Only directories and regular files occur.

use bytes::Bytes;
use imgbuild_base::{Body, Digest, Entry, Epoch, Kind, Meta, Tree, TreePath};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Row {
    path: TreePath,
    mode: u16,
    mtime: Epoch,
    body: Option<Window>,
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
    /// Something other than a file or directory.
    #[error("/{0} is {1}: only files and directories can be kept in this form")]
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
        let body = match &entry.kind {
            Kind::Directory => None,
            Kind::File(body) => {
                let window = Window {
                    offset: bodies.len(),
                    len: body.bytes().len(),
                    digest: body.digest(),
                };
                bodies.extend_from_slice(body.bytes());
                Some(window)
            }
            other => return Err(PackError::Kind(path.clone(), other.describe())),
        };
        rows.push(Row {
            path: path.clone(),
            mode: entry.meta.mode,
            mtime: entry.meta.mtime,
            body,
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
        let kind = match row.body {
            None => Kind::Directory,
            Some(Window {
                offset,
                len,
                digest,
            }) => {
                let end = offset.checked_add(len).ok_or(PackError::Short)?;
                if end > bodies.len() {
                    return Err(PackError::Short);
                }
                Kind::File(Body::known(bodies.slice(offset..end), digest))
            }
        };
        let meta = Meta::root(row.mode, row.mtime);
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
        let object = Bytes::from(encode(&tree).unwrap());
        assert_eq!(decode(&object).unwrap(), tree);
        assert!(matches!(
            decode(&object.slice(..object.len() - 1)),
            Err(PackError::Short)
        ));
    }

    #[test]
    fn links_are_refused() {
        let mut tree = Tree::new();
        tree.put_link(TreePath::new("a").unwrap(), "b", Epoch::ZERO);
        assert!(matches!(encode(&tree), Err(PackError::Kind(..))));
    }
}
