//! A file that is to be there in the end.

use super::built::{BuiltImage, Owner};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::output::OutDir;
use imgbuild_base::Digest;
use imgbuild_recipe::resolved::{Format, Node};

/// A file that is to be there in the end.
pub(super) struct Target<'a> {
    format: Format,
    /// The file's name in the output directory.
    pub(super) name: String,
    /// Whose it is, if it is one node's.
    node: Option<&'a Node>,
    key: Digest,
    /// The digest of the file, if it is there already.
    found: Option<Digest>,
}

impl<'a> Target<'a> {
    /// A node's file.
    pub(super) fn of(out: &OutDir, format: Format, node: &'a Node, key: Digest) -> Self {
        let suffix = format.suffix().unwrap_or_default();
        let name = format!("{}{suffix}", node.name);
        Self::new(out, format, Some(node), name, key)
    }

    /// Any file.
    pub(super) fn new(
        out: &OutDir,
        format: Format,
        node: Option<&'a Node>,
        name: String,
        key: Digest,
    ) -> Self {
        Self {
            found: out.unchanged(&name, key).map(|state| state.sha256),
            format,
            name,
            node,
            key,
        }
    }

    /// Whether it has to be written.
    pub(super) const fn is_missing(&self) -> bool {
        self.found.is_none()
    }

    /// Remembers the file, which is in place now. `written` is its digest, if it had to be
    /// written.
    pub(super) fn done(self, out: &mut OutDir, written: Option<Digest>) -> Result<BuiltImage> {
        let sha256 = self.found.or(written).ok_or_else(|| {
            CommandError::msg(Failure::Other, format!("{} was not hashed", self.name))
        })?;
        let size = out
            .remember(&self.name, self.key, sha256)
            .or_fail(Failure::Storage)?;
        Ok(BuiltImage {
            owner: self.node.map(|node| Owner {
                node: node.name.clone(),
                address: node.address,
            }),
            format: self.format,
            path: out.path().join(&self.name),
            name: self.name,
            sha256,
            size,
            content: size,
            block_map: None,
            unchanged: self.found.is_some(),
        })
    }
}

/// Remembers files of which the missing ones were written; `written` has their digests.
pub(super) fn all_done(
    targets: Vec<Target<'_>>,
    written: Vec<Digest>,
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let mut written = written.into_iter();
    targets
        .into_iter()
        .map(|target| {
            let digest = match target.is_missing() {
                true => written.next(),
                false => None,
            };
            target.done(out, digest)
        })
        .collect()
}
