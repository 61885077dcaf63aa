//! The machines QEMU can put an image into, as command lines.
//!
//! A VM boots by its own firmware from its disk. A Raspberry Pi's firmware cannot be emulated,
//! so kernel, initramfs, device tree and command line are taken from the image's own boot
//! partition, as config.txt names them, and handed to QEMU; everything after the kernel's
//! first instruction is the image's own. Two kinds of emulation exist: QEMU's generic `virt`
//! board (fast, network by virtio) and its models of the Pi (slow, SD card, network by USB).

use crate::accel::Accelerator;
use imgbuild_base::{Arch, Tree};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// What an image was made for and how it is to be emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineKind {
    /// A 64-bit PC with UEFI.
    PcUefi,
    /// A 64-bit PC with a BIOS.
    PcBios,
    /// QEMU's generic ARM board with UEFI.
    ArmUefi,
    /// QEMU's generic ARM board with the Pi image's kernel handed over.
    PiOnVirt(Arch),
    /// QEMU's model of a Raspberry Pi 2 B (armhf).
    Raspi2b,
    /// QEMU's model of a Raspberry Pi 3 B (arm64).
    Raspi3b,
}

/// Whether Pi images run on QEMU's model of the board or on its fast generic one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emulation {
    /// Whatever boots fastest.
    #[default]
    Fast,
    /// The closest model of the real board.
    Board,
}

impl MachineKind {
    /// The machine for an image; `None` when there is none (a Pi image for amd64).
    #[must_use]
    pub const fn for_image(pi: bool, arch: Arch, emulation: Emulation) -> Option<Self> {
        Some(match (pi, arch, emulation) {
            (false, Arch::Amd64, _) => Self::PcUefi,
            (false, Arch::Arm64, _) => Self::ArmUefi,
            (true, Arch::Armhf, Emulation::Board) => Self::Raspi2b,
            (true, Arch::Arm64, Emulation::Board) => Self::Raspi3b,
            (true, Arch::Arm64 | Arch::Armhf, Emulation::Fast) => Self::PiOnVirt(arch),
            (false, Arch::Armhf, _) | (true, Arch::Amd64, _) => return None,
        })
    }

    /// The architecture it executes.
    #[must_use]
    pub const fn arch(self) -> Arch {
        match self {
            Self::PcUefi | Self::PcBios => Arch::Amd64,
            Self::ArmUefi | Self::Raspi3b => Arch::Arm64,
            Self::PiOnVirt(arch) => arch,
            Self::Raspi2b => Arch::Armhf,
        }
    }

    /// The QEMU program and the Debian package that has it.
    #[must_use]
    pub const fn program(self) -> (&'static str, &'static str) {
        match self.arch() {
            Arch::Amd64 => ("qemu-system-x86_64", "qemu-system-x86"),
            Arch::Arm64 => ("qemu-system-aarch64", "qemu-system-arm"),
            Arch::Armhf => ("qemu-system-arm", "qemu-system-arm"),
        }
    }

    /// Memory in MiB that suffices.
    #[must_use]
    pub const fn memory(self) -> u32 {
        match self {
            Self::PcUefi | Self::PcBios => 256,
            Self::ArmUefi => 512,
            Self::PiOnVirt(_) => 512,
            // The models' memory is the board's and cannot be chosen.
            Self::Raspi2b | Self::Raspi3b => 1024,
        }
    }

    /// The size of the disk a first boot is given at least, in bytes. SD cards in QEMU have a
    /// size that is a power of two.
    #[must_use]
    pub const fn disk_size(self) -> u64 {
        1 << 30
    }
}

/// One machine, ready to be started.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What it is.
    pub kind: MachineKind,
    /// How it executes.
    pub accelerator: Accelerator,
    /// Its disk.
    pub disk: PathBuf,
    /// Memory in MiB.
    pub memory: u32,
    /// Its network card's address.
    pub mac: [u8; 6],
    /// The switch's socket it is plugged into.
    pub network: PathBuf,
    /// Where its console is written to.
    pub console: PathBuf,
    /// Where its console can be connected to (a unix socket).
    pub console_socket: PathBuf,
    /// A directory of its own for firmware variables and files taken from the image.
    pub scratch: PathBuf,
    /// What its clock says at power-on (`-rtc base=`), when not the host's time.
    pub clock: Option<String>,
}

/// A file QEMU needs is not on this machine.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// No UEFI firmware.
    #[error(
        "no UEFI firmware for {arch} was found (looked for {looked}): install the package {package}"
    )]
    NoFirmware {
        /// The guest's architecture.
        arch: Arch,
        /// Where it was looked for.
        looked: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The boot partition lacks what its config.txt names.
    #[error("the boot partition of {image} has no {file}, so it cannot be started in QEMU")]
    NoBootFile {
        /// The image's disk.
        image: PathBuf,
        /// The missing file.
        file: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Machine {
    /// The arguments for QEMU. `boot` is the content of the disk's boot partition, needed for
    /// Pi images only.
    ///
    /// # Errors
    /// [`MachineError`] when firmware or boot files are missing.
    pub fn arguments(&self, boot: Option<&Tree>) -> Result<Vec<OsString>, MachineError> {
        let mut args = Arguments::default();
        args.add(["-accel", self.accelerator.qemu()]);
        args.add(["-nodefaults", "-display", "none", "-monitor", "none"]);
        // The models of the Pi have as many processors as the boards.
        if !matches!(self.kind, MachineKind::Raspi2b | MachineKind::Raspi3b) {
            args.add(["-smp", "1"]);
        }
        args.pair(
            "-chardev",
            format!(
                "socket,id=console,path={},server=on,wait=off,logfile={},logappend=on",
                Value(&self.console_socket),
                Value(&self.console)
            ),
        );
        args.pair(
            "-netdev",
            format!(
                "stream,id=net0,server=off,addr.type=unix,addr.path={}",
                Value(&self.network)
            ),
        );
        if let Some(clock) = &self.clock {
            args.pair("-rtc", format!("base={clock}"));
        }
        match self.kind {
            MachineKind::PcUefi | MachineKind::PcBios => self.pc(&mut args)?,
            MachineKind::ArmUefi => self.arm_uefi(&mut args)?,
            MachineKind::PiOnVirt(arch) => self.pi_on_virt(&mut args, arch, boot)?,
            MachineKind::Raspi2b => self.raspi(&mut args, "bcm2836-rpi-2-b.dtb", boot)?,
            MachineKind::Raspi3b => self.raspi(&mut args, "bcm2837-rpi-3-b.dtb", boot)?,
        }
        Ok(args.0)
    }

    fn pc(&self, args: &mut Arguments) -> Result<(), MachineError> {
        args.add(["-machine", "q35", "-cpu", self.accelerator.cpu(Arch::Amd64)]);
        args.pair("-m", self.memory.to_string());
        match self.kind {
            // Without being given other firmware QEMU starts SeaBIOS, which it brings; GRUB
            // writes to the screen that such machines have.
            MachineKind::PcBios => args.add(["-vga", "std"]),
            _ => self.firmware(args, &AMD64_FIRMWARE)?,
        }
        self.virtio(args, "pci");
        args.add(["-serial", "chardev:console"]);
        Ok(())
    }

    fn arm_uefi(&self, args: &mut Arguments) -> Result<(), MachineError> {
        args.add([
            "-machine",
            "virt",
            "-cpu",
            self.accelerator.cpu(Arch::Arm64),
        ]);
        args.pair("-m", self.memory.to_string());
        self.firmware(args, &ARM64_FIRMWARE)?;
        self.virtio(args, "pci");
        args.add(["-serial", "chardev:console"]);
        Ok(())
    }

    fn pi_on_virt(
        &self,
        args: &mut Arguments,
        arch: Arch,
        boot: Option<&Tree>,
    ) -> Result<(), MachineError> {
        args.add(["-machine", "virt", "-cpu", self.accelerator.cpu(arch)]);
        args.pair("-m", self.memory.to_string());
        let command_line = self.boot_files(args, boot)?;
        let kept = command_line
            .split_whitespace()
            .filter(|word| !word.starts_with("console=") && !word.starts_with("cma="));
        let words: Vec<&str> = kept.chain(["console=ttyAMA0"]).collect();
        args.pair("-append", words.join(" "));
        self.virtio(args, "device");
        args.add(["-serial", "chardev:console"]);
        Ok(())
    }

    fn raspi(
        &self,
        args: &mut Arguments,
        device_tree: &str,
        boot: Option<&Tree>,
    ) -> Result<(), MachineError> {
        let model = match self.kind {
            MachineKind::Raspi2b => "raspi2b",
            _ => "raspi3b",
        };
        args.add(["-machine", model]);
        let command_line = self.boot_files(args, boot)?;
        args.pair("-append", command_line);
        let file = self.extract(boot, device_tree)?;
        args.pair("-dtb", file);
        args.pair(
            "-drive",
            format!("file={},format=raw,if=sd", Value(&self.disk)),
        );
        args.pair(
            "-device",
            format!("usb-net,netdev=net0,mac={}", self.mac_text()),
        );
        if self.kind == MachineKind::Raspi3b {
            // Debian's device tree makes the mini UART (the second one) the console.
            args.add(["-serial", "null"]);
        }
        args.add(["-serial", "chardev:console"]);
        Ok(())
    }

    /// Hands kernel and initramfs over and returns the command line, all as the boot
    /// partition's config.txt and cmdline.txt have them.
    fn boot_files(
        &self,
        args: &mut Arguments,
        boot: Option<&Tree>,
    ) -> Result<String, MachineError> {
        let config = self.text(boot, "config.txt")?;
        let kernel = config.lines().find_map(|line| line.strip_prefix("kernel="));
        let initramfs = config
            .lines()
            .find_map(|line| line.strip_prefix("initramfs "))
            .and_then(|rest| rest.split_whitespace().next());
        args.pair(
            "-kernel",
            self.extract(boot, kernel.unwrap_or("kernel7.img").trim())?,
        );
        if let Some(initramfs) = initramfs {
            args.pair("-initrd", self.extract(boot, initramfs)?);
        }
        let command_line = self.text(boot, "cmdline.txt")?;
        Ok(command_line.trim().to_owned())
    }

    fn text(&self, boot: Option<&Tree>, file: &str) -> Result<String, MachineError> {
        let bytes = boot
            .and_then(|tree| tree.file(file))
            .ok_or_else(|| self.missing(file))?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn extract(&self, boot: Option<&Tree>, file: &str) -> Result<PathBuf, MachineError> {
        let bytes = boot
            .and_then(|tree| tree.file(file))
            .ok_or_else(|| self.missing(file))?;
        let path = self.scratch.join(file.replace('/', "_"));
        fs_err::write(&path, bytes)?;
        Ok(path)
    }

    fn missing(&self, file: &str) -> MachineError {
        MachineError::NoBootFile {
            image: self.disk.clone(),
            file: file.to_owned(),
        }
    }

    fn virtio(&self, args: &mut Arguments, bus: &str) {
        let disk = Value(&self.disk);
        args.pair("-drive", format!("file={disk},format=raw,if=none,id=disk0"));
        args.pair("-device", format!("virtio-blk-{bus},drive=disk0"));
        let mac = self.mac_text();
        // The card's own boot program would only cost time.
        let rom = if bus == "pci" { ",romfile=" } else { "" };
        args.pair(
            "-device",
            format!("virtio-net-{bus},netdev=net0,mac={mac}{rom}"),
        );
        args.pair("-device", format!("virtio-rng-{bus}"));
    }

    fn firmware(&self, args: &mut Arguments, firmware: &Firmware) -> Result<(), MachineError> {
        let found = firmware.installed();
        let Some((code, vars)) = found else {
            let looked: Vec<&str> = firmware.pairs.iter().map(|(code, _)| *code).collect();
            return Err(MachineError::NoFirmware {
                arch: firmware.arch,
                looked: looked.join(", "),
                package: firmware.package,
            });
        };
        let own = self.scratch.join("uefi-vars.fd");
        if !own.exists() {
            // Debian ships the template read-only; its copy must not be.
            fs_err::write(&own, fs_err::read(vars)?)?;
        }
        args.pair(
            "-drive",
            format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"),
        );
        args.pair(
            "-drive",
            format!("if=pflash,format=raw,unit=1,file={}", Value(&own)),
        );
        Ok(())
    }

    fn mac_text(&self) -> String {
        let parts: Vec<String> = self.mac.iter().map(|byte| format!("{byte:02x}")).collect();
        parts.join(":")
    }
}

struct Firmware {
    arch: Arch,
    package: &'static str,
    pairs: [(&'static str, &'static str); 4],
}

impl Firmware {
    /// The first pair of code and variables that is on this machine.
    fn installed(&self) -> Option<(&'static str, &'static str)> {
        self.pairs
            .into_iter()
            .find(|(code, vars)| Path::new(code).exists() && Path::new(vars).exists())
    }
}

/// The UEFI firmware for an architecture that is on this machine: its code and the template
/// of its variables.
pub(crate) fn installed_firmware(arch: Arch) -> Option<(&'static str, &'static str)> {
    match arch {
        Arch::Amd64 => AMD64_FIRMWARE.installed(),
        Arch::Arm64 => ARM64_FIRMWARE.installed(),
        Arch::Armhf => None,
    }
}

const AMD64_FIRMWARE: Firmware = Firmware {
    arch: Arch::Amd64,
    package: "ovmf",
    pairs: [
        (
            "/usr/share/OVMF/OVMF_CODE_4M.fd",
            "/usr/share/OVMF/OVMF_VARS_4M.fd",
        ),
        (
            "/usr/share/OVMF/OVMF_CODE.fd",
            "/usr/share/OVMF/OVMF_VARS.fd",
        ),
        (
            "/usr/share/edk2/ovmf/OVMF_CODE.fd",
            "/usr/share/edk2/ovmf/OVMF_VARS.fd",
        ),
        (
            "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
            "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
        ),
    ],
};

const ARM64_FIRMWARE: Firmware = Firmware {
    arch: Arch::Arm64,
    package: "qemu-efi-aarch64",
    pairs: [
        (
            "/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd",
            "/usr/share/AAVMF/AAVMF_VARS.fd",
        ),
        (
            "/usr/share/AAVMF/AAVMF_CODE.fd",
            "/usr/share/AAVMF/AAVMF_VARS.fd",
        ),
        (
            "/usr/share/edk2/aarch64/QEMU_CODE.fd",
            "/usr/share/edk2/aarch64/QEMU_VARS.fd",
        ),
        (
            "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
            "/usr/share/edk2/aarch64/vars-template-pflash.raw",
        ),
    ],
};

/// A path as the value of one of QEMU's comma-separated options, where a comma is doubled.
pub(crate) struct Value<'a>(pub(crate) &'a Path);

impl std::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.display().to_string().replace(',', ",,"))
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(OsString::from));
    }

    fn pair(&mut self, flag: &str, value: impl Into<OsString>) {
        self.0.push(flag.into());
        self.0.push(value.into());
    }
}
