//! A base layer as far as the layers above it depend on it.

use crate::units;
use imgbuild_base::{Body, Entry, Kind, Tree, TreePath};

/// Files whose content says which users there are.
const ACCOUNTS: [&str; 3] = ["etc/passwd", "etc/group", "etc/shadow"];

/// Directories of files that name units and users.
const NAMING: [&str; 2] = ["etc/tmpfiles.d", "usr/lib/tmpfiles.d"];

/// Every path of a base layer, and the content of the files that say which users and units
/// there are; the others are empty. A node's layer is made and checked against it without the
/// base layer itself, which is large.
#[must_use]
pub fn outline(tree: &Tree) -> Tree {
    let mut outline = Tree::new();
    for (path, entry) in tree.iter() {
        let kind = match &entry.kind {
            Kind::File(_) if !tells(path) => Kind::File(Body::new("")),
            kind => kind.clone(),
        };
        let meta = entry.meta;
        outline.put(path.clone(), Entry { meta, kind });
    }
    outline
}

fn tells(path: &TreePath) -> bool {
    let within = |dir: &&str| path.is_within(dir);
    ACCOUNTS.contains(&path.as_str()) || units::DIRS.iter().any(within) || NAMING.iter().any(within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn has_every_path_but_only_what_tells() {
        let base = testing::base().tree;
        let outline = outline(&base);
        let paths = |tree: &Tree| {
            tree.iter()
                .map(|(path, _)| path.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(paths(&outline), paths(&base));
        assert_eq!(outline.file("etc/passwd"), base.file("etc/passwd"));
        let unit = "usr/lib/systemd/system/systemd-networkd.service";
        assert_eq!(outline.file(unit), base.file(unit));
        assert_eq!(outline.file("usr/lib/os-release").unwrap().as_ref(), b"");
        assert_eq!(
            outline.at("etc/shadow").unwrap().meta,
            base.at("etc/shadow").unwrap().meta
        );
    }
}
