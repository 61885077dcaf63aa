//! Whether hardware virtualisation really works.
//!
//! `/dev/kvm` can exist, accept a virtual machine, and then never run an instruction, or run
//! some and stumble over others (nested or emulated virtualisation). So a real guest decides:
//! the very UEFI firmware that the images boot with is started on a machine without disks. It
//! goes through real, protected and long mode and the floating-point unit, and then says on
//! its serial console that it found nothing to boot. If it says so in time under KVM, KVM is
//! used; otherwise QEMU translates (TCG).

use crate::machine;
use crate::process::Process;
use imgbuild_base::Arch;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How guests are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// Hardware virtualisation.
    Kvm,
    /// Translation in software.
    Tcg,
}

impl Accelerator {
    /// The value of QEMU's `-accel`.
    #[must_use]
    pub const fn qemu(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// The value of QEMU's `-cpu` on a machine that is no model of a board: the host's own
    /// processor, or the newest one as far as translating it is cheap.
    ///
    /// Measured in CPU seconds of a node's first boot, two machines side by side. amd64: the
    /// kernel believes of ERMS that `rep movsb` is the fastest way to copy, and QEMU translates
    /// it byte by byte (without it, 6 % less); a fifth level of page tables is one more to
    /// walk. arm64: authenticated pointers are computed by a cipher in software, and SVE's long
    /// vectors by loops; what else `max` has saves a third against a Cortex-A53 (no page-table
    /// switch at each access to user memory, ranges of the TLB invalidated at once).
    #[must_use]
    pub const fn cpu(self, guest: Arch) -> &'static str {
        match (self, guest) {
            (Self::Kvm, _) => "host",
            (Self::Tcg, Arch::Amd64) => "max,-erms,-la57",
            (Self::Tcg, Arch::Arm64) => "max,pauth=off,sve=off",
            (Self::Tcg, Arch::Armhf) => "max",
        }
    }
}

/// How long the probe's guest may take; with working hardware it needs about two seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the firmware prints once it looks for something to boot.
const SIGN_OF_LIFE: &[u8] = b"BdsDxe";

/// KVM when guests are of this machine's architecture and a probe guest runs, else TCG.
/// `scratch` is a directory for the probe's files.
#[must_use]
pub fn choose(guest: Arch, scratch: &Path) -> Accelerator {
    let native = cfg!(target_arch = "x86_64") && guest == Arch::Amd64;
    if native && Path::new("/dev/kvm").exists() && probe(Accelerator::Kvm, scratch).unwrap_or(false)
    {
        Accelerator::Kvm
    } else {
        Accelerator::Tcg
    }
}

/// Runs the probe guest; true when it came to life in time.
fn probe(accelerator: Accelerator, scratch: &Path) -> io::Result<bool> {
    let Some((code, _)) = machine::installed_firmware(Arch::Amd64) else {
        return Ok(false);
    };
    run_guest(accelerator, scratch, Path::new(code), PATIENCE)
}

fn run_guest(
    accelerator: Accelerator,
    scratch: &Path,
    firmware: &Path,
    patience: Duration,
) -> io::Result<bool> {
    let console = scratch.join(format!("probe-{}.log", accelerator.qemu()));
    let cpu = accelerator.cpu(Arch::Amd64);
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-machine", "q35", "-cpu", cpu, "-m", "128"])
        .args(["-display", "none", "-nodefaults", "-no-reboot"])
        .args(["-accel", accelerator.qemu(), "-drive"])
        .arg(format!(
            "if=pflash,format=raw,unit=0,readonly=on,file={}",
            firmware.display()
        ))
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut guest = Process::start(&mut command)?;
    let deadline = Instant::now() + patience;
    while guest.is_running() && Instant::now() < deadline {
        let said = fs_err::read(&console).unwrap_or_default();
        if said
            .windows(SIGN_OF_LIFE.len())
            .any(|text| text == SIGN_OF_LIFE)
        {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_tells_a_living_guest_from_a_hanging_one() {
        let dir = tempfile::tempdir().unwrap();
        let (code, _) = machine::installed_firmware(Arch::Amd64).expect("ovmf is installed");
        let patience = Duration::from_secs(120);
        let tcg = Accelerator::Tcg;
        assert!(run_guest(tcg, dir.path(), Path::new(code), patience).unwrap());
        // A firmware that only spins: `jmp $` at the reset vector.
        let mut spin = vec![0x90; 64 << 10];
        let reset = spin.len() - 16;
        spin[reset..reset + 2].copy_from_slice(&[0xeb, 0xfe]);
        let file = dir.path().join("spin.fd");
        fs_err::write(&file, spin).unwrap();
        fs_err::remove_file(dir.path().join("probe-tcg.log")).unwrap();
        assert!(!run_guest(tcg, dir.path(), &file, Duration::from_secs(4)).unwrap());
    }
}
