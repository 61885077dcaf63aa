//! The files of the recipe's `[[file]]` sections, and the content that sections take from
//! files beside the recipe.

use crate::ComposeError;
use crate::below::Below;
use crate::layer::Layer;
use bytes::Bytes;
use imgbuild_base::Kind;
use imgbuild_recipe::resolved::{Content, Etcd, File};
use imgbuild_recipe::values::SourcePath;
use std::collections::BTreeMap;

/// The content of the files beside the recipe that it names.
#[derive(Clone, Debug, Default)]
pub struct Sources(BTreeMap<SourcePath, Bytes>);

impl Sources {
    /// Those that were read.
    #[must_use]
    pub const fn new(read: BTreeMap<SourcePath, Bytes>) -> Self {
        Self(read)
    }

    /// The content of the file at `path`, when it was read.
    #[must_use]
    pub fn get(&self, path: &SourcePath) -> Option<&Bytes> {
        self.0.get(path)
    }

    /// What a section has for content.
    pub(crate) fn content(&self, content: &Content) -> Result<Bytes, ComposeError> {
        match content {
            Content::Text(text) => Ok(Bytes::from(text.clone())),
            Content::Source(path) => {
                let read = self.get(path).cloned();
                read.ok_or_else(|| ComposeError::Source(path.clone()))
            }
        }
    }
}

/// Adds files to a node's layer, after all that the builder has for it.
pub(crate) fn add(
    layer: &mut Layer,
    etcd: &Etcd,
    files: &[File],
    below: &Below,
    sources: &Sources,
) -> Result<(), ComposeError> {
    for file in files {
        check_place(layer, etcd, file, below)?;
        // A directory of a layer hides owner and mode of the one below it: they are repeated.
        for dir in file.path.ancestors() {
            if let Some(meta) = below.meta(&dir) {
                layer.directory_as(dir, meta);
            }
        }
        let owner = below.owner(file.user.as_str(), file.group.as_str())?;
        let content = sources.content(&file.content)?;
        layer.file(file.path.as_str(), file.mode.bits(), owner, content)?;
    }
    Ok(())
}

fn check_place(layer: &Layer, etcd: &Etcd, file: &File, below: &Below) -> Result<(), ComposeError> {
    let path = &file.path;
    let bin = &etcd.bin_dir;
    let program = path.parent().as_ref() == Some(bin)
        && matches!(path.name(), "etcd" | "etcdctl" | "etcdutl");
    if program || layer.has(path) {
        return Err(ComposeError::BuildersFile(path.clone()));
    }
    let through = path.ancestors().find_map(|dir| match below.kind(&dir)? {
        Kind::Directory => None,
        other => Some((dir, other.describe())),
    });
    if let Some((dir, kind)) = through {
        return Err(ComposeError::Through(path.clone(), dir, kind));
    }
    match below.kind(path) {
        None => Ok(()),
        Some(Kind::Directory) => Err(ComposeError::IsDirectory(path.clone())),
        Some(_) if file.replace => Ok(()),
        Some(_) => Err(ComposeError::Exists(path.clone())),
    }
}
