//! Foreign tools look at what was built: partition tables, file systems, layers, initramfs,
//! boot files and certificates of a VM's and a Raspberry Pi's images.

use crate::support::inputs::{files_below, recipe_copy, sums};
use crate::support::{
    any_image, boot_offset, extract_boot, imgbuild, must, must_fail, scratch, tool,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The images of a recipe and the boot files of its first node, built once.
struct Built {
    out: PathBuf,
    boot: PathBuf,
}

impl Built {
    fn of(recipe: &str) -> Self {
        let dir = scratch().keep();
        let file = recipe_copy(&dir.join("recipe"), recipe);
        let out = dir.join("out");
        must(imgbuild().arg("build").arg(file).arg("--out").arg(&out));
        sums(&out);
        let boot = dir.join("boot");
        extract_boot(&any_image(&out), &boot);
        Self { out, boot }
    }

    fn vm() -> &'static Self {
        static BUILT: OnceLock<Built> = OnceLock::new();
        BUILT.get_or_init(|| Self::of("vm-3node"))
    }

    fn pi() -> &'static Self {
        static BUILT: OnceLock<Built> = OnceLock::new();
        BUILT.get_or_init(|| Self::of("pi-2node"))
    }

    fn pi64() -> &'static Self {
        static BUILT: OnceLock<Built> = OnceLock::new();
        BUILT.get_or_init(|| Self::of("pi-3node"))
    }

    fn images(&self) -> Vec<PathBuf> {
        let mut images = files_below(&self.out);
        images.retain(|file| file.extension().is_some_and(|end| end == "img"));
        images
    }

    fn layer(&self, begins: &str) -> PathBuf {
        let layers = files_below(&self.boot.join("layers"));
        let named = |file: &&PathBuf| {
            file.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(begins)
        };
        layers
            .iter()
            .find(named)
            .unwrap_or_else(|| panic!("no {begins} in {layers:?}"))
            .clone()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn assert_has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

#[test]
fn partition_tables() {
    let vm = Built::vm().images();
    assert_eq!(vm.len(), 3);
    for image in &vm {
        let verdict = tool("sgdisk", &["--verify", text(image)]);
        assert_has(&verdict, &["No problems found"]);
        let table = tool("sgdisk", &["--print", text(image)]);
        assert_has(&table, &["EF00  boot"]);
    }
    let guids: std::collections::BTreeSet<String> = vm
        .iter()
        .map(|image| tool("sfdisk", &["--disk-id", text(image)]))
        .collect();
    assert_eq!(guids.len(), 1, "the GUID is the cluster's");
    // What all nodes share comes first, and is hashed once; their own follows at 118 MiB.
    tool("cmp", &["--bytes=100M", text(&vm[0]), text(&vm[1])]);
    must_fail(Command::new("cmp").arg("--quiet").args([&vm[0], &vm[1]]), 1);
    let pi = Built::pi().images();
    assert_eq!(pi.len(), 2);
    let pi64 = Built::pi64().images();
    assert_eq!(pi64.len(), 3);
    for image in pi.iter().chain(&pi64) {
        let table = tool("sfdisk", &["--dump", text(image)]);
        assert_has(&table, &["label: dos", "type=c", "bootable"]);
    }
    for image in vm.iter().chain(&pi).chain(&pi64) {
        // It says what is wrong on either stream.
        let verdict = tool("sh", &["-c", "sfdisk --verify \"$0\" 2>&1", text(image)]);
        assert_has(&verdict, &["No errors detected"]);
        let info = tool("qemu-img", &["info", "--output=json", text(image)]);
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        assert_eq!(info["format"], "raw");
        let (whole, used) = (info["virtual-size"].as_u64(), info["actual-size"].as_u64());
        assert_eq!(whole.unwrap(), fs_err::metadata(image).unwrap().len());
        assert!(used <= whole, "{info}");
        assert_eq!(whole.unwrap() % (1 << 20), 0, "whole mebibytes");
    }
    // A size the recipe asks for, most of which is a hole.
    assert_eq!(fs_err::metadata(&vm[0]).unwrap().len(), 384 << 20);
    // What is no hole, in millions of bytes.
    for (images, most) in [(&vm, 60), (&pi, 120), (&pi64, 150)] {
        for image in images {
            let used = tool("du", &["--block-size=1", text(image)]);
            let used: u64 = used.split_whitespace().next().unwrap().parse().unwrap();
            let shown = image.display();
            assert!(used <= most * 1_000_000, "{shown} holds {used} bytes");
        }
    }
}

#[test]
fn boot_volumes() {
    for built in [Built::vm(), Built::pi(), Built::pi64()] {
        for image in built.images() {
            let dir = scratch();
            let volume = dir.path().join("volume");
            let json = tool("sfdisk", &["--json", text(&image)]);
            let table: serde_json::Value = serde_json::from_str(&json).unwrap();
            let part = &table["partitiontable"]["partitions"][0];
            let sectors = part["size"].as_u64().unwrap();
            assert_eq!(boot_offset(&image) % (1 << 20), 0, "aligned");
            must(
                Command::new("dd")
                    .args(["bs=512", "status=none", "conv=sparse"])
                    .arg(format!("if={}", image.display()))
                    .arg(format!("of={}", volume.display()))
                    .arg(format!("skip={}", boot_offset(&image) / 512))
                    .arg(format!("count={sectors}")),
            );
            let verdict = tool("fsck.fat", &["-n", "-v", text(&volume)]);
            assert_has(&verdict, &["2 FATs, 32 bit entries", "data clusters"]);
            for complaint in ["dirty", "differ", "orphan", "wrong", "Reclaim", "bad"] {
                assert!(!verdict.contains(complaint), "{verdict}");
            }
            let kind = tool("file", &["--brief", text(&volume)]);
            assert_has(&kind, &["FAT (32 bit)", "label: \"BOOT"]);
            let hidden = format!("hidden sectors {}", boot_offset(&image) / 512);
            assert_has(&kind, &[&hidden]);
            let listing = tool("mdir", &["-/", "-b", "-i", text(&volume), "::"]);
            for layer in ["00-base-", "10-etcd-", "20-"] {
                let path = format!("::/layers/{layer}");
                let count = listing
                    .lines()
                    .filter(|line| line.starts_with(&path))
                    .count();
                assert_eq!(count, 1, "{listing}");
            }
        }
    }
}

#[test]
fn layers() {
    for built in [Built::vm(), Built::pi(), Built::pi64()] {
        for begins in ["00-base-", "10-etcd-", "20-"] {
            let layer = built.layer(begins);
            let info = tool("unsquashfs", &["-s", text(&layer)]);
            assert_has(
                &info,
                &["Found a valid SQUASHFS 4:0 superblock", "Compression zstd"],
            );
            let kind = tool("file", &["--brief", text(&layer)]);
            assert_has(
                &kind,
                &["Squashfs filesystem, little endian, version 4.0, zstd"],
            );
            // Every block of every file is read and decompressed.
            let dir = scratch();
            let to = dir.path().join("out");
            let mut unpack = Command::new("unsquashfs");
            unpack
                .args(["-quiet", "-no-progress", "-no-xattrs", "-dest"])
                .arg(&to)
                .arg(&layer);
            must(&mut unpack);
            let listing = tool("unsquashfs", &["-lln", text(&layer)]);
            let inside = listing
                .lines()
                .filter(|line| line.contains("squashfs-root"))
                .count();
            let unpacked = tool("sh", &["-c", "find \"$0\" | wc -l", text(&to)]);
            assert_eq!(inside, unpacked.trim().parse::<usize>().unwrap());
        }
    }
}

#[test]
fn programs_are_for_their_machine() {
    for (built, machine) in [
        (Built::vm(), "x86-64"),
        (Built::pi(), "ARM, EABI5"),
        (Built::pi64(), "ARM aarch64"),
    ] {
        let dir = scratch();
        let to = dir.path().join("etcd");
        let mut unpack = Command::new("unsquashfs");
        unpack
            .args(["-quiet", "-no-progress", "-dest"])
            .arg(&to)
            .arg(built.layer("10-etcd-"));
        must(&mut unpack);
        for program in ["etcd", "etcdctl", "etcdutl"] {
            let path = files_below(&to)
                .into_iter()
                .find(|file| file.ends_with(program));
            let kind = tool("file", &["--brief", text(&path.unwrap())]);
            assert_has(&kind, &["ELF", "executable", machine, "statically linked"]);
        }
    }
}

/// Lists a compressed initramfs as cpio sees it.
#[track_caller]
fn initramfs(path: &Path) -> String {
    let list = "zstd -dcq \"$0\" | cpio -itv --quiet 2>&1";
    let listing = tool("sh", &["-c", list, text(path)]);
    for file in ["init", "bin", "bin/busybox"] {
        let named = |line: &str| line.split_whitespace().nth(8) == Some(file);
        let line = listing.lines().find(|line| named(line));
        let line = line.unwrap_or_else(|| panic!("no {file} in:\n{listing}"));
        assert_has(line, &["rwxr-xr-x", "root"]);
    }
    assert_has(&listing, &["squashfs.ko", "overlay.ko"]);
    listing
}

#[test]
fn a_unified_kernel_image_is_one() {
    let boot = &Built::vm().boot;
    let image = boot.join("EFI/BOOT/BOOTX64.EFI");
    let kind = tool("file", &["--brief", text(&image)]);
    assert_has(&kind, &["PE32+", "EFI application", "x86-64"]);
    let sections = tool("objdump", &["--section-headers", text(&image)]);
    assert_has(
        &sections,
        &[".osrel", ".cmdline", ".uname", ".initrd", ".linux"],
    );
    let dir = scratch();
    let section = |name: &str| {
        let to = dir.path().join(name);
        let only = format!("--only-section=.{name}");
        tool("objcopy", &["-O", "binary", &only, text(&image), text(&to)]);
        to
    };
    let kernel = tool("file", &["--brief", text(&section("linux"))]);
    assert_has(&kernel, &["Linux kernel x86 boot executable", "bzImage"]);
    let uname = fs_err::read_to_string(section("uname")).unwrap();
    assert_has(&kernel, &[uname.trim_end_matches('\0')]);
    let command_line = fs_err::read_to_string(section("cmdline")).unwrap();
    assert_has(&command_line, &["console=ttyS0"]);
    let release = fs_err::read_to_string(section("osrel")).unwrap();
    assert_has(&release, &["ID=debian", "VERSION_CODENAME=trixie"]);
    initramfs(&section("initrd"));
}

#[test]
fn a_raspberry_pi_finds_what_it_starts_from() {
    let pis: [(&Built, &str, &[&str], &[&str]); 2] = [
        (
            Built::pi(),
            "Linux kernel ARM boot executable zImage",
            &["bootcode.bin", "start.elf", "fixup.dat"],
            &["bcm2836-rpi-2-b", "bcm2837-rpi-3-b", "bcm2837-rpi-zero-2-w"],
        ),
        (
            Built::pi64(),
            "Linux kernel ARM64 boot executable Image",
            &[
                "bootcode.bin",
                "start.elf",
                "fixup.dat",
                "start4.elf",
                "fixup4.dat",
            ],
            &[
                "bcm2837-rpi-3-b",
                "bcm2837-rpi-zero-2-w",
                "bcm2711-rpi-4-b",
                "bcm2711-rpi-cm4-io",
            ],
        ),
    ];
    for (built, kind_of_kernel, firmware, models) in pis {
        let boot = &built.boot;
        let config = fs_err::read_to_string(boot.join("config.txt")).unwrap();
        assert_has(
            &config,
            &["kernel=vmlinuz", "initramfs initrd.img followkernel"],
        );
        for file in firmware.iter().chain(&["cmdline.txt"]) {
            assert!(boot.join(file).exists(), "no {file}");
        }
        let kernel = tool("file", &["--brief", text(&boot.join("vmlinuz"))]);
        assert_has(&kernel, &[kind_of_kernel]);
        for model in models {
            let tree = boot.join(format!("{model}.dtb"));
            assert_has(
                &tool("file", &["--brief", text(&tree)]),
                &["Device Tree Blob"],
            );
        }
        initramfs(&boot.join("initrd.img"));
    }
}

/// Writes files of a layer out, as unsquashfs reads them.
fn take_out(layer: &Path, paths: &[&str], to: &Path) {
    for path in paths {
        let output =
            crate::support::run(Command::new("unsquashfs").args(["-cat", text(layer), path]));
        assert!(output.status.success(), "{path}: {output:?}");
        fs_err::write(to.join(path.rsplit('/').next().unwrap()), output.stdout).unwrap();
    }
}

/// openssl's verdict on a certificate for a purpose.
fn verify(ca: &Path, purpose: &str, certificate: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.args([
        "verify",
        "-x509_strict",
        "-check_ss_sig",
        "-CAfile",
        text(ca),
    ]);
    command.args(["-purpose", purpose, text(certificate)]);
    command
}

/// The certificate is the key's.
#[track_caller]
fn assert_pair(certificate: &Path, key: &Path) {
    let one = tool(
        "openssl",
        &["x509", "-in", text(certificate), "-noout", "-pubkey"],
    );
    let two = tool("openssl", &["pkey", "-in", text(key), "-pubout"]);
    assert_eq!(one, two, "{} is another key's", certificate.display());
}

#[test]
fn certificates_in_kubeadms_layout() {
    let built = Built::vm();
    let admin = built.out.join("admin");
    let dir = scratch();
    let at = |name: &str| dir.path().join(name);
    let pki = "etc/kubernetes/pki/";
    let inside = [
        "etcd/ca.crt",
        "etcd/server.crt",
        "etcd/server.key",
        "etcd/peer.crt",
        "etcd/peer.key",
        "etcd/healthcheck-client.crt",
        "etcd/healthcheck-client.key",
        "apiserver-etcd-client.crt",
        "apiserver-etcd-client.key",
    ]
    .map(|path| format!("{pki}{path}"));
    let layer = built.layer("20-etcd-0-");
    take_out(
        &layer,
        &inside.iter().map(String::as_str).collect::<Vec<_>>(),
        dir.path(),
    );

    let ca = at("ca.crt");
    assert_eq!(
        fs_err::read(&ca).unwrap(),
        fs_err::read(admin.join("ca.crt")).unwrap()
    );
    for name in ["server", "peer"] {
        let certificate = at(&format!("{name}.crt"));
        must(&mut verify(&ca, "sslserver", &certificate));
        must(&mut verify(&ca, "sslclient", &certificate));
        assert_pair(&certificate, &at(&format!("{name}.key")));
        for (option, value) in [
            ("-checkhost", "etcd-0"),
            ("-checkhost", "localhost"),
            ("-checkip", "10.40.0.10"),
            ("-checkip", "127.0.0.1"),
            ("-checkip", "::1"),
        ] {
            let says = tool(
                "openssl",
                &["x509", "-in", text(&certificate), "-noout", option, value],
            );
            assert_has(&says, &["does match"]);
        }
        let other = [
            "x509",
            "-in",
            text(&certificate),
            "-noout",
            "-checkip",
            "10.40.0.11",
        ];
        assert_has(&tool("openssl", &other), &["does NOT match"]);
    }
    for (certificate, key) in [
        (at("healthcheck-client.crt"), at("healthcheck-client.key")),
        (
            at("apiserver-etcd-client.crt"),
            at("apiserver-etcd-client.key"),
        ),
        (admin.join("client.crt"), admin.join("client.key")),
    ] {
        must(&mut verify(&ca, "sslclient", &certificate));
        must_fail(&mut verify(&ca, "sslserver", &certificate), 2);
        assert_pair(&certificate, &key);
    }
    // Keys that etcd uses are etcd's, the others root's; nobody else reads any.
    let listing = tool("unsquashfs", &["-lln", text(&layer)]);
    let passwd = crate::support::run(Command::new("unsquashfs").args([
        "-cat",
        text(&built.layer("00-base-")),
        "etc/passwd",
    ]));
    let passwd = String::from_utf8(passwd.stdout).unwrap();
    let etcd = passwd
        .lines()
        .find(|line| line.starts_with("etcd:"))
        .expect("a user etcd");
    let fields: Vec<&str> = etcd.split(':').collect();
    let etcd = format!("{}/{}", fields[2], fields[3]);
    let keys: Vec<&str> = listing
        .lines()
        .filter(|line| line.ends_with(".key") || line.ends_with("_key"))
        .collect();
    assert!(keys.len() >= 4, "{listing}");
    for line in keys {
        let of_etcd = line.ends_with("server.key") || line.ends_with("peer.key");
        let owner = if of_etcd { etcd.as_str() } else { "0/0" };
        assert_has(line, &["-rw------- ", &format!(" {owner} ")]);
    }
}

#[test]
fn certificates_in_the_shared_layout() {
    let built = Built::pi();
    let dir = scratch();
    let at = |name: &str| dir.path().join(name);
    let inside = [
        "etc/etcd/ca.pem",
        "etc/etcd/kubernetes.pem",
        "etc/etcd/kubernetes-key.pem",
    ];
    take_out(&built.layer("20-controller-0-"), &inside, dir.path());
    let (ca, certificate) = (at("ca.pem"), at("kubernetes.pem"));
    must(&mut verify(&ca, "sslserver", &certificate));
    must(&mut verify(&ca, "sslclient", &certificate));
    assert_pair(&certificate, &at("kubernetes-key.pem"));
    for address in ["192.168.1.20", "192.168.1.40"] {
        let says = [
            "x509",
            "-in",
            text(&certificate),
            "-noout",
            "-checkip",
            address,
        ];
        assert_has(&tool("openssl", &says), &["does match"]);
    }
    let admin = built.out.join("admin");
    assert_eq!(
        fs_err::read(&ca).unwrap(),
        fs_err::read(admin.join("ca.crt")).unwrap()
    );
    must(&mut verify(&ca, "sslclient", &admin.join("client.crt")));
}
