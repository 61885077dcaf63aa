//! The initramfs: busybox, `overlays/initramfs/init` and the modules that reach the disk.

use crate::{Base, OverlayError, Overlays};
use imgbuild_base::{Epoch, Meta, Tree, TreePath};
use imgbuild_formats::cpio::{self, CpioError};

/// The commands of busybox that the script uses.
const COMMANDS: [&str; 26] = [
    "basename",
    "cat",
    "chroot",
    "cmp",
    "dd",
    "dirname",
    "hexdump",
    "insmod",
    "ln",
    "ls",
    "mkdir",
    "mount",
    "readlink",
    "reboot",
    "sed",
    "setsid",
    "sh",
    "sleep",
    "switch_root",
    "sync",
    "test",
    "tr",
    "umount",
    "uname",
    "usleep",
    "[",
];

/// Good enough: level 19 takes twenty times as long to save a tenth.
const LEVEL: u8 = 9;

/// Why there is no initramfs.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// The script is missing.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// It cannot be packed.
    #[error("packing the initramfs: {0}")]
    Pack(#[from] CpioError),
}

/// The tree: `/init`, `/bin`, `/modules/*.ko` (decompressed, for busybox's insmod) and
/// `/modules/order`, the names of these files in the order in which to load them.
///
/// # Errors
/// [`OverlayError`] when the script is missing.
pub fn build(base: &Base, overlays: &Overlays, epoch: Epoch) -> Result<Tree, OverlayError> {
    let mut tree = Tree::new();
    let program = Meta::root(0o755, epoch);
    let mut put = |path: &str, meta: Meta, bytes: bytes::Bytes| {
        if let Ok(path) = TreePath::new(path) {
            tree.put_file(path, meta, bytes);
        }
    };
    put("init", program, overlays.bytes("initramfs/init")?.clone());
    put("bin/busybox", program, base.busybox.clone());
    let mut order = String::new();
    for name in &base.kernel.modules.early {
        if let Some(module) = base.kernel.modules.get(name) {
            let file = format!("{name}.ko");
            put(
                &format!("modules/{file}"),
                Meta::root(0o644, epoch),
                module.elf.clone(),
            );
            order.push_str(&file);
            order.push('\n');
        }
    }
    put("modules/order", Meta::root(0o644, epoch), order.into());
    for dir in ["dev", "proc", "sys", "run", "root"] {
        if let Ok(path) = TreePath::new(dir) {
            tree.put_dir(path, program);
        }
    }
    for command in COMMANDS {
        if let Ok(path) = TreePath::new(&format!("bin/{command}")) {
            tree.put_link(path, "busybox", epoch);
        }
    }
    // What the kernel opens before anything is mounted.
    if let Ok(path) = TreePath::new("dev/console") {
        tree.put(
            path,
            imgbuild_base::Entry {
                meta: Meta::root(0o600, epoch),
                kind: imgbuild_base::Kind::CharDevice { major: 5, minor: 1 },
            },
        );
    }
    Ok(tree)
}

/// Builds it and packs it as the kernel reads it: a cpio archive compressed with zstd.
///
/// # Errors
/// [`InitramfsError`].
pub fn pack(base: &Base, overlays: &Overlays, epoch: Epoch) -> Result<Vec<u8>, InitramfsError> {
    let tree = build(base, overlays, epoch)?;
    let mut archive = Vec::new();
    cpio::write_newc(&tree, &mut archive)?;
    Ok(cpio::compress_zstd(&archive, LEVEL)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn modules_stand_in_load_order() {
        let tree = build(&testing::base(), &Overlays::builtin(), Epoch::ZERO).unwrap();
        let order = String::from_utf8(tree.file("modules/order").unwrap().to_vec()).unwrap();
        let at = |name: &str| order.lines().position(|line| line == name).unwrap();
        assert!(at("fat.ko") < at("vfat.ko"));
        assert!(
            !order.contains("virtio_net"),
            "not needed to reach the disk"
        );
        for line in order.lines() {
            assert!(
                tree.file(&format!("modules/{line}"))
                    .unwrap()
                    .starts_with(b"\x7fELF")
            );
        }
    }

    /// Every first word of the script's commands that is none of the shell's own is there.
    #[test]
    fn the_script_finds_its_commands() {
        let script = Overlays::builtin();
        let script = script.text("initramfs/init").unwrap();
        for command in COMMANDS
            .iter()
            .filter(|name| !matches!(**name, "[" | "test" | "uname" | "sh"))
        {
            assert!(script.contains(command), "{command} is not used");
        }
        let status = std::process::Command::new("sh")
            .args([
                "-n",
                concat!(env!("CARGO_MANIFEST_DIR"), "/../../overlays/initramfs/init"),
            ])
            .status()
            .unwrap();
        assert!(status.success());
    }

    #[test]
    fn packs_as_one_zstd_frame() {
        let packed = pack(&testing::base(), &Overlays::builtin(), Epoch::ZERO).unwrap();
        let archive = zstd::decode_all(packed.as_slice()).unwrap();
        let tree = cpio::read_newc(&archive).unwrap();
        assert!(tree.file("init").unwrap().starts_with(b"#!/bin/busybox sh"));
    }
}
