use crate::ComposeError;
use imgbuild_base::{Epoch, Kind, Meta, Tree, TreePath};
use imgbuild_pki::{Certificate, PrivateText};

/// A numeric user and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Owner {
    /// User and group root.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// The numeric ids that the base layer's passwd gives to the users a node's layer names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SystemIds {
    /// The user etcd runs as.
    pub etcd: Owner,
}

/// A tree under construction: every entry gets the lock's epoch as its time.
pub(crate) struct Layer {
    tree: Tree,
    epoch: Epoch,
}

impl Layer {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self {
            tree: Tree::new(),
            epoch,
        }
    }

    pub(crate) fn into_tree(self) -> Tree {
        self.tree
    }

    fn meta(&self, mode: u16, owner: Owner) -> Meta {
        Meta::root(mode, self.epoch).owned_by(owner.uid, owner.gid)
    }

    /// Adds what must not be there yet: [`Tree::put`] alone would replace.
    fn add(&mut self, put: impl FnOnce(&mut Tree)) -> Result<(), ComposeError> {
        let mut one = Tree::new();
        put(&mut one);
        // Directories made on the way must not undo the mode of those that are there.
        one.retain(|path, _| {
            !self
                .tree
                .get(path)
                .is_some_and(|entry| entry.kind == Kind::Directory)
        });
        self.tree.merge(one)?;
        Ok(())
    }

    /// A regular file.
    pub(crate) fn file(
        &mut self,
        path: &str,
        mode: u16,
        owner: Owner,
        text: impl Into<bytes::Bytes>,
    ) -> Result<(), ComposeError> {
        let (path, meta, text) = (TreePath::new(path)?, self.meta(mode, owner), text.into());
        self.add(|tree| tree.put_file(path, meta, text))
    }

    /// A file of root's that everyone may read.
    pub(crate) fn text(&mut self, path: &str, text: String) -> Result<(), ComposeError> {
        self.file(path, 0o644, Owner::ROOT, text)
    }

    /// A certificate, which everyone may read.
    pub(crate) fn certificate(
        &mut self,
        path: &str,
        certificate: &Certificate,
    ) -> Result<(), ComposeError> {
        self.text(path, certificate.pem().to_owned())
    }

    /// A private key, which only its owner may read.
    pub(crate) fn key(
        &mut self,
        path: &str,
        owner: Owner,
        key: &PrivateText,
    ) -> Result<(), ComposeError> {
        self.file(path, 0o600, owner, key.expose().to_owned())
    }

    /// A directory; made before what it holds.
    pub(crate) fn directory(
        &mut self,
        path: &str,
        mode: u16,
        owner: Owner,
    ) -> Result<(), ComposeError> {
        let (path, meta) = (TreePath::new(path)?, self.meta(mode, owner));
        self.tree.put_dir(path, meta);
        Ok(())
    }

    /// A directory as it is in a layer below, unless this layer says otherwise.
    pub(crate) fn directory_as(&mut self, path: TreePath, meta: Meta) {
        if self.tree.get(&path).is_none() {
            let epoch = self.epoch;
            self.tree.put_dir(
                path,
                Meta {
                    mtime: epoch,
                    ..meta
                },
            );
        }
    }

    /// What is at `path`.
    pub(crate) fn kind(&self, path: &TreePath) -> Option<&Kind> {
        self.tree.get(path).map(|entry| &entry.kind)
    }

    /// Whether there is something at `path`.
    pub(crate) fn has(&self, path: &TreePath) -> bool {
        self.kind(path).is_some()
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) -> Result<(), ComposeError> {
        let (path, epoch) = (TreePath::new(path)?, self.epoch);
        self.add(|tree| tree.put_link(path, target, epoch))
    }

    /// An empty file whose time is `instant`.
    pub(crate) fn stamp(&mut self, path: &str, instant: Epoch) -> Result<(), ComposeError> {
        let path = TreePath::new(path)?;
        self.add(|tree| tree.put_file(path, Meta::root(0o644, instant), ""))
    }

    /// A unit of `/etc` or of Debian's that starts with the system.
    pub(crate) fn enable(&mut self, unit: &str, dir: &str) -> Result<(), ComposeError> {
        let link = format!("etc/systemd/system/multi-user.target.wants/{unit}");
        self.link(&link, &format!("{dir}/{unit}"))
    }
}

/// `path` as the running system sees it, if it needs no quoting anywhere it is written.
pub(crate) fn plain(path: &TreePath, what: &'static str) -> Result<String, ComposeError> {
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'@' | b'/')
    };
    if path.as_str().bytes().all(allowed) {
        Ok(path.absolute())
    } else {
        Err(ComposeError::Path(path.clone(), what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_replaced_unseen() {
        let mut layer = Layer::new(Epoch::ZERO);
        layer.directory("root", 0o700, Owner::ROOT).unwrap();
        layer.text("root/a", "x".into()).unwrap();
        assert!(matches!(
            layer.text("root/a", "y".into()),
            Err(ComposeError::Collision(_))
        ));
        assert!(matches!(
            layer.text("root/a/b", "y".into()),
            Err(ComposeError::Collision(_))
        ));
        let tree = layer.into_tree();
        assert_eq!(tree.at("root").unwrap().meta.mode, 0o700);
    }

    #[test]
    fn paths_need_no_quoting() {
        let plain = |text: &str| plain(&TreePath::new(text).unwrap(), "x");
        assert_eq!(plain("usr/local/bin").unwrap(), "/usr/local/bin");
        for bad in ["a b", "a%b", "a$b", "a\"b", "ä"] {
            assert!(
                matches!(plain(bad), Err(ComposeError::Path(_, "x"))),
                "{bad}"
            );
        }
    }
}
