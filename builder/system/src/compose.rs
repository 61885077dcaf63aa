use crate::kmod::index::IndexError;
use crate::kmod::{self, Modules, SelectError};
use crate::packages::Feature;
use crate::units::{self, UnitsError};
use crate::users::{self, SystemIds, UsersError};
use crate::{Board, OverlayError, Overlays, dpkg, regulatory, resolve::resolve};
use bytes::Bytes;
use imgbuild_base::{Arch, Epoch, Kind, Meta, Tree, TreePath, tree::Collision};
use imgbuild_debian::deb::UnpackedDeb;
use std::collections::BTreeSet;

const UNITS: &str = "base/units.txt";

/// What a base layer is made from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What it will run on.
    pub board: Board,
    /// The packages' architecture.
    pub arch: Arch,
    /// The time of everything that no package dates.
    pub epoch: Epoch,
    /// Our own files.
    pub overlays: &'a Overlays,
    /// What the recipe wishes for.
    pub features: &'a BTreeSet<Feature>,
    /// The packages, unpacked with [`crate::prune::Keep`].
    pub packages: &'a [UnpackedDeb],
}

/// The kernel and what belongs to it, taken out of the packages: it lives on the boot
/// partition, not in a layer.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its version, as in `usr/lib/modules/VERSION`.
    pub version: String,
    /// The kernel itself, `vmlinuz`.
    pub image: Bytes,
    /// Device trees by file name (Raspberry Pi).
    pub device_trees: Tree,
    /// The modules an image holds.
    pub modules: Modules,
}

/// A composed root file system and what starts it.
#[derive(Clone, Debug)]
pub struct Base {
    /// The content of the base layer.
    pub tree: Tree,
    /// Ids that other layers need.
    pub ids: SystemIds,
    /// The kernel.
    pub kernel: Kernel,
    /// The statically linked busybox of the initramfs.
    pub busybox: Bytes,
    /// systemd's stub for EFI, where the packages have one.
    pub efi_stub: Option<Bytes>,
    /// The Raspberry Pi's firmware by file name, where the packages have it.
    pub firmware: Tree,
}

/// Why packages cannot be composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// Two packages ship different things at one path.
    #[error("laying package {package} over the others: {source}")]
    Collision {
        /// The later package.
        package: String,
        /// What collides.
        source: Collision,
    },
    /// Something every base needs is not in any package.
    #[error("none of the packages has {what}: {hint}")]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// Where it should come from.
        hint: &'static str,
    },
    /// More than one kernel.
    #[error("the packages hold the kernels {}: an image takes exactly one", .0.join(" and "))]
    Kernels(Vec<String>),
    /// Users and groups.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// Units.
    #[error("overlays/{UNITS}: {0}")]
    Units(#[from] UnitsError),
    /// Our own files.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// Kernel modules.
    #[error(transparent)]
    Modules(#[from] SelectError),
    /// Indexes of modules.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Composes packages and our own files into a base layer and what boots it.
///
/// # Errors
/// [`ComposeError`].
pub fn compose(request: &Request<'_>) -> Result<Base, ComposeError> {
    let Request {
        board,
        arch: _,
        epoch,
        overlays,
        features,
        packages,
    } = *request;
    let mut tree = lay_over_each_other(packages)?;
    let kernel = take_kernel(&mut tree, overlays, board, features)?;
    let busybox = take_busybox(&mut tree)?;
    let efi_stub = take_efi_stub(&mut tree);
    let firmware = take_folder(&mut tree, "usr/lib/raspi-firmware");
    put_modules(&mut tree, &kernel, epoch)?;
    make_directories(&mut tree, epoch);
    regulatory::link(&mut tree, epoch);
    let ids = users::make(&mut tree, epoch)?;
    put_name_services(&mut tree, epoch)?;
    put_overlay(&mut tree, overlays, epoch);
    override_modes(&mut tree, &ids);
    set_up_units(&mut tree, overlays, epoch)?;
    let database = dpkg::database(packages, &tree, epoch);
    put_all(&mut tree, database);
    drop_empty_folders(&mut tree);
    mark_updated(&mut tree, epoch);
    Ok(Base {
        tree,
        ids,
        kernel,
        busybox,
        efi_stub,
        firmware,
    })
}

/// A path known at compile time.
pub(crate) fn known(text: &'static str) -> TreePath {
    match TreePath::new(text) {
        Ok(path) => path,
        Err(error) => unreachable!("a path written in the source is wrong: {error}"),
    }
}

fn lay_over_each_other(packages: &[UnpackedDeb]) -> Result<Tree, ComposeError> {
    let mut tree = Tree::new();
    let mut sorted: Vec<&UnpackedDeb> = packages.iter().collect();
    let name = |package: &UnpackedDeb| package.control().get("Package").unwrap_or("").to_owned();
    sorted.sort_by_key(|package| name(package));
    for package in sorted {
        let mut own = package.tree();
        // Directories that packages share keep what was said of them first; those that only
        // exist because something lies below them say nothing.
        own.retain(|path, entry| {
            !(matches!(entry.kind, Kind::Directory)
                && tree
                    .get(path)
                    .is_some_and(|old| matches!(old.kind, Kind::Directory)))
        });
        tree.merge(own).map_err(|source| ComposeError::Collision {
            package: name(package),
            source,
        })?;
    }
    Ok(tree)
}

/// Takes everything below `dir` out of the tree; paths become relative to it.
fn take_folder(tree: &mut Tree, dir: &str) -> Tree {
    let mut taken = Tree::new();
    let mut rest = Tree::new();
    for (path, entry) in std::mem::take(tree) {
        if !path.is_within(dir) {
            rest.put(path, entry);
        } else if let Some(below) = path.as_str().get(dir.len() + 1..)
            && let Ok(below) = TreePath::new(below)
        {
            taken.put(below, entry);
        }
    }
    *tree = rest;
    taken
}

/// Takes kernel, device trees and modules out of the tree.
fn take_kernel(
    tree: &mut Tree,
    overlays: &Overlays,
    board: Board,
    features: &BTreeSet<Feature>,
) -> Result<Kernel, ComposeError> {
    let missing = |what| ComposeError::Missing {
        what,
        hint: "a linux-image package must be among them",
    };
    let boot = take_folder(tree, "boot");
    let mut versions: Vec<String> = boot
        .iter()
        .filter_map(|(path, _)| path.as_str().strip_prefix("vmlinuz-").map(str::to_owned))
        .collect();
    let version = match (versions.pop(), versions.is_empty()) {
        (Some(version), true) => version,
        (Some(version), false) => {
            versions.push(version);
            return Err(ComposeError::Kernels(versions));
        }
        (None, _) => return Err(missing("a kernel")),
    };
    let image = boot
        .file(&format!("vmlinuz-{version}"))
        .cloned()
        .ok_or_else(|| missing("a kernel"))?;

    let mut device_trees = Tree::new();
    for (path, entry) in take_folder(tree, &format!("usr/lib/linux-image-{version}")) {
        if matches!(entry.kind, Kind::File(_))
            && let Ok(name) = TreePath::new(path.name())
        {
            device_trees.put(name, entry);
        }
    }

    let wanted = kmod::wanted(overlays, board, features)?;
    let modules = kmod::select(tree, &version, &wanted)?;
    Ok(Kernel {
        version,
        image,
        device_trees,
        modules,
    })
}

fn take_busybox(tree: &mut Tree) -> Result<Bytes, ComposeError> {
    let missing = ComposeError::Missing {
        what: "/usr/bin/busybox",
        hint: "the package busybox-static must be among them",
    };
    let path = resolve(tree, "usr/bin/busybox");
    match path
        .and_then(|path| tree.remove(&path))
        .map(|entry| entry.kind)
    {
        Some(Kind::File(body)) => Ok(body.bytes().clone()),
        _ => Err(missing),
    }
}

/// `linuxx64.efi.stub`, `linuxaa64.efi.stub`: systemd-stub(7).
fn take_efi_stub(tree: &mut Tree) -> Option<Bytes> {
    let folder = take_folder(tree, "usr/lib/systemd/boot");
    folder.iter().find_map(|(path, entry)| {
        let name = path.name();
        match &entry.kind {
            Kind::File(body) if name.starts_with("linux") && name.ends_with(".efi.stub") => {
                Some(body.bytes().clone())
            }
            _ => None,
        }
    })
}

/// Leaves only the selected modules and puts the indexes that the kernel's package lacks.
fn put_modules(tree: &mut Tree, kernel: &Kernel, epoch: Epoch) -> Result<(), ComposeError> {
    let dir = format!("usr/lib/modules/{}", kernel.version);
    let kept: std::collections::BTreeSet<&str> = kernel
        .modules
        .all
        .iter()
        .map(|module| module.file.as_str())
        .collect();
    let objects = format!("{dir}/kernel");
    tree.retain(|path, entry| {
        !path.is_within(&objects)
            || (matches!(entry.kind, Kind::File(_))
                && kept.contains(&path.as_str()[dir.len() + 1..]))
    });
    // The directories on the way to those that stay.
    let files: Vec<_> = tree
        .iter()
        .filter(|(path, _)| path.is_within(&objects))
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect();
    for (path, entry) in files {
        tree.put(path, entry);
    }
    for (name, bytes) in kmod::depmod(tree, &kernel.version, &kernel.modules)? {
        if let Ok(path) = TreePath::new(&format!("{dir}/{name}")) {
            tree.put_file(path, Meta::root(0o644, epoch), bytes);
        }
    }
    // The order of modules is in the indexes; what is built in is not asked for as text.
    tree.retain(|path, _| {
        path.parent().is_none_or(|up| up.as_str() != dir)
            || !matches!(path.name(), "modules.order" | "modules.builtin.modinfo")
    });
    Ok(())
}

/// Directories that no package ships or that pruning took with what was in them, and the
/// links of `/var` and `/boot`.
fn make_directories(tree: &mut Tree, epoch: Epoch) {
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
fn put_name_services(tree: &mut Tree, epoch: Epoch) -> Result<(), ComposeError> {
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

fn put_overlay(tree: &mut Tree, overlays: &Overlays, epoch: Epoch) {
    put_all(tree, overlays.base(epoch));
}

/// Puts every file of `from`, replacing what is there; directories only where there is nothing.
fn put_all(tree: &mut Tree, from: Tree) {
    for (path, entry) in from {
        if !matches!(entry.kind, Kind::Directory) || tree.get(&path).is_none() {
            tree.put(path, entry);
        }
    }
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

fn override_modes(tree: &mut Tree, ids: &SystemIds) {
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

/// `overlays/base/units.txt`.
fn set_up_units(tree: &mut Tree, overlays: &Overlays, epoch: Epoch) -> Result<(), ComposeError> {
    for (line, text) in overlays.list(UNITS)? {
        match text.split_once(' ') {
            Some(("enable", unit)) => units::enable(tree, unit.trim(), epoch)?,
            Some(("mask", unit)) => units::mask(tree, unit.trim(), epoch)?,
            _ => {
                let problem = format!("{text:?} is neither `enable UNIT` nor `mask UNIT`");
                let file = UNITS.to_owned();
                return Err(OverlayError::Line {
                    file,
                    line,
                    problem,
                }
                .into());
            }
        }
    }
    Ok(())
}

/// Removes directories of documentation that pruning left with nothing in them.
fn drop_empty_folders(tree: &mut Tree) {
    let mut used = std::collections::BTreeSet::new();
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
fn mark_updated(tree: &mut Tree, epoch: Epoch) {
    let text = format!("TIMESTAMP_NSEC={}000000000\n", epoch.seconds());
    for path in ["etc/.updated", "var/.updated"] {
        tree.put_file(known(path), Meta::root(0o644, epoch), text.clone());
    }
    if let Some(usr) = tree.get_mut(&known("usr")) {
        usr.meta.mtime = epoch;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn packages_become_a_root() {
        let base = testing::base();
        let tree = &base.tree;
        assert_eq!(base.kernel.version, "6.12-test");
        assert_eq!(base.kernel.image.as_ref(), b"kernel");
        assert_eq!(base.busybox.as_ref(), b"busybox");
        assert!(tree.at("usr/bin/busybox").is_none());
        assert_eq!(
            tree.at("boot").unwrap().kind,
            Kind::Symlink("run/initramfs/boot".into())
        );
        assert_eq!(tree.at("tmp").unwrap().meta.mode, 0o1777);
        assert_eq!(
            tree.at("var/run").unwrap().kind,
            Kind::Symlink("/run".into())
        );
        assert!(tree.file("etc/passwd").is_some());
        assert_eq!(
            tree.at("etc/systemd/system/ldconfig.service").unwrap().kind,
            Kind::Symlink("/dev/null".into())
        );
        assert!(
            tree.at("etc/systemd/system/multi-user.target.wants/imgbuild-report.service")
                .is_some()
        );
        assert_eq!(
            tree.file("etc/.updated").unwrap().as_ref(),
            b"TIMESTAMP_NSEC=1700000000000000000\n"
        );
    }

    #[test]
    fn only_wanted_modules_stay_and_are_indexed() {
        let base = testing::base();
        let dir = "usr/lib/modules/6.12-test";
        let has = |name: &str| base.tree.at(&format!("{dir}/{name}")).is_some();
        assert!(has("kernel/fs/overlayfs/overlay.ko"));
        assert!(has("kernel/fs/fat/fat.ko"), "a dependency");
        assert!(!has("kernel/fs/minix/minix.ko"), "nobody asks for it");
        let dep = String::from_utf8(
            base.tree
                .file(&format!("{dir}/modules.dep"))
                .unwrap()
                .to_vec(),
        )
        .unwrap();
        assert!(
            dep.contains("kernel/fs/fat/vfat.ko: kernel/fs/fat/fat.ko\n"),
            "{dep}"
        );
        assert!(has("modules.alias.bin"));
    }

    #[test]
    fn scanners_find_the_packages() {
        let base = testing::base();
        let status = base.tree.file("var/lib/dpkg/status").unwrap();
        let status = String::from_utf8(status.to_vec()).unwrap();
        assert!(
            status.contains("Package: base\nStatus: install ok installed\n"),
            "{status}"
        );
        let list = base.tree.file("var/lib/dpkg/info/base.list").unwrap();
        let list = String::from_utf8(list.to_vec()).unwrap();
        assert!(
            list.contains("/usr/share/libc-bin/nsswitch.conf\n"),
            "{list}"
        );
        assert!(
            !list.contains("busybox"),
            "what is not in the image is not listed"
        );
    }

    #[test]
    fn a_kernel_is_needed() {
        let overlays = Overlays::builtin();
        let request = Request {
            board: Board::Vm,
            arch: Arch::Amd64,
            epoch: Epoch::ZERO,
            overlays: &overlays,
            features: &BTreeSet::new(),
            packages: &[],
        };
        let error = compose(&request).unwrap_err();
        assert!(
            matches!(
                error,
                ComposeError::Missing {
                    what: "a kernel",
                    ..
                }
            ),
            "{error}"
        );
    }
}
