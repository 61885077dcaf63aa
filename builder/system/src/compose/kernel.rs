//! The kernel and what starts with it, taken out of the packages.

use super::{ComposeError, Kernel, Request, take_folder};
use crate::kmod::{self, Wanted};
use crate::resolve::resolve;
use bytes::Bytes;
use imgbuild_base::{Epoch, Kind, Meta, Tree, TreePath};
use std::collections::BTreeSet;

/// Takes kernel, device trees and modules out of the tree.
pub(super) fn take_kernel(tree: &mut Tree, request: &Request<'_>) -> Result<Kernel, ComposeError> {
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

    let mut wanted = kmod::wanted(request.overlays, request.board, request.features)?;
    wanted.extend(request.modules.iter().map(Wanted::of_recipe));
    let modules = kmod::select(tree, &version, &wanted)?;
    Ok(Kernel {
        version,
        image,
        device_trees,
        modules,
    })
}

pub(super) fn take_busybox(tree: &mut Tree) -> Result<Bytes, ComposeError> {
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
pub(super) fn take_efi_stub(tree: &mut Tree) -> Option<Bytes> {
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
pub(super) fn put_modules(
    tree: &mut Tree,
    kernel: &Kernel,
    epoch: Epoch,
) -> Result<(), ComposeError> {
    let dir = format!("usr/lib/modules/{}", kernel.version);
    let kept: BTreeSet<&str> = kernel
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
