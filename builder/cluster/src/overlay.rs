//! A node's part for a machine that has an operating system already (Debian, Ubuntu, Raspberry
//! Pi OS): what makes it a member of the cluster, and nothing of who it is or how it reaches
//! its network.
//!
//! Such a machine has users of its own, whose numbers nobody here knows. So everything belongs
//! to root, which keeps keys private wherever they are unpacked, and a unit that goes before
//! etcd makes etcd's user and hands over to it what is its own. Templates in `overlays/etcd`.

use crate::layer::{Layer, Owner, SystemIds, plain};
use crate::template::{Template, overlay};
use crate::{ComposeError, unit};
use imgbuild_base::{Epoch, Kind, Tree, TreePath};
use imgbuild_recipe::resolved::Etcd;
use minijinja::context;

const PREPARE: Template = overlay!("etcd/prepare.service");
const USER: Template = overlay!("etcd/sysusers.conf");
const BEFORE: &str = include_str!("../../../overlays/etcd/before.conf");

/// Where the owners are written down, in tmpfiles.d(5)'s form. Not in /etc/tmpfiles.d: the
/// system reads that before etcd's user exists.
const OWNERS: &str = "usr/local/lib/imgbuild/etcd-owners.conf";

/// Stands for etcd's user until its files are given to root; any number but root's will do.
pub(crate) const IDS: SystemIds = SystemIds {
    etcd: Owner { uid: 1, gid: 1 },
};

/// Directories that every such machine has, or that tar makes well enough. An archive that
/// named them would set their owner and mode.
const COMMON: [&str; 24] = [
    "etc",
    "etc/default",
    "etc/systemd",
    "etc/systemd/system",
    "etc/systemd/system/multi-user.target.wants",
    "etc/sysusers.d",
    "etc/tmpfiles.d",
    "opt",
    "srv",
    "usr",
    "usr/bin",
    "usr/lib",
    "usr/local",
    "usr/local/bin",
    "usr/local/lib",
    "usr/local/sbin",
    "usr/local/share",
    "usr/sbin",
    "usr/share",
    "usr/share/doc",
    "var",
    "var/lib",
    "var/local",
    "var/opt",
];

/// Takes the directories out of a tree that machines have without it.
pub fn leave_out_common(tree: &mut Tree) {
    tree.retain(|path, entry| entry.kind != Kind::Directory || !COMMON.contains(&path.as_str()));
}

/// Makes the overlay of a layer in which [`IDS`] own what etcd's user is to own.
pub(crate) fn finish(mut layer: Layer, etcd: &Etcd, epoch: Epoch) -> Result<Tree, ComposeError> {
    for dir in unit::directories(etcd) {
        layer.directory(dir.as_str(), 0o700, IDS.etcd)?;
    }
    let mut tree = layer.into_tree();
    let mut owners = String::from(
        "# What belongs to etcd's user; etcd-prepare.service sees to it before etcd starts.\n",
    );
    for (path, entry) in tree.iter_mut() {
        let owner = (entry.meta.uid, entry.meta.gid);
        if owner != (IDS.etcd.uid, IDS.etcd.gid) {
            continue;
        }
        (entry.meta.uid, entry.meta.gid) = (Owner::ROOT.uid, Owner::ROOT.gid);
        owners.push_str(&line(path, &entry.kind, entry.meta.mode)?);
    }
    let mut own = Layer::new(epoch);
    own.text(OWNERS, owners)?;
    let data = plain(&etcd.data_dir, "the data directory")?;
    let dirs = unit::directories(etcd)
        .map(|dir| plain(dir, "a directory of etcd's data"))
        .collect::<Result<Vec<_>, _>>()?
        .join(" ");
    own.text(
        "etc/sysusers.d/etcd.conf",
        USER.render(context! { data_dir => data })?,
    )?;
    let owners = format!("/{OWNERS}");
    own.text(
        "etc/systemd/system/etcd-prepare.service",
        PREPARE.render(context! { dirs, owners })?,
    )?;
    own.text(
        "etc/systemd/system/etcd.service.d/prepare.conf",
        BEFORE.to_owned(),
    )?;
    tree.merge(own.into_tree())?;
    leave_out_common(&mut tree);
    Ok(tree)
}

/// A line of tmpfiles.d(5): a directory is made where it is missing, a file only handed over.
fn line(path: &TreePath, kind: &Kind, mode: u16) -> Result<String, ComposeError> {
    let letter = match kind {
        Kind::Directory => 'd',
        Kind::File(_) | Kind::Symlink(_) | Kind::CharDevice { .. } => 'z',
    };
    let path = plain(path, "a path of etcd's")?;
    Ok(format!("{letter} {path} {mode:04o} etcd etcd\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgbuild_base::Meta;

    #[test]
    fn only_directories_of_its_own_stay() {
        let mut tree = Tree::new();
        let file = TreePath::new("etc/kubernetes/pki/ca.crt").unwrap();
        tree.put_file(file, Meta::root(0o644, Epoch::ZERO), "x");
        leave_out_common(&mut tree);
        let left: Vec<&str> = tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            left,
            [
                "etc/kubernetes",
                "etc/kubernetes/pki",
                "etc/kubernetes/pki/ca.crt"
            ]
        );
    }
}
