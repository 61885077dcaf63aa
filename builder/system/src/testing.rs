//! A small but whole set of packages for tests. Kernel modules are compiled by the host's C
//! compiler: they carry what real ones carry, for depmod to judge.

use crate::prune::Keep;
use crate::{Base, Board, Overlays, Request, compose};
use bytes::Bytes;
use imgbuild_base::{Arch, Epoch};
use imgbuild_debian::deb::{UnpackedDeb, unpack};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

/// Compiles a module with this `.modinfo`, offering and needing these symbols.
pub(crate) fn module(info: &[&str], exports: &[&str], needs: &[&str]) -> Bytes {
    let dir = tempfile::tempdir().unwrap();
    let mut source = String::new();
    for (at, text) in info.iter().enumerate() {
        let _ = writeln!(
            source,
            "__attribute__((section(\".modinfo\"), used, aligned(1))) static const char i{at}[] = {text:?};"
        );
    }
    for name in exports {
        let _ = writeln!(
            source,
            "void {name}(void) {{}}\n\
             __attribute__((section(\"__ksymtab_strings\"), used)) static const char s_{name}[] = {name:?};\n\
             __attribute__((section(\"__ksymtab\"))) void *__ksymtab_{name} = (void *){name};"
        );
    }
    for name in needs {
        let _ = writeln!(
            source,
            "extern void {name}(void); void (*use_{name})(void) = {name};"
        );
    }
    fs_err::write(dir.path().join("m.c"), source).unwrap();
    let status = Command::new("cc")
        .args(["-c", "-w", "-fno-pic", "-O0", "-o", "m.ko", "m.c"])
        .current_dir(dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    fs_err::read(dir.path().join("m.ko")).unwrap().into()
}

/// The modules of the test kernel: file below `kernel/`, content.
pub(crate) fn modules() -> Vec<(&'static str, Bytes)> {
    vec![
        (
            "fs/fat/fat.ko",
            module(
                &["name=fat", "depends=", "license=GPL"],
                &["fat_search", "fat_sync"],
                &[],
            ),
        ),
        (
            "fs/fat/vfat.ko",
            module(
                &["name=vfat", "depends=fat", "alias=fs-vfat"],
                &[],
                &["fat_search"],
            ),
        ),
        (
            "fs/overlayfs/overlay.ko",
            module(&["name=overlay", "depends=", "alias=fs-overlay"], &[], &[]),
        ),
        (
            "fs/squashfs/squashfs.ko",
            module(
                &["name=squashfs", "depends=", "alias=fs-squashfs"],
                &[],
                &[],
            ),
        ),
        (
            "fs/fuse/fuse.ko",
            module(
                &[
                    "name=fuse",
                    "depends=",
                    "alias=char-major-10-229",
                    "alias=devname:fuse",
                    "alias=fs-fuse",
                ],
                &[],
                &[],
            ),
        ),
        (
            "fs/minix/minix.ko",
            module(&["name=minix", "depends=", "alias=fs-minix"], &[], &[]),
        ),
        (
            "drivers/block/virtio_blk.ko",
            module(
                &["name=virtio_blk", "depends=", "alias=virtio:d00000002v*"],
                &[],
                &[],
            ),
        ),
        (
            "drivers/net/net_failover.ko",
            module(&["name=net_failover", "depends="], &["failover_up"], &[]),
        ),
        (
            "drivers/net/virtio_net.ko",
            module(
                &[
                    "name=virtio_net",
                    "depends=net-failover",
                    "alias=virtio:d00000001v*",
                    "alias=x-y[a-c]-z",
                    "softdep=pre: fuse post: vfat",
                ],
                &[],
                &["failover_up"],
            ),
        ),
    ]
}

/// Everything modules.txt names that the test kernel has not as a file is built in.
fn built_in() -> String {
    let files = modules();
    let overlays = Overlays::builtin();
    let mut text = String::new();
    for board in [Board::Vm, Board::RaspberryPi] {
        for want in crate::kmod::wanted(&overlays, board, &BTreeSet::new()).unwrap() {
            if !files
                .iter()
                .any(|(file, _)| file.ends_with(&format!("/{}.ko", want.name)))
            {
                let _ = writeln!(text, "kernel/built/in/{}.ko", want.name);
            }
        }
    }
    text
}

/// A `.deb` with these files.
pub(crate) fn deb(name: &str, files: &[(&str, Bytes)]) -> UnpackedDeb {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let control = format!(
        "Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\nDescription: test\n"
    );
    fs_err::create_dir_all(root.join("DEBIAN")).unwrap();
    fs_err::write(root.join("DEBIAN/control"), control).unwrap();
    for (path, bytes) in files {
        let path = root.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }
    let status = Command::new("dpkg-deb")
        .args([
            "--build",
            "--root-owner-group",
            "-Zxz",
            "-z0",
            "root",
            "out.deb",
        ])
        .current_dir(dir.path())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let bytes = fs_err::read(dir.path().join("out.deb")).unwrap();
    let keep = Keep::new(&Overlays::builtin()).unwrap();
    unpack(&bytes, &|path| keep.path(path)).unwrap()
}

/// Packages enough for [`compose()`].
pub(crate) fn packages() -> Vec<UnpackedDeb> {
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    let version = "usr/lib/modules/6.12-test";
    let mut kernel: Vec<(String, Bytes)> = vec![
        ("boot/vmlinuz-6.12-test".into(), text("kernel")),
        ("boot/config-6.12-test".into(), text("config")),
        (
            "usr/lib/linux-image-6.12-test/broadcom/bcm2711-rpi-4-b.dtb".into(),
            text("dtb"),
        ),
        (format!("{version}/modules.builtin"), built_in().into()),
        (
            format!("{version}/modules.builtin.modinfo"),
            text("ext4.alias=fs-ext4\0ext4.license=GPL\0"),
        ),
    ];
    let mut order = String::new();
    for (file, bytes) in modules() {
        let _ = writeln!(order, "kernel/{file}");
        kernel.push((format!("{version}/kernel/{file}"), bytes));
    }
    kernel.push((format!("{version}/modules.order"), order.into()));
    let kernel: Vec<(&str, Bytes)> = kernel
        .iter()
        .map(|(path, bytes)| (path.as_str(), bytes.clone()))
        .collect();
    let unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    vec![
        deb("linux-image-test", &kernel),
        deb(
            "base",
            &[
                (
                    "usr/share/base-passwd/passwd.master",
                    text("root:*:0:0:root:/root:/bin/bash\n"),
                ),
                ("usr/share/base-passwd/group.master", text("root:*:0:\n")),
                ("usr/share/libc-bin/nsswitch.conf", text("passwd: files\n")),
                ("usr/bin/busybox", text("busybox")),
                ("usr/lib/os-release", text("ID=debian\n")),
                ("usr/lib/raspi-firmware/bootcode.bin", text("firmware")),
                (
                    "usr/lib/systemd/system/systemd-networkd.service",
                    text(unit),
                ),
                (
                    "usr/lib/systemd/system/systemd-networkd-wait-online.service",
                    text(unit),
                ),
                (
                    "usr/lib/systemd/system/systemd-timesyncd.service",
                    text(unit),
                ),
            ],
        ),
    ]
}

/// They composed for a VM.
pub(crate) fn base() -> Base {
    base_with(&[]).unwrap()
}

/// The same with modules that a recipe names.
pub(crate) fn base_with(modules: &[&str]) -> Result<Base, crate::ComposeError> {
    let modules: Vec<_> = modules.iter().map(|name| name.parse().unwrap()).collect();
    let overlays = Overlays::builtin();
    compose(&Request {
        board: Board::Vm,
        arch: Arch::Amd64,
        epoch: Epoch::from_u32(1_700_000_000),
        overlays: &overlays,
        features: &BTreeSet::new(),
        packages: &packages(),
        modules: &modules,
    })
}
