//! Every format holds the very disks that the raw images are, as the tools see it that people
//! use; what is read by QEMU boots; who builds with how many threads makes no difference.

use crate::support::{extract_boot, imgbuild, must, must_fail, scratch, tool};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// One for each format that QEMU reads.
const NODES: [&str; 4] = ["etcd-0", "etcd-1", "etcd-2", "etcd-3"];
const FOURTH: &str = "\n[[node]]\nname = \"etcd-3\"\naddress = \"10.40.0.13\"\n";
/// All formats that a VM has, but those of another test.
const FORMATS: &str = "img,img.zst,img.xz,qcow2,qcow2-thin,vmdk,vhd,ova,layers,libvirt";

/// What follows a node's name in the names of files that QEMU reads, and what QEMU calls their
/// formats.
const DISKS: [(&str, &str); 4] = [
    (".qcow2", "qcow2"),
    (".thin.qcow2", "qcow2"),
    (".vmdk", "vmdk"),
    (".vhd", "vpc"),
];

/// A recipe as a user has it, with a secret of its own.
fn recipe(dir: &Path, name: &str) -> PathBuf {
    crate::support::inputs::recipe_copy(dir, name)
}

/// A cluster's files in all formats.
struct Files {
    _dir: tempfile::TempDir,
    recipe: PathBuf,
    out: PathBuf,
}

impl Files {
    /// Built once for all tests here.
    fn get() -> &'static Self {
        static FILES: OnceLock<Files> = OnceLock::new();
        FILES.get_or_init(|| {
            let dir = scratch();
            let recipe = recipe(dir.path(), "vm-3node");
            let text = fs_err::read_to_string(&recipe).unwrap();
            fs_err::write(&recipe, text + FOURTH).unwrap();
            let out = dir.path().join("out");
            must(&mut build(&recipe, &out, FORMATS));
            Self {
                _dir: dir,
                recipe,
                out,
            }
        })
    }

    fn path(&self, node: &str, suffix: &str) -> PathBuf {
        self.out.join(format!("{node}{suffix}"))
    }
}

fn build(recipe: &Path, out: &Path, formats: &str) -> Command {
    let mut build = imgbuild();
    build.arg("build").arg(recipe).arg("--out").arg(out);
    build.args(["--quiet", "--format", formats]);
    build
}

/// The names of a directory's files, sorted.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(dir).unwrap();
    let name = |entry: std::io::Result<fs_err::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn same(one: &Path, two: &Path) {
    must(Command::new("cmp").arg(one).arg(two));
}

/// The shared file of the thin images.
fn shared(out: &Path) -> PathBuf {
    let mut shared = names(out)
        .into_iter()
        .filter(|file| file.starts_with("shared_"));
    let name = shared.next().unwrap();
    assert!(shared.next().is_none(), "one platform, one shared file");
    out.join(name)
}

#[test]
fn decompressed_they_are_the_raw_images() {
    let files = Files::get();
    for node in NODES {
        for (tool, suffix) in [("zstd", ".img.zst"), ("xz", ".img.xz")] {
            let packed = files.path(node, suffix);
            must(Command::new(tool).arg("-tq").arg(&packed));
            let pipe = format!("{tool} -dc \"$1\" | cmp - \"$2\"");
            must(
                Command::new("sh")
                    .args(["-c", &pipe, "sh"])
                    .arg(&packed)
                    .arg(files.path(node, ".img")),
            );
        }
    }
}

#[test]
fn bmaptool_copies_every_image_by_the_map_beside_it() {
    let files = Files::get();
    let dir = scratch();
    for suffix in [".img", ".img.zst", ".img.xz"] {
        let copy = dir.path().join(format!("copy{suffix}"));
        let image = files.path("etcd-1", suffix);
        let said = Command::new("bmaptool")
            .arg("copy")
            .arg(&image)
            .arg(&copy)
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{log}");
        assert!(
            log.contains(&format!("etcd-1{suffix}.bmap")),
            "the map is found by itself: {log}"
        );
        same(&copy, &files.path("etcd-1", ".img"));
    }
    // A map of another node's image is found out.
    let image = files.path("etcd-1", ".img.zst");
    let failed = Command::new("bmaptool")
        .args(["copy", "--bmap"])
        .arg(files.path("etcd-0", ".img.bmap"))
        .arg(&image)
        .arg(dir.path().join("wrong"))
        .output()
        .unwrap();
    assert!(!failed.status.success(), "the map of another image fits");
}

#[test]
fn qemu_sees_the_raw_images_in_every_format() {
    let files = Files::get();
    for node in NODES {
        for (suffix, format) in DISKS {
            let path = files.path(node, suffix);
            // A fixed VHD has nothing that could be inconsistent: QEMU has no check for it.
            if format != "vpc" {
                must(
                    Command::new("qemu-img")
                        .args(["check", "-q", "-f", format])
                        .arg(&path),
                );
            }
            must(
                Command::new("qemu-img")
                    .args(["compare", "-q", "-f", "raw", "-F", format])
                    .arg(files.path(node, ".img"))
                    .arg(&path),
            );
        }
    }
}

#[test]
fn an_appliance_holds_the_disk_and_true_checksums() {
    let files = Files::get();
    let dir = scratch();
    must(
        Command::new("tar")
            .arg("-C")
            .arg(dir.path())
            .arg("-xf")
            .arg(files.path("etcd-2", ".ova")),
    );
    let members = ["etcd-2-disk1.vmdk", "etcd-2.mf", "etcd-2.ovf"];
    assert_eq!(names(dir.path()), members);
    must(
        Command::new("qemu-img")
            .args(["compare", "-q", "-f", "raw", "-F", "vmdk"])
            .arg(files.path("etcd-2", ".img"))
            .arg(dir.path().join(members[0])),
    );
    let manifest = fs_err::read_to_string(dir.path().join(members[1])).unwrap();
    for member in [members[0], members[2]] {
        let sum = must(Command::new("sha256sum").arg(dir.path().join(member)));
        let line = format!("SHA256({member})= {}", &sum[..64]);
        assert!(manifest.contains(&line), "{line} is not in {manifest}");
    }
    tool(
        "xmllint",
        &["--noout", dir.path().join(members[2]).to_str().unwrap()],
    );
}

#[test]
fn thin_images_are_small_and_what_they_share_is_no_secret() {
    let files = Files::get();
    let shared = shared(&files.out);
    for node in NODES {
        let thin = files.path(node, ".thin.qcow2");
        let size = fs_err::metadata(&thin).unwrap().len();
        assert!(size < 1 << 20, "{node}'s part has {size} bytes");
        let info = must(
            Command::new("qemu-img")
                .args(["info", "--output=json"])
                .arg(&thin),
        );
        let info: Value = serde_json::from_str(&info).unwrap();
        assert_eq!(
            info["backing-filename"].as_str(),
            shared.file_name().unwrap().to_str()
        );
    }
    let dir = scratch();
    let raw = dir.path().join("shared.img");
    must(
        Command::new("qemu-img")
            .args(["convert", "-O", "raw"])
            .arg(&shared)
            .arg(&raw),
    );
    let boot = dir.path().join("boot");
    extract_boot(&raw, &boot);
    let layers = names(&boot.join("layers"));
    assert!(
        layers.iter().any(|layer| layer.starts_with("10-etcd")),
        "{layers:?}"
    );
    assert!(
        !layers.iter().any(|layer| layer.starts_with("20-")),
        "{layers:?}"
    );
}

#[test]
fn the_layers_are_those_of_the_images() {
    let files = Files::get();
    let dir = scratch();
    for node in NODES {
        let boot = dir.path().join(node);
        extract_boot(&files.path(node, ".img"), &boot);
        let layers = names(&boot.join("layers"));
        assert_eq!(layers.len(), 3, "{layers:?}");
        for layer in layers {
            same(
                &boot.join("layers").join(&layer),
                &files.out.join("layers").join(&layer),
            );
        }
    }
    let all = names(&files.out.join("layers"));
    assert_eq!(all.len(), 2 + NODES.len(), "{all:?}");
}

#[test]
fn libvirt_accepts_what_is_written_for_it() {
    let files = Files::get();
    let dir = files.out.join("libvirt");
    tool(
        "virt-xml-validate",
        &[dir.join("network.xml").to_str().unwrap(), "network"],
    );
    let script = fs_err::read_to_string(dir.join("virt-install.sh")).unwrap();
    for node in NODES {
        let file = dir.join(format!("{node}.domain.xml"));
        tool("virt-xml-validate", &[file.to_str().unwrap(), "domain"]);
        let xml = fs_err::read_to_string(file).unwrap();
        assert!(xml.contains(&format!("volume=\"vm-3node-{node}.qcow2\"")));
        assert!(script.contains(&format!("volume {node}.qcow2 vm-3node-{node}.qcow2")));
    }
    must(
        Command::new("sh")
            .arg("-n")
            .arg(dir.join("virt-install.sh")),
    );
}

#[test]
fn threads_make_no_difference_and_a_second_build_writes_nothing() {
    let files = Files::get();
    let dir = scratch();
    let other = dir.path().join("other");
    must(build(&files.recipe, &other, FORMATS).args(["--jobs", "1"]));
    same(&files.out.join("SHA256SUMS"), &other.join("SHA256SUMS"));
    must(
        Command::new("sha256sum")
            .args(["--check", "--quiet", "SHA256SUMS"])
            .current_dir(&other),
    );
    let again = must(build(&files.recipe, &other, FORMATS).arg("--json"));
    let again: Value = serde_json::from_str(again.lines().last().unwrap()).unwrap();
    let images = again["data"]["images"].as_array().unwrap();
    assert!(images.len() > 7 * NODES.len(), "{images:?}");
    for image in images {
        assert_eq!(image["unchanged"], true, "{image}");
    }
}

#[test]
fn files_of_earlier_builds_go_when_nothing_needs_them() {
    let dir = scratch();
    let recipe = recipe(dir.path(), "vm-1node");
    let out = dir.path().join("out");
    must(&mut build(&recipe, &out, "qcow2-thin,layers"));
    let before = shared(&out);
    // With another time everything has another content, and so another name.
    let mut later = build(&recipe, &out, "qcow2-thin");
    must(later.env("SOURCE_DATE_EPOCH", "1800000000"));
    assert_ne!(shared(&out), before);
    let layers = names(&out.join("layers"));
    assert_eq!(layers.len(), 3, "layers were not asked for and stay");
    let mut later = build(&recipe, &out, "layers");
    must(later.env("SOURCE_DATE_EPOCH", "1800000000"));
    let renewed = names(&out.join("layers"));
    assert_eq!(renewed.len(), 3);
    assert!(layers.iter().all(|layer| !renewed.contains(layer)));
    shared(&out);
}

#[test]
fn raspberry_pi_imager_gets_a_list_that_is_true() {
    let dir = scratch();
    let recipe = recipe(dir.path(), "pi-3node");
    let out = dir.path().join("out");
    let mut list = build(&recipe, &out, "os-list");
    must(list.args(["--base-url", "https://images.example.org/home"]));
    let list: Value =
        serde_json::from_slice(&fs_err::read(out.join("os-list.json")).unwrap()).unwrap();
    let items = list["os_list"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    for item in items {
        // What Imager's schema wants, with its types.
        let text = |key: &str| {
            let text = item[key]
                .as_str()
                .unwrap_or_else(|| panic!("{key}: {item}"));
            assert!(!text.is_empty(), "{key}");
            text.to_owned()
        };
        for key in ["name", "description", "icon", "init_format"] {
            text(key);
        }
        let date = text("release_date");
        assert!(date.len() == 10 && date.as_bytes()[4] == b'-', "{date}");
        assert_eq!(item["devices"][0], "pi4-64bit");
        let url = text("url");
        let file = url
            .strip_prefix("https://images.example.org/home/")
            .unwrap();
        let path = out.join(file);
        let size = fs_err::metadata(&path).unwrap().len();
        assert_eq!(item["image_download_size"], size);
        let sum = |command: &str| {
            let line = must(Command::new("sh").args(["-c", command, "sh"]).arg(&path));
            line.split_whitespace().next().unwrap().to_owned()
        };
        assert_eq!(text("image_download_sha256"), sum("sha256sum \"$1\""));
        assert_eq!(text("extract_sha256"), sum("xz -dc \"$1\" | sha256sum"));
        let length = sum("xz -dc \"$1\" | wc -c");
        assert_eq!(item["extract_size"].as_u64().unwrap().to_string(), length);
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_built() {
    let dir = scratch();
    let pi = recipe(dir.path(), "pi-3node");
    let out = dir.path().join("out");
    let said = must_fail(&mut build(&pi, &out, "os-list"), 1);
    assert!(said.contains("--base-url"), "{said}");
    let said = must_fail(&mut build(&pi, &out, "img,qcow2"), 3);
    assert!(
        said.contains("qcow2 is not for the board raspberry-pi with arm64"),
        "{said}"
    );
    assert!(
        said.contains("img.xz"),
        "the hint names what there is: {said}"
    );
    let mut wrong = build(&pi, &out, "os-list");
    let said = must_fail(wrong.args(["--base-url", "images/home"]), 2);
    assert!(said.contains("https://images.example.org/home/"), "{said}");
    assert!(!out.exists(), "nothing was built");
}
