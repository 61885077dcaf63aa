use crate::ComposeError;
use crate::layer::{Owner, SystemIds};
use imgbuild_base::{Kind, Meta, Tree, TreePath};
use std::collections::BTreeMap;

/// The layers below a node's own, as far as its own depends on them: every path, and the
/// content of the files that say which users and units there are.
#[derive(Clone, Debug)]
pub struct Below {
    tree: Tree,
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
    ids: SystemIds,
}

impl Below {
    /// `tree` has at least `etc/passwd`, `etc/group` and `etc/shadow` with their content, and
    /// the units. What else it lacks counts as not there.
    ///
    /// # Errors
    /// [`ComposeError::User`] when there is no user `etcd`.
    pub fn new(tree: Tree) -> Result<Self, ComposeError> {
        let (users, groups) = (ids(&tree, "etc/passwd"), ids(&tree, "etc/group"));
        let id = |of: &BTreeMap<String, u32>| {
            let missing = || ComposeError::User("etcd".to_owned(), String::new());
            of.get("etcd").copied().ok_or_else(missing)
        };
        let etcd = Owner {
            uid: id(&users)?,
            gid: id(&groups)?,
        };
        Ok(Self {
            ids: SystemIds { etcd },
            tree,
            users,
            groups,
        })
    }

    /// The owners that the builder's own files have.
    #[must_use]
    pub const fn ids(&self) -> SystemIds {
        self.ids
    }

    /// What is at `path`.
    pub(crate) fn kind(&self, path: &TreePath) -> Option<&Kind> {
        self.tree.get(path).map(|entry| &entry.kind)
    }

    /// Owner and mode of what is at `path`.
    pub(crate) fn meta(&self, path: &TreePath) -> Option<Meta> {
        self.tree.get(path).map(|entry| entry.meta)
    }

    /// The text of the file at `path`, when it was kept.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let bytes = self.tree.file(path)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// User and group by name.
    pub(crate) fn owner(&self, user: &str, group: &str) -> Result<Owner, ComposeError> {
        let known = |of: &BTreeMap<String, u32>| of.keys().cloned().collect::<Vec<_>>().join(", ");
        let uid = self.users.get(user).copied();
        let gid = self.groups.get(group).copied();
        Ok(Owner {
            uid: uid.ok_or_else(|| ComposeError::User(user.to_owned(), known(&self.users)))?,
            gid: gid.ok_or_else(|| ComposeError::Group(group.to_owned(), known(&self.groups)))?,
        })
    }
}

/// Names and ids of passwd(5) or group(5).
fn ids(tree: &Tree, file: &str) -> BTreeMap<String, u32> {
    let text = tree.file(file).cloned().unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((name, fields.nth(1)?.parse().ok()?))
        })
        .collect()
}
