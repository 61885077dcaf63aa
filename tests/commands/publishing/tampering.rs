//! Whatever is done to a release is found, by what it is called and where it is.

use super::forger::{edit, fix_manifest, fix_provenance, fix_sums};
use super::{IMAGE, SUMS, names, published, text, verify};
use crate::support::inputs::{assert_says, sha256};
use crate::support::{must, must_fail, scratch, tool};
use serde_json::json;
use std::path::Path;
use std::process::Command;

fn flip(file: &Path, at: u64) {
    let mut bytes = fs_err::read(file).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= 1;
    fs_err::write(file, bytes).unwrap();
}

fn layer(release: &Path, begins: &str) -> String {
    let all = names(release);
    let found = all
        .into_iter()
        .find(|name| name.starts_with(&format!("layers/{begins}")));
    found.unwrap()
}

fn sign(release: &Path, key: &Path) {
    must(
        Command::new("minisign")
            .args(["-S", "-W", "-s"])
            .arg(key)
            .arg("-m")
            .arg(release.join(SUMS)),
    );
}

/// What somebody does to a copy, and what has to be said about it.
type Tampering = (&'static str, fn(&Path), &'static [&'static str]);

/// Whoever has no key changes files under an intact signature, or replaces it.
#[test]
fn every_tampering_without_the_key_is_found() {
    let cases: [Tampering; 18] = [
        (
            "a missing file",
            |release| fs_err::remove_file(release.join("sbom-amd64.cdx.json")).unwrap(),
            &["sbom-amd64.cdx.json is missing"],
        ),
        (
            "a missing layer",
            |release| fs_err::remove_file(release.join(layer(release, "10-"))).unwrap(),
            &["layers/10-etcd-amd64", "is missing"],
        ),
        (
            "an extra file",
            |release| fs_err::write(release.join("layers/99-extra.squashfs"), "x").unwrap(),
            &["layers/99-extra.squashfs does not belong to the release"],
        ),
        (
            "a renamed file",
            |release| {
                fs_err::rename(release.join(IMAGE), release.join("other.img.zst")).unwrap();
            },
            &["vm-1node-amd64.img.zst was renamed to other.img.zst"],
        ),
        (
            "a byte of an image",
            |release| flip(&release.join(IMAGE), 1_000_000),
            &["vm-1node-amd64.img.zst was changed"],
        ),
        (
            "a truncated image",
            |release| {
                let bytes = fs_err::read(release.join(IMAGE)).unwrap();
                fs_err::write(release.join(IMAGE), &bytes[..bytes.len() - 1]).unwrap();
            },
            &["vm-1node-amd64.img.zst was changed"],
        ),
        (
            "a byte of a layer",
            |release| flip(&release.join(layer(release, "00-")), 4096),
            &["layers/00-base-amd64", "was changed"],
        ),
        (
            "two layers in each other's place",
            |release| {
                let (one, two) = (layer(release, "00-"), layer(release, "10-"));
                fs_err::rename(release.join(&one), release.join("x")).unwrap();
                fs_err::rename(release.join(&two), release.join(&one)).unwrap();
                fs_err::rename(release.join("x"), release.join(&two)).unwrap();
            },
            &["layers/00-base", "layers/10-etcd", "was changed"],
        ),
        (
            "a byte of the bill of materials",
            |release| flip(&release.join("sbom-amd64.cdx.json"), 500),
            &["sbom-amd64.cdx.json was changed"],
        ),
        (
            "a byte of the provenance",
            |release| flip(&release.join("provenance.intoto.jsonl"), 500),
            &["provenance.intoto.jsonl was changed"],
        ),
        (
            "a byte of the manifest",
            |release| flip(&release.join("manifest.json"), 500),
            &["manifest.json was changed"],
        ),
        (
            "a byte of the notes",
            |release| flip(&release.join("RELEASE.md"), 5),
            &["RELEASE.md was changed"],
        ),
        (
            "a byte of the block map",
            |release| flip(&release.join("vm-1node-amd64.img.bmap"), 100),
            &["vm-1node-amd64.img.bmap was changed"],
        ),
        (
            "a byte of the lock",
            |release| flip(&release.join("recipe/vm-1node.lock"), 500),
            &["recipe/vm-1node.lock was changed"],
        ),
        (
            "a link in a file's place",
            |release| {
                let file = release.join("RELEASE.md");
                fs_err::remove_file(&file).unwrap();
                std::os::unix::fs::symlink("manifest.json", file).unwrap();
            },
            &[
                "RELEASE.md is neither a file nor a directory",
                "RELEASE.md is missing",
            ],
        ),
        (
            "swapped sums",
            |release| {
                let sums = text(&release.join(SUMS));
                let lines: Vec<&str> = sums.lines().collect();
                let (a, b) = (&lines[0][..64], &lines[1][..64]);
                let swapped = sums.replace(a, "?").replace(b, a).replace('?', b);
                fs_err::write(release.join(SUMS), swapped).unwrap();
            },
            &[
                "the signature of SHA256SUMS does not hold",
                "not of this content",
            ],
        ),
        (
            "no signature",
            |release| fs_err::remove_file(release.join("SHA256SUMS.minisig")).unwrap(),
            &["there is no signature to check with the key"],
        ),
        (
            "another signer",
            |release| sign(release, &published().keys[1]),
            &[
                "the signature of SHA256SUMS does not hold",
                "it is by the key",
            ],
        ),
    ];
    let published = published();
    for (what, tamper, says) in cases {
        let (_dir, release) = published.copy();
        tamper(&release);
        let error = must_fail(&mut verify(&release, Some(published.key())), 6);
        for say in says {
            assert!(error.contains(say), "{what}: no {say:?} in {error}");
        }
    }
    let error = must_fail(&mut verify(&published.release, Some(&published.keys[1])), 6);
    assert_says(&error, &["it is by the key"]);
    // Without a key the sums still tell damage.
    let (_dir, release) = published.copy();
    flip(&release.join("RELEASE.md"), 5);
    must_fail(&mut verify(&release, None), 6);
}

/// A map whose first range has another checksum, with a true checksum of its own.
fn remapped(map: &str) -> String {
    let own = "<BmapFileChecksum> ";
    let zeros = "0".repeat(64);
    let (before, after) = map.split_once(own).unwrap();
    let unsigned = format!("{before}{own}{zeros}{}", &after[64..]);
    let at = unsigned.find("chksum=\"").unwrap() + "chksum=\"".len();
    let (before, after) = unsigned.split_at(at);
    let changed = format!("{before}{zeros}{}", &after[64..]);
    let dir = scratch();
    let file = dir.path().join("map");
    fs_err::write(&file, &changed).unwrap();
    changed.replacen(&zeros, &sha256(&file), 1)
}

/// Replaces the image by one in which a byte of a layer differs.
fn change_inside(release: &Path) {
    let image = release.join(IMAGE);
    let raw = release.join("raw");
    tool(
        "zstd",
        &[
            "-qd",
            &image.display().to_string(),
            "-o",
            &raw.display().to_string(),
        ],
    );
    // Layers are on the disk as they are: look for what the etcd layer begins with.
    let etcd = fs_err::read(release.join(layer(release, "10-"))).unwrap();
    let mut disk = fs_err::read(&raw).unwrap();
    let needle = &etcd[..4096];
    let at = (0..disk.len() / 512).map(|sector| sector * 512);
    let at = at
        .clone()
        .find(|&at| disk[at..].starts_with(needle))
        .unwrap();
    disk[at + 100_000] ^= 1;
    fs_err::write(&raw, disk).unwrap();
    tool(
        "zstd",
        &[
            "-qf1",
            &raw.display().to_string(),
            "-o",
            &image.display().to_string(),
        ],
    );
    fs_err::remove_file(&raw).unwrap();
}

/// Whoever has the key, or a way to its holder, can sign anything; what the files say of each
/// other must still agree.
#[test]
fn what_is_signed_but_does_not_agree_is_found() {
    let cases: [Tampering; 9] = [
        (
            "a byte inside an image",
            change_inside,
            &["vm-1node-amd64.img.zst is another file than manifest.json says"],
        ),
        (
            "a byte inside an image, and the manifest's record of it",
            |release| {
                change_inside(release);
                fix_manifest(release);
            },
            &[
                "vm-1node-amd64.img.zst: /layers/10-etcd-amd64",
                "on the boot partition is another file",
                "provenance.intoto.jsonl has another digest for the file",
            ],
        ),
        (
            "the block map of another disk",
            |release| {
                let map = release.join("vm-1node-amd64.img.bmap");
                let changed = remapped(&text(&map));
                fs_err::write(map, changed).unwrap();
                fix_manifest(release);
            },
            &[
                "vm-1node-amd64.img.bmap, the block map of vm-1node-amd64.img.zst: blocks",
                "are not what it says",
            ],
        ),
        (
            "a bill of materials without a package",
            |release| {
                edit(&release.join("sbom-amd64.cdx.json"), |bill| {
                    let components = bill["components"].as_array_mut().unwrap();
                    components.retain(|one| one["name"] != "libc6");
                });
                fix_manifest(release);
            },
            &["sbom-amd64.cdx.json lacks the part pkg:deb/debian/libc6@"],
        ),
        (
            "a manifest without an image",
            |release| {
                edit(&release.join("manifest.json"), |manifest| {
                    manifest["images"] = json!([])
                });
            },
            &["vm-1node-amd64.img.zst is in the sums, but not in manifest.json"],
        ),
        (
            "a manifest with another layer",
            |release| {
                edit(&release.join("manifest.json"), |manifest| {
                    let digest = manifest["layers"][0]["sha256"].clone();
                    let files = &mut manifest["images"][0]["disk"]["boot"]["files"];
                    let etcd = layer(release, "10-");
                    files[&etcd]["sha256"] = digest;
                });
            },
            &[
                "in vm-1node-amd64.img.zst is another file than the release's",
                "vm-1node-amd64.img.zst: /layers/10-etcd-amd64",
            ],
        ),
        (
            "a provenance nobody signed",
            |release| fix_provenance(release),
            &["provenance.intoto.jsonl: it is not signed by the key"],
        ),
        (
            "a further file in the sums",
            |release| fs_err::write(release.join("extra"), "x").unwrap(),
            &[
                "extra is in the sums, but not in manifest.json",
                "provenance.intoto.jsonl lacks the file extra",
            ],
        ),
        (
            "another lock",
            |release| {
                let lock = release.join("recipe/vm-1node.lock");
                let changed = text(&lock).replacen("name = \"dash\"", "name = \"bash\"", 1);
                fs_err::write(lock, changed).unwrap();
                fix_manifest(release);
            },
            &[
                "sbom-amd64.cdx.json lacks the part pkg:deb/debian/bash@",
                "provenance.intoto.jsonl has the input pkg:deb/debian/dash@",
            ],
        ),
    ];
    let published = published();
    for (what, tamper, says) in cases {
        let (_dir, release) = published.copy();
        tamper(&release);
        fix_sums(&release);
        sign(&release, published.key());
        let error = must_fail(&mut verify(&release, Some(published.key())), 6);
        for say in says {
            assert!(error.contains(say), "{what}: no {say:?} in {error}");
        }
    }
}
