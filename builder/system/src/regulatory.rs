//! The wireless regulatory database, which says what is allowed on the air in each country.

use imgbuild_base::{Epoch, Tree, TreePath};

/// Where the kernel looks for it.
const FILES: [&str; 2] = [
    "usr/lib/firmware/regulatory.db",
    "usr/lib/firmware/regulatory.db.p7s",
];

/// Debian's package has the database signed by Debian, `regulatory.db-debian`, and as upstream
/// signs it, and lets update-alternatives make the first the one that the kernel finds: its
/// kernels hold both keys.
pub(crate) fn link(tree: &mut Tree, epoch: Epoch) {
    for file in FILES {
        let chosen = match file.strip_suffix(".p7s") {
            Some(database) => format!("{database}-debian.p7s"),
            None => format!("{file}-debian"),
        };
        // Both ways of naming the signature are in use.
        let names = [chosen, format!("{file}-debian")];
        let found = names.iter().find(|name| tree.at(name).is_some());
        if let Some((_, target)) = found.and_then(|name| name.rsplit_once('/'))
            && tree.at(file).is_none()
            && let Ok(path) = TreePath::new(file)
        {
            tree.put_link(path, target, epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgbuild_base::{Kind, Meta};

    #[test]
    fn the_kernel_finds_debians_own() {
        let mut tree = Tree::new();
        for name in [
            "regulatory.db-debian",
            "regulatory.db.p7s-debian",
            "regulatory.db-upstream",
        ] {
            let path = TreePath::new(&format!("usr/lib/firmware/{name}")).unwrap();
            tree.put_file(path, Meta::root(0o644, Epoch::ZERO), "");
        }
        link(&mut tree, Epoch::ZERO);
        for (file, target) in FILES
            .into_iter()
            .zip(["regulatory.db-debian", "regulatory.db.p7s-debian"])
        {
            let kind = &tree.at(file).unwrap().kind;
            assert_eq!(*kind, Kind::Symlink(target.to_owned()));
        }
        let mut without = Tree::new();
        link(&mut without, Epoch::ZERO);
        assert_eq!(without.iter().count(), 0);
    }
}
