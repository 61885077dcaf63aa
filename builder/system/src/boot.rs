//! The files of the boot partition, apart from the layers: for a VM one unified kernel image,
//! for a Raspberry Pi its firmware, the kernel, the initramfs and the device trees.

mod bios;

pub use bios::{BiosError, CORE_SECTOR};

use crate::initramfs::{self, InitramfsError};
use crate::{Base, Board, OverlayError, Overlays};
use bytes::Bytes;
use imgbuild_base::{Arch, Epoch, Kind, Meta, Tree, TreePath};
use imgbuild_formats::grub::Loader;
use imgbuild_formats::uki::{self, Section, SectionName, UkiError};

/// The name of the boot partition's file system; the initramfs looks for it.
pub const LABEL: &str = "BOOT";

/// Where the kernel is on a Raspberry Pi's boot partition, and what belongs to it.
pub const PI_KERNEL: &str = "vmlinuz";
/// The initramfs on a Raspberry Pi's boot partition.
pub const PI_INITRAMFS: &str = "initrd.img";
/// The kernel's command line on a Raspberry Pi's boot partition.
pub const PI_COMMAND_LINE: &str = "cmdline.txt";

/// What the boot files depend on beside the base.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// What they start.
    pub board: Board,
    /// Its architecture.
    pub arch: Arch,
    /// The time of every file.
    pub epoch: Epoch,
    /// Our own files.
    pub overlays: &'a Overlays,
    /// Further words for the kernel's command line.
    pub command_line: &'a [String],
    /// Whether a PC's BIOS shall start it as well.
    pub bios: bool,
}

/// What starts a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The files of the boot partition.
    pub files: Tree,
    /// What a PC's BIOS starts, where it shall.
    pub loader: Option<Loader>,
}

/// Why there are no boot files.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Our own files.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The initramfs.
    #[error(transparent)]
    Initramfs(#[from] InitramfsError),
    /// The unified kernel image.
    #[error("making the unified kernel image: {0}")]
    Uki(#[from] UkiError),
    /// The start by a PC's BIOS.
    #[error(transparent)]
    Bios(#[from] BiosError),
    /// Something of the board's is in no package.
    #[error("none of the packages has {what}: add {package}")]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// The template of config.txt.
    #[error("overlays/pi/config.txt: {0}")]
    Template(#[from] minijinja::Error),
    /// UEFI machines are 64-bit.
    #[error("there is no UEFI start for {0}: a VM is amd64 or arm64")]
    Arch(Arch),
}

impl BootError {
    /// Whether the recipe asks for what there is not.
    #[must_use]
    pub const fn is_the_recipes(&self) -> bool {
        matches!(self, Self::Bios(BiosError::Word(_)))
    }
}

/// What starts the board.
///
/// # Errors
/// [`BootError`].
pub fn make(base: &Base, options: &Options<'_>) -> Result<Boot, BootError> {
    let initramfs = initramfs::pack(base, options.overlays, options.epoch)?;
    match options.board {
        Board::Vm => vm(base, options, &initramfs),
        Board::RaspberryPi => Ok(Boot {
            files: raspberry_pi(base, options, initramfs)?,
            loader: None,
        }),
    }
}

/// The board's command line with the further words, on one line.
fn command_line(options: &Options<'_>, file: &str) -> Result<String, OverlayError> {
    let text = options.overlays.text(file)?;
    let own = text.split_whitespace().map(str::to_owned);
    let words: Vec<String> = own.chain(options.command_line.iter().cloned()).collect();
    Ok(words.join(" "))
}

struct Files {
    tree: Tree,
    epoch: Epoch,
}

impl Files {
    fn put(&mut self, path: &str, bytes: impl Into<Bytes>) {
        if let Ok(path) = TreePath::new(path) {
            self.tree
                .put_file(path, Meta::root(0o644, self.epoch), bytes);
        }
    }
}

fn vm(base: &Base, options: &Options<'_>, initramfs: &[u8]) -> Result<Boot, BootError> {
    // The removable-media paths of UEFI 3.5.1.1, which firmware tries without being told.
    let path = match options.arch {
        Arch::Amd64 => "EFI/BOOT/BOOTX64.EFI",
        Arch::Arm64 => "EFI/BOOT/BOOTAA64.EFI",
        Arch::Armhf => return Err(BootError::Arch(options.arch)),
    };
    let console = match options.arch {
        Arch::Arm64 => "ttyAMA0",
        _ => "ttyS0",
    };
    let stub = base.efi_stub.as_ref().ok_or(BootError::Missing {
        what: "systemd's EFI stub",
        package: "systemd-boot-efi",
    })?;
    // `no_timer_check` is among its words because a busy host delivers a translated guest's
    // timer late, which the kernel takes for a broken board and logs as an error.
    let command_line = command_line(options, "vm/cmdline.txt")?.replace("{console}", console);
    let section = |name, bytes| Section { name, bytes };
    let release = base
        .tree
        .file("usr/lib/os-release")
        .cloned()
        .unwrap_or_default();
    let image = uki::assemble(
        stub,
        &[
            section(SectionName::OsRelease, &release),
            section(SectionName::CommandLine, command_line.as_bytes()),
            section(SectionName::Uname, base.kernel.version.as_bytes()),
            section(SectionName::Initrd, initramfs),
            section(SectionName::Linux, &base.kernel.image),
        ],
    )?;
    let loader = match options.bios {
        true => Some(bios::loader(&base.grub, path, &image, &command_line)?),
        false => None,
    };
    let mut files = Files {
        tree: Tree::new(),
        epoch: options.epoch,
    };
    files.put(path, image);
    Ok(Boot {
        files: files.tree,
        loader,
    })
}

fn raspberry_pi(base: &Base, options: &Options<'_>, initramfs: Vec<u8>) -> Result<Tree, BootError> {
    let mut files = Files {
        tree: Tree::new(),
        epoch: options.epoch,
    };
    for (what, package, folder) in [
        (
            "the Raspberry Pi's firmware",
            "raspi-firmware",
            &base.firmware,
        ),
        (
            "device trees of Raspberry Pis",
            "linux-image-arm64 or linux-image-armmp",
            &base.kernel.device_trees,
        ),
    ] {
        let mut any = false;
        for (path, entry) in folder.iter() {
            if let Kind::File(body) = &entry.kind {
                any = true;
                files.put(path.name(), body.bytes().clone());
            }
        }
        if !any {
            return Err(BootError::Missing { what, package });
        }
    }
    let arch = options.arch.debian();
    let mut environment = minijinja::Environment::new();
    environment.set_keep_trailing_newline(true);
    let config = environment.render_str(
        options.overlays.text("pi/config.txt")?,
        minijinja::context!(arch),
    )?;
    let command_line = command_line(options, "pi/cmdline.txt")?;
    files.put("config.txt", config);
    files.put(PI_COMMAND_LINE, format!("{command_line}\n"));
    files.put(PI_KERNEL, base.kernel.image.clone());
    files.put(PI_INITRAMFS, initramfs);
    Ok(files.tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn options<'a>(
        board: Board,
        arch: Arch,
        overlays: &'a Overlays,
        words: &'a [String],
    ) -> Options<'a> {
        Options {
            board,
            arch,
            epoch: Epoch::from_u32(1_700_000_000),
            overlays,
            command_line: words,
            bios: false,
        }
    }

    #[test]
    fn a_pi_gets_firmware_kernel_and_configuration() {
        let overlays = Overlays::builtin();
        let words = ["imgbuild.wait=9".to_owned()];
        let base = testing::base();
        let made = |arch| {
            make(&base, &options(Board::RaspberryPi, arch, &overlays, &words))
                .unwrap()
                .files
        };
        let tree = made(Arch::Arm64);
        let text = |path| String::from_utf8(tree.file(path).unwrap().to_vec()).unwrap();
        let config = text("config.txt");
        assert!(
            config.contains("\narm_64bit=1\nkernel=vmlinuz\n"),
            "{config}"
        );
        assert!(text("cmdline.txt").ends_with(" imgbuild.wait=9\n"));
        assert_eq!(text("vmlinuz"), "kernel");
        assert!(tree.at("bootcode.bin").is_some());
        assert!(
            tree.at("bcm2711-rpi-4-b.dtb").is_some(),
            "out of its folder"
        );
        let config = made(Arch::Armhf).file("config.txt").unwrap().clone();
        assert!(
            String::from_utf8(config.to_vec())
                .unwrap()
                .contains("\narm_64bit=0\n")
        );
    }

    #[test]
    fn what_a_board_lacks_is_named() {
        let overlays = Overlays::builtin();
        let mut base = testing::base();
        base.efi_stub = None;
        base.firmware = Tree::new();
        let error = make(&base, &options(Board::Vm, Arch::Amd64, &overlays, &[])).unwrap_err();
        assert!(
            matches!(
                error,
                BootError::Missing {
                    package: "systemd-boot-efi",
                    ..
                }
            ),
            "{error}"
        );
        let error = make(
            &base,
            &options(Board::RaspberryPi, Arch::Arm64, &overlays, &[]),
        )
        .unwrap_err();
        assert!(
            matches!(
                error,
                BootError::Missing {
                    package: "raspi-firmware",
                    ..
                }
            ),
            "{error}"
        );
    }
}
