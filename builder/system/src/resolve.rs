//! Following symbolic links inside a tree, as the running system would.

use imgbuild_base::{Kind, Tree, TreePath};

/// Linux gives up after this many links (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Where `path` (absolute or relative to the root) leads when every link on the way is
/// followed; `None` when something is missing, the links run in a circle or it is the root.
pub(crate) fn resolve(tree: &Tree, path: &str) -> Option<TreePath> {
    let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let mut done: Vec<String> = Vec::new();
    let mut links = 0;
    while let Some(part) = rest.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                done.pop();
                continue;
            }
            _ => done.push(part),
        }
        let here = TreePath::new(&done.join("/")).ok()?;
        if let Kind::Symlink(target) = &tree.get(&here)?.kind {
            links += 1;
            if links > MOST_LINKS {
                return None;
            }
            done.pop();
            if target.starts_with('/') {
                done.clear();
            }
            rest.extend(target.split('/').rev().map(str::to_owned));
        }
    }
    TreePath::new(&done.join("/")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgbuild_base::{Epoch, Meta};

    #[test]
    fn links_lead_where_linux_leads_them() {
        let path = |text| TreePath::new(text).unwrap();
        let mut tree = Tree::new();
        tree.put_file(path("usr/lib/x.so.1"), Meta::root(0o644, Epoch::ZERO), "");
        tree.put_link(path("lib"), "usr/lib", Epoch::ZERO);
        tree.put_link(path("usr/lib/x.so"), "../../lib/x.so.1", Epoch::ZERO);
        tree.put_link(path("abs"), "/lib", Epoch::ZERO);
        tree.put_link(path("round"), "round", Epoch::ZERO);
        for text in ["/lib/x.so", "abs/x.so", "usr/lib/../lib/./x.so"] {
            assert_eq!(resolve(&tree, text), Some(path("usr/lib/x.so.1")));
        }
        assert_eq!(resolve(&tree, "round"), None);
        assert_eq!(resolve(&tree, "lib/y"), None);
    }
}
