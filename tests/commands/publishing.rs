//! `imgbuild release` makes what can be published, the same every time; `imgbuild verify` finds
//! everything that is not as it was published.

use crate::support::inputs::{assert_says, files_below, recipe_copy, sha256};
use crate::support::server::{Manner, Server};
use crate::support::{imgbuild, must, must_fail, repository, scratch, tool};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const SUMS: &str = "SHA256SUMS";
const IMAGE: &str = "vm-1node-amd64.img.zst";

/// A signed release of one recipe, made once, and the keys.
struct Published {
    _dir: tempfile::TempDir,
    release: PathBuf,
    recipe: PathBuf,
    /// The publisher's key, and another one.
    keys: [PathBuf; 2],
}

fn published() -> &'static Published {
    static RELEASE: OnceLock<Published> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let dir = scratch();
        let keys = ["publisher", "other"].map(|name| dir.path().join(name));
        for key in &keys {
            must(
                Command::new("minisign")
                    .args(["-G", "-W", "-p"])
                    .arg(key.with_extension("pub"))
                    .arg("-s")
                    .arg(key),
            );
        }
        let recipe = recipe_copy(dir.path(), "vm-1node");
        fs_err::remove_file(recipe.with_extension("secret")).unwrap();
        let release = dir.path().join("release");
        must(
            command("release", &recipe, &release)
                .arg("--sign-key")
                .arg(&keys[0]),
        );
        Published {
            _dir: dir,
            release,
            recipe,
            keys,
        }
    })
}

fn command(verb: &str, recipe: &Path, out: &Path) -> Command {
    let mut command = imgbuild();
    command
        .arg(verb)
        .arg(recipe)
        .arg("--quiet")
        .arg("--out")
        .arg(out);
    command
}

fn verify(release: &Path, key: Option<&Path>) -> Command {
    let mut command = imgbuild();
    command.arg("verify").arg(release);
    if let Some(key) = key {
        command.arg("--key").arg(key.with_extension("pub"));
    }
    command
}

impl Published {
    fn key(&self) -> &Path {
        &self.keys[0]
    }

    /// A copy to tamper with.
    fn copy(&self) -> (tempfile::TempDir, PathBuf) {
        let dir = scratch();
        let copy = dir.path().join("release");
        must(Command::new("cp").arg("-r").arg(&self.release).arg(&copy));
        (dir, copy)
    }
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

fn text(file: &Path) -> String {
    fs_err::read_to_string(file).unwrap()
}

fn value(file: &Path) -> Value {
    serde_json::from_str(&text(file)).unwrap()
}

/// The files of a release by their paths in it.
fn names(release: &Path) -> Vec<String> {
    let mut names: Vec<String> = files_below(release)
        .iter()
        .map(|file| file.strip_prefix(release).unwrap().display().to_string())
        .collect();
    names.sort();
    names
}

/// Writes the sums anew, as somebody does who wants what was changed to pass.
fn fix_sums(release: &Path) {
    let lines: String = names(release)
        .into_iter()
        .filter(|name| !name.starts_with(SUMS))
        .map(|name| format!("{}  {name}\n", sha256(&release.join(&name))))
        .collect();
    fs_err::write(release.join(SUMS), lines).unwrap();
}

/// Changes a JSON file.
fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut content = value(file);
    change(&mut content);
    fs_err::write(file, serde_json::to_string_pretty(&content).unwrap() + "\n").unwrap();
}

/// Brings the manifest's records of files in line with the files.
fn fix_manifest(release: &Path) {
    fn visit(value: &mut Value, release: &Path) {
        match value {
            Value::Object(fields) => {
                if let Some(path) = fields.get("path").and_then(Value::as_str) {
                    let file = release.join(path);
                    let size = fs_err::metadata(&file).unwrap().len();
                    let digest = sha256(&file);
                    fields.insert("size".to_owned(), json!(size));
                    fields.insert("sha256".to_owned(), json!(digest));
                }
                fields.values_mut().for_each(|value| visit(value, release));
            }
            Value::Array(values) => values.iter_mut().for_each(|value| visit(value, release)),
            _ => {}
        }
    }
    edit(&release.join("manifest.json"), |manifest| {
        visit(manifest, release)
    });
}

/// Brings the provenance in line with the files, without its signature.
fn fix_provenance(release: &Path) {
    let file = release.join("provenance.intoto.jsonl");
    let mut envelope = value(&file);
    let payload = STANDARD
        .decode(envelope["payload"].as_str().unwrap())
        .unwrap();
    let mut statement: Value = serde_json::from_slice(&payload).unwrap();
    for subject in statement["subject"].as_array_mut().unwrap() {
        let digest = sha256(&release.join(subject["name"].as_str().unwrap()));
        subject["digest"]["sha256"] = json!(digest);
    }
    let definition = &mut statement["predicate"]["buildDefinition"];
    for input in definition["resolvedDependencies"].as_array_mut().unwrap() {
        let uri = input["uri"].as_str().unwrap().to_owned();
        if uri.starts_with("recipe/") {
            input["digest"]["sha256"] = json!(sha256(&release.join(uri)));
        }
    }
    envelope["payload"] = json!(STANDARD.encode(serde_json::to_vec(&statement).unwrap()));
    envelope["signatures"] = json!([]);
    fs_err::write(&file, serde_json::to_string(&envelope).unwrap() + "\n").unwrap();
}

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

#[test]
fn a_release_is_complete_signed_and_the_same_every_time() {
    let published = published();
    let release = &published.release;
    let names = names(release);
    let plain: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !name.starts_with("layers/"))
        .collect();
    assert_eq!(
        plain,
        [
            "RELEASE.md",
            SUMS,
            "SHA256SUMS.minisig",
            "manifest.json",
            "provenance.intoto.jsonl",
            "recipe/vm-1node.lock",
            "recipe/vm-1node.toml",
            "sbom-amd64.cdx.json",
            "vm-1node-amd64.img.bmap",
            IMAGE,
        ]
    );
    assert_eq!(names.len() - plain.len(), 2, "base and etcd: {names:?}");
    for name in &names {
        let mode = fs_err::metadata(release.join(name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o644, "{name}");
    }
    // Judges: coreutils, minisign, zstd and its own reader.
    must(
        Command::new("sha256sum")
            .args(["--check", "--strict", SUMS])
            .current_dir(release),
    );
    must(
        Command::new("minisign")
            .args(["-V", "-m", SUMS, "-p"])
            .arg(published.key().with_extension("pub"))
            .current_dir(release),
    );
    let said = must(&mut verify(release, Some(published.key())));
    assert_says(&said, &["vm-1node", "signed by the key"]);
    // No secret was needed or made.
    let beside = published.recipe.with_extension("secret");
    assert!(!beside.exists());

    // Again, elsewhere, under another umask, time zone and language.
    let dir = scratch();
    let recipe = recipe_copy(dir.path(), "vm-1node");
    let again = dir.path().join("again");
    let mut second = command("release", &recipe, &again);
    second
        .arg("--sign-key")
        .arg(published.key())
        .arg("--jobs")
        .arg("1");
    second.env("TZ", "Asia/Tokyo").env("LC_ALL", "de_DE.UTF-8");
    must(&mut second);
    must(Command::new("diff").arg("-r").arg(release).arg(&again));
}

#[test]
fn the_bill_of_materials_is_valid_and_names_everything() {
    let published = published();
    let bill = value(&published.release.join("sbom-amd64.cdx.json"));
    let schemas = repository().join("builder/release/tests/schemas");
    let schema = |name: &str| value(&schemas.join(format!("{name}.schema.json")));
    let resource = |name: &str| jsonschema::Resource::from_contents(schema(name)).unwrap();
    let at = |name: &str| format!("http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json");
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .with_resource(at("spdx"), resource("spdx"))
        .with_resource(at("jsf-0.82"), resource("jsf-0.82"))
        .build(&schema("bom-1.6"))
        .unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&bill)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");

    let lock = text(&published.recipe.with_extension("lock"));
    let lock: toml::Value = toml::from_str(&lock).unwrap();
    let packages = lock["debian"]["package"].as_array().unwrap();
    let components = bill["components"].as_array().unwrap();
    for package in packages {
        let of = |field: &str| package[field].as_str().unwrap();
        let found = components.iter().find(|one| {
            one["name"] == of("name") && one["purl"].as_str().unwrap().starts_with("pkg:deb/")
        });
        let found = found.unwrap_or_else(|| panic!("no {}", of("name")));
        assert_eq!(found["version"], of("version"));
        assert_eq!(found["hashes"][0]["content"], of("sha256"));
        assert!(!found["licenses"].as_array().unwrap().is_empty());
    }
    let dash = components.iter().find(|one| one["name"] == "dash").unwrap();
    let licences = dash["licenses"].to_string();
    assert!(licences.contains("BSD-3-Clause"), "{licences}");
    let sums = lock["etcd"]["build"]["go"]["go_sum"].as_str().unwrap();
    let modules = sums.lines().filter(|line| !line.contains("/go.mod "));
    let listed = components.iter().filter(|one| {
        one["purl"].as_str().unwrap().starts_with("pkg:golang/") && one["name"] != "std"
    });
    assert_eq!(listed.count(), modules.count());
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
    let cases: [Tampering; 8] = [
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

#[test]
fn a_release_is_checked_where_it_is_published() {
    let published = published();
    let server = Server::start(&published.release);
    let url = server.url("");
    let verify = || {
        let mut command = imgbuild();
        command.args(["verify", &url, "--key"]);
        command.arg(published.key().with_extension("pub"));
        command
    };
    must(&mut verify());
    server.always("RELEASE.md", Manner::Missing);
    server.always("manifest.json", Manner::Other(b"{}".to_vec()));
    let error = must_fail(&mut verify(), 6);
    assert_says(
        &error,
        &["RELEASE.md", "404", "manifest.json", "wrong bytes"],
    );
}

#[test]
fn a_release_is_what_its_recipe_gives_or_that_is_said() {
    let published = published();
    let mut rebuild = verify(&published.release, Some(published.key()));
    let said = must(rebuild.arg("--rebuild"));
    assert_says(&said, &["built again", "the same to the bit"]);

    // A recipe that gives other images, in a release that agrees with itself.
    let (_dir, release) = published.copy();
    let recipe = release.join("recipe/vm-1node.toml");
    let changed = format!("{}\n[kernel]\nargs = [\"quiet\"]\n", text(&recipe));
    fs_err::write(&recipe, changed).unwrap();
    fix_manifest(&release);
    fix_provenance(&release);
    fix_sums(&release);
    must(&mut verify(&release, None));
    let error = must_fail(verify(&release, None).arg("--rebuild"), 6);
    assert_says(&error, &["/EFI/BOOT/BOOTX64.EFI", "when built again"]);
}

#[test]
fn secrets_are_released_only_when_asked_for_and_never_unmarked() {
    let dir = scratch();
    let recipe = recipe_copy(dir.path(), "vm-1node");
    let plain = dir.path().join("plain");
    must(&mut command("release", &recipe, &plain));
    let secret = dir.path().join("secret");
    must(command("release", &recipe, &secret).arg("--with-secrets"));
    let marked = |release: &Path| -> Vec<String> {
        let names = names(release).into_iter();
        names.filter(|name| name.contains("SECRET")).collect()
    };
    assert!(marked(&plain).is_empty());
    assert_eq!(
        marked(&secret),
        ["etcd-0.SECRET.img.bmap", "etcd-0.SECRET.img.zst"]
    );
    for name in marked(&secret) {
        let mode = fs_err::metadata(secret.join(&name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
    }
    let mode = fs_err::metadata(&secret).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);
    // Only those files have the node's layer.
    for image in value(&secret.join("manifest.json"))["images"]
        .as_array()
        .unwrap()
    {
        let files = image["disk"]["boot"]["files"].as_object().unwrap();
        let own = files.keys().any(|path| path.starts_with("layers/20-"));
        assert_eq!(own, image["secret"] == true);
        let name = image["file"]["path"].as_str().unwrap();
        assert_eq!(own, name.contains("SECRET"), "{name}");
    }
    // What is for anybody is the same with and without.
    for name in names(&plain).iter().filter(|name| name.starts_with("vm-")) {
        assert_eq!(
            sha256(&plain.join(name)),
            sha256(&secret.join(name)),
            "{name}"
        );
    }
    must(&mut verify(&secret, None));
    assert_says(&text(&plain.join("RELEASE.md")), &["not signed"]);
    assert_says(&text(&secret.join("RELEASE.md")), &["Do not publish"]);
}

#[test]
fn what_cannot_be_released_or_checked_is_explained() {
    let published = published();
    let dir = scratch();
    // Somebody's files are not replaced.
    fs_err::write(dir.path().join("mine"), "x").unwrap();
    let error = must_fail(&mut command("release", &published.recipe, dir.path()), 7);
    assert_says(&error, &["is no release", "--out"]);
    assert!(dir.path().join("mine").exists());
    // What is no key.
    let mut bad = command("release", &published.recipe, &dir.path().join("r"));
    let error = must_fail(bad.arg("--sign-key").arg(dir.path().join("mine")), 1);
    assert_says(&error, &["mine", "minisign"]);
    let mut bad = imgbuild();
    bad.arg("verify")
        .arg(&published.release)
        .args(["--key", "nonsense"]);
    let error = must_fail(&mut bad, 1);
    assert_says(&error, &["nonsense", "minisign"]);
    // What is no release.
    let error = must_fail(&mut verify(dir.path(), None), 5);
    assert_says(&error, &["SHA256SUMS"]);
}
