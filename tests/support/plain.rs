//! A machine with an operating system of its own: a plain Debian, as somebody installed it, in
//! QEMU. Nothing of it is imgbuild's but the kernel that starts it.

use super::inputs::{object, packages};
use super::{must, repository, run, shared_store};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running machine; dropped, it is switched off.
pub struct Plain {
    child: Child,
    dir: PathBuf,
    port: u16,
}

/// What the machine is called before anything is unpacked on it.
pub const NAME: &str = "somebody";
/// Its number of its own, in place of the one that a first boot would make.
const MACHINE_ID: &str = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";

/// Unpacks the archive "$3" on a plain Debian, gives it the kernel's modules, a network and a
/// root shell on its serial port, and makes a disk of it.
const INSTALL: &str = r#"
    plain=$1 kernel=$2 archive=$3 shell=$4 name=$5 machine_id=$6 address=$7
    mkdir root kernel
    tar -C root -xpf "$plain" --exclude='./dev/*'
    dpkg-deb -x "$kernel" kernel
    cp -r kernel/usr/lib/modules root/usr/lib/
    depmod -b root "$(ls root/usr/lib/modules)"
    cp kernel/boot/vmlinuz-* vmlinuz
    echo "$name" >root/etc/hostname
    echo "$machine_id" >root/etc/machine-id
    printf '[Match]\nName=eth0\n[Network]\nAddress=%s\n' "$address" >root/etc/systemd/network/eth0.network
    cp "$shell" root/etc/systemd/system/imgbuild-shell@.service
    wants=root/etc/systemd/system/dev-ttyS0.device.wants
    mkdir "$wants"
    ln -s ../imgbuild-shell@.service "$wants/imgbuild-shell@ttyS0.service"
    systemctl --root=root --quiet mask serial-getty@ttyS0.service
    systemctl --root=root --quiet enable systemd-networkd.service
    # What a person would type.
    tar -C root -xpzf "$archive"
    mke2fs -q -t ext4 -d root disk 1G
    rm -r root kernel
"#;

/// A plain Debian as a tar, made once for all runs of the tests.
fn debian() -> PathBuf {
    let tar = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plain-trixie.tar");
    if !tar.exists() {
        let partial = tar.with_extension("partial.tar");
        must(
            Command::new("mmdebstrap")
                .args(["--quiet", "--variant=minbase"])
                .args(["--include=dbus,systemd-sysv,udev", "trixie"])
                .arg(&partial),
        );
        fs_err::rename(&partial, &tar).unwrap();
    }
    tar
}

/// A script as root of the files it makes: of this machine, or of a user namespace.
fn as_root(script: &str) -> Command {
    let me = must(Command::new("id").arg("-u"));
    let mut command = match me.trim() {
        "0" => Command::new("sh"),
        _ => {
            let mut helper = Command::new("mmdebstrap");
            helper.args(["--unshare-helper", "sh"]);
            helper
        }
    };
    command.args(["-euc", script, "sh"]);
    command
}

impl Plain {
    /// Unpacks an archive on a plain Debian in `dir` and switches that on. Its address is
    /// `address` (with its prefix length), in the network `net`; the kernel is the one that
    /// `lock` pins.
    pub fn start(dir: &Path, lock: &Path, archive: &Path, net: &str, address: &str) -> Self {
        let kernel = packages(lock)
            .into_iter()
            .find(|package| package.name.starts_with("linux-image-6"))
            .unwrap();
        let shell = "overlays/base/etc/systemd/system/imgbuild-shell@.service";
        must(
            as_root(INSTALL)
                .current_dir(dir)
                .arg(debian())
                .arg(object(&shared_store(), &kernel.sha256))
                .arg(archive)
                .arg(repository().join(shell))
                .args([NAME, MACHINE_ID, address]),
        );
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let (host, _) = address.split_once('/').unwrap();
        let child = Command::new("qemu-system-x86_64")
            .current_dir(dir)
            .args(["-machine", "q35", "-accel", "tcg"])
            .args(["-cpu", "max,-erms,-la57"])
            .args(["-smp", "1", "-m", "384", "-nodefaults", "-no-reboot"])
            .args(["-display", "none", "-kernel", "vmlinuz", "-append"])
            // The kernel has NVMe and ext4 built in: no initramfs is needed.
            .arg("root=/dev/nvme0n1 rw console=ttyS0 net.ifnames=0 no_timer_check quiet panic=-1")
            .args(["-drive", "file=disk,format=raw,if=none,id=disk"])
            .args(["-device", "nvme,drive=disk,serial=plain", "-netdev"])
            .arg(format!(
                "user,id=net,restrict=on,net={net},hostfwd=tcp:127.0.0.1:{port}-{host}:2379"
            ))
            .args(["-device", "virtio-net-pci,netdev=net,romfile="])
            .args(["-chardev", CONSOLE, "-serial", "chardev:console"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            dir: dir.to_owned(),
            port,
        }
    }

    /// Asks the member with an admin bundle's credentials.
    pub fn ask(&self, admin: &Path, path: &str, body: Option<&str>) -> Result<String, String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "20"])
            .args(["--noproxy", "*", "--cacert"])
            .arg(admin.join("ca.crt"))
            .arg("--cert")
            .arg(admin.join("client.crt"))
            .arg("--key")
            .arg(admin.join("client.key"))
            .arg(format!("https://127.0.0.1:{}{path}", self.port));
        if let Some(body) = body {
            curl.args(["--data", body]);
        }
        let output = run(&mut curl);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    /// Where its console can be connected to.
    pub fn console_socket(&self) -> PathBuf {
        self.dir.join("console")
    }

    /// All that its console showed.
    pub fn console(&self) -> String {
        let bytes = fs_err::read(self.dir.join("console.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether it is still on.
    pub fn is_on(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

const CONSOLE: &str = "socket,id=console,path=console,server=on,wait=off,logfile=console.log";

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
