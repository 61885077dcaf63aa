mod kernel;
mod layout;

use crate::kmod::index::IndexError;
use crate::kmod::{Modules, SelectError};
use crate::packages::Feature;
use crate::units::{self, UnitsError};
use crate::users::{self, SystemIds, UsersError};
use crate::{Board, OverlayError, Overlays, dpkg, regulatory};
use bytes::Bytes;
use imgbuild_base::{Arch, Epoch, Kind, Tree, TreePath, tree::Collision};
use imgbuild_debian::deb::UnpackedDeb;
use imgbuild_recipe::values::ModuleName;
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
    /// Modules that a recipe names beside those of the board.
    pub modules: &'a [ModuleName],
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
    /// GRUB's files for a PC's BIOS by file name, where that is wished for.
    pub grub: Tree,
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

impl ComposeError {
    /// Whether the recipe asks for what there is not.
    #[must_use]
    pub const fn is_the_recipes(&self) -> bool {
        matches!(self, Self::Modules(SelectError::Unknown { .. }))
    }
}

/// Composes packages and our own files into a base layer and what boots it.
///
/// # Errors
/// [`ComposeError`].
pub fn compose(request: &Request<'_>) -> Result<Base, ComposeError> {
    let Request {
        epoch,
        overlays,
        packages,
        ..
    } = *request;
    let mut tree = lay_over_each_other(packages)?;
    let kernel = kernel::take_kernel(&mut tree, request)?;
    let busybox = kernel::take_busybox(&mut tree)?;
    let efi_stub = kernel::take_efi_stub(&mut tree);
    let grub = match request.features.contains(&Feature::Bios) {
        true => take_folder(&mut tree, "usr/lib/grub/i386-pc"),
        false => Tree::new(),
    };
    let firmware = take_folder(&mut tree, "usr/lib/raspi-firmware");
    kernel::put_modules(&mut tree, &kernel, epoch)?;
    layout::make_directories(&mut tree, epoch);
    regulatory::link(&mut tree, epoch);
    let ids = users::make(&mut tree, epoch)?;
    layout::put_name_services(&mut tree, epoch)?;
    put_overlay(&mut tree, overlays, epoch);
    layout::override_modes(&mut tree, &ids);
    set_up_units(&mut tree, overlays, epoch)?;
    let database = dpkg::database(packages, &tree, epoch);
    put_all(&mut tree, database);
    layout::drop_empty_folders(&mut tree);
    layout::mark_updated(&mut tree, epoch);
    Ok(Base {
        tree,
        ids,
        kernel,
        busybox,
        efi_stub,
        grub,
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
    fn a_recipe_names_modules_that_the_kernel_must_have() {
        let base = testing::base_with(&["minix", "ext4"]).unwrap();
        let file = "usr/lib/modules/6.12-test/kernel/fs/minix/minix.ko";
        assert!(base.tree.at(file).is_some());
        assert!(!base.kernel.modules.early.contains(&"minix".to_owned()));
        let error = testing::base_with(&["no_such", "minix"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "kernel 6.12-test of Debian has no module no_such: `kernel.modules` of the recipe can \
             only name what the kernel's package has"
        );
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
            modules: &[],
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
