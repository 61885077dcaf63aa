//! Paths on the node.

use super::refuse;
use crate::checker::{Found, Reported, Table, mistake};
use crate::forms::AbsolutePath;
use imgbuild_base::TreePath;
use std::ops::Range;

/// A path that the builder itself chose.
pub(super) fn fixed(table: &Table<'_>, path: &str) -> Result<TreePath, Reported> {
    TreePath::new(path).map_err(|why| refuse(table, &why.to_string()))
}

/// A path whose files come from a layer: not where another file system is mounted over it.
pub(super) fn persistent_path(
    table: &Table<'_>,
    key: &str,
    found: &Found<AbsolutePath>,
) -> Result<TreePath, Reported> {
    not_hidden(table, key, found.value.tree_path(), &found.span)
}

/// The same for any path that is underlined at `span`.
pub(super) fn not_hidden(
    table: &Table<'_>,
    key: &str,
    path: &TreePath,
    span: &Range<usize>,
) -> Result<TreePath, Reported> {
    const HIDDEN: [&str; 7] = ["var", "run", "tmp", "proc", "sys", "dev", "boot"];
    match HIDDEN.iter().find(|dir| path.is_within(dir)) {
        None => Ok(path.clone()),
        Some(dir) => {
            let message = format!(
                "`{}` cannot be below /{dir}: on a running node another file system is mounted there",
                table.path(key)
            );
            Err(table.checker().report(
                mistake(span.clone(), message)
                    .label(format!("below /{dir}"))
                    .help("choose a directory below /etc, /usr or /opt"),
            ))
        }
    }
}
