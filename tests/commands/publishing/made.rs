//! What a release is made of, and who can check it where.

use super::forger::{fix_manifest, fix_provenance, fix_sums};
use super::{IMAGE, SUMS, command, names, published, text, value, verify};
use crate::support::inputs::{assert_says, recipe_copy, sha256};
use crate::support::server::{Manner, Server};
use crate::support::{imgbuild, must, must_fail, repository, scratch};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

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
