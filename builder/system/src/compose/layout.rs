//! What maintainer scripts and a first boot would do to the tree of files.

use super::{ComposeError, known};
use crate::users::SystemIds;
use imgbuild_base::{Epoch, Kind, Meta, Tree, TreePath};
use std::collections::BTreeSet;

/// Directories that no package ships or that pruning took with what was in them, and the
/// links of `/var` and `/boot`.
pub(super) fn make_directories(tree: &mut Tree, epoch: Epoch) {
    const FOLDERS: [(&str, u16); 15] = [
        ("dev", 0o755),
        ("etc", 0o755),
        ("home", 0o755),
        ("mnt", 0o755),
        ("opt", 0o755),
        ("proc", 0o555),
        ("root", 0o700),
        ("run", 0o755),
        ("srv", 0o755),
        ("sys", 0o555),
        ("tmp", 0o1777),
        ("usr", 0o755),
        ("var", 0o755),
        ("var/lib", 0o755),
        ("var/tmp", 0o1777),
    ];
    for (path, mode) in FOLDERS {
        tree.put_dir(known(path), Meta::root(mode, epoch));
    }
    // Debian may ship directories here; / of a node finds the real ones elsewhere.
    for (path, target) in [
        ("var/run", "/run"),
        ("var/lock", "/run/lock"),
        ("boot", "run/initramfs/boot"),
    ] {
        tree.retain(|found, _| !found.is_within(path));
        tree.put_link(known(path), target, epoch);
    }
    tree.put_link(known("etc/mtab"), "../proc/self/mounts", epoch);
}

/// `/etc/nsswitch.conf`, which libc-bin's and base-files' scripts would copy.
pub(super) fn put_name_services(tree: &mut Tree, epoch: Epoch) -> Result<(), ComposeError> {
    let text = [
        "usr/share/libc-bin/nsswitch.conf",
        "usr/share/base-files/nsswitch.conf",
    ]
    .iter()
    .find_map(|path| tree.file(path).cloned())
    .ok_or(ComposeError::Missing {
        what: "nsswitch.conf",
        hint: "the package libc-bin must be among them",
    })?;
    tree.put_file(known("etc/nsswitch.conf"), Meta::root(0o644, epoch), text);
    Ok(())
}

/// Owners and modes that maintainer scripts set by `dpkg-statoverride` and `chgrp`, invisible
/// in the packages: path, group, mode.
const OVERRIDES: [(&str, &str, u16); 2] = [
    (
        "usr/lib/dbus-1.0/dbus-daemon-launch-helper",
        "messagebus",
        0o4754,
    ),
    ("usr/bin/ssh-agent", "_ssh", 0o2755),
];

pub(super) fn override_modes(tree: &mut Tree, ids: &SystemIds) {
    for (path, group, mode) in OVERRIDES {
        if let (Some(entry), Some(&gid)) = (tree.get_mut(&known(path)), ids.groups.get(group)) {
            entry.meta = Meta {
                mode,
                gid,
                ..entry.meta
            };
        }
    }
}

/// Removes directories of documentation that pruning left with nothing in them.
pub(super) fn drop_empty_folders(tree: &mut Tree) {
    let mut used = BTreeSet::new();
    for (path, entry) in tree.iter() {
        if !matches!(entry.kind, Kind::Directory) {
            used.extend(path.ancestors());
        }
    }
    let prunable = |path: &TreePath| {
        ["usr/share", "usr/lib", "usr/include", "usr/games"]
            .iter()
            .any(|dir| path.is_within(dir))
    };
    tree.retain(|path, entry| {
        !matches!(entry.kind, Kind::Directory) || used.contains(path) || !prunable(path)
    });
}

/// Tells systemd that /etc and /var are as new as /usr (ConditionNeedsUpdate= of
/// systemd.unit(5)), so that it does not rebuild what is complete.
pub(super) fn mark_updated(tree: &mut Tree, epoch: Epoch) {
    let text = format!("TIMESTAMP_NSEC={}000000000\n", epoch.seconds());
    for path in ["etc/.updated", "var/.updated"] {
        tree.put_file(known(path), Meta::root(0o644, epoch), text.clone());
    }
    if let Some(usr) = tree.get_mut(&known("usr")) {
        usr.meta.mtime = epoch;
    }
}
