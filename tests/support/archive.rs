//! A Debian archive of the tests' own, signed with a key made on the spot: `imgbuild lock`
//! works on it without the network, and it can be spoilt in every way.

use super::inputs::{Package, files_below, packages, sha256};
use super::tool;
use imgbuild_base::Digest;
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::types::Password;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// An archive with the packages of a lock, of which base-files depends on all others.
pub struct Archive {
    dir: PathBuf,
    key: SignedSecretKey,
    arch: String,
}

/// A signing key, different for each seed.
pub fn key(seed: u64) -> SignedSecretKey {
    let subkey = SubkeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .build()
        .unwrap();
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(false)
        .primary_user_id("Test archive <archive@example.org>".into())
        .subkey(subkey)
        .build()
        .unwrap()
        .generate(StdRng::seed_from_u64(seed))
        .unwrap()
}

/// Seconds since 1970, now.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn date(seconds: u64) -> String {
    let at = format!("@{seconds}");
    let format = "+%a, %d %b %Y %H:%M:%S UTC";
    tool("env", &["LC_ALL=C", "date", "-u", "-d", &at, format])
        .trim()
        .to_owned()
}

impl Archive {
    /// Makes it below `dir`: `debian` and `debian-security`.
    pub fn of_lock(dir: &Path, lock: &Path, arch: &str) -> Self {
        let archive = Self {
            dir: dir.to_owned(),
            key: key(1),
            arch: arch.to_owned(),
        };
        let packages = packages(lock);
        for suite in ["trixie", "trixie-updates", "trixie-security"] {
            for component in ["main", "non-free-firmware"] {
                let index: String = packages
                    .iter()
                    .filter(|it| it.suite == suite && it.component == component)
                    .map(|it| stanza(it, &packages))
                    .collect();
                archive.write_index(suite, component, &index);
            }
        }
        archive.sign(now() - 3600, now() + 86_400);
        archive
    }

    /// What `--mirror` takes.
    pub fn mirror(&self) -> String {
        self.dir.join("debian").display().to_string()
    }

    /// What `--keyring` takes.
    pub fn keyring(&self) -> PathBuf {
        let path = self.dir.join("archive.asc");
        let armored = self
            .key
            .to_public_key()
            .to_armored_bytes(ArmorOptions::default());
        fs_err::write(&path, armored.unwrap()).unwrap();
        path
    }

    /// Signs with another key than the keyring has.
    pub fn sign_as_stranger(&self) {
        let stranger = Self {
            dir: self.dir.clone(),
            key: key(2),
            arch: self.arch.clone(),
        };
        stranger.sign(now() - 3600, now() + 86_400);
    }

    /// The folder of a suite.
    pub fn suite(&self, suite: &str) -> PathBuf {
        let archive = match suite.ends_with("-security") {
            true => "debian-security",
            false => "debian",
        };
        self.dir.join(archive).join("dists").join(suite)
    }

    fn write_index(&self, suite: &str, component: &str, text: &str) {
        let dir = self
            .suite(suite)
            .join(component)
            .join(format!("binary-{}", self.arch));
        fs_err::create_dir_all(&dir).unwrap();
        let path = dir.join("Packages");
        fs_err::write(&path, text).unwrap();
        tool("xz", &["--force", path.to_str().unwrap()]);
    }

    /// Has a newer version of a package in a suite; [`Self::sign`] makes it known. The version.
    pub fn put_newer(&self, package: &Package, suite: &str) -> String {
        let version = format!("{}.1", package.version);
        let newer = Package {
            sha256: Digest::of(version.as_bytes()).to_string(),
            version: version.clone(),
            ..package.clone()
        };
        let index = self
            .suite(suite)
            .join("main")
            .join(format!("binary-{}", self.arch))
            .join("Packages.xz");
        let text = tool("xz", &["-dc", index.to_str().unwrap()]);
        self.write_index(suite, "main", &(text + &stanza(&newer, &[])));
        version
    }

    /// Signs every suite: made at `made`, valid until `until` (seconds since 1970).
    pub fn sign(&self, made: u64, until: u64) {
        for suite in ["trixie", "trixie-updates", "trixie-security"] {
            let dir = self.suite(suite);
            let files: String = files_below(&dir)
                .iter()
                .filter(|file| file.ends_with("Packages.xz"))
                .map(|file| {
                    let len = fs_err::metadata(file).unwrap().len();
                    let path = file.strip_prefix(&dir).unwrap().display();
                    format!(" {} {len} {path}\n", sha256(file))
                })
                .collect();
            let text = format!(
                "Suite: {suite}\nCodename: {suite}\nDate: {}\nValid-Until: {}\n\
                 Components: main non-free-firmware\nArchitectures: {}\nSHA256:\n{files}",
                date(made),
                date(until),
                self.arch
            );
            let signer = &self.key.secret_subkeys[0].key;
            let rng = StdRng::seed_from_u64(3);
            let signed = CleartextSignedMessage::sign(rng, &text, signer, &Password::empty());
            let armored = signed.unwrap().to_armored_bytes(ArmorOptions::default());
            fs_err::write(dir.join("InRelease"), armored.unwrap()).unwrap();
        }
    }
}

fn stanza(package: &Package, all: &[Package]) -> String {
    let Package {
        name,
        version,
        arch,
        path,
        sha256,
        size,
        ..
    } = package;
    let mut others: Vec<&str> = all.iter().map(|it| it.name.as_str()).collect();
    others.retain(|other| other != name);
    let depends = match name.as_str() {
        "base-files" => format!("Depends: {}\n", others.join(", ")),
        _ => String::new(),
    };
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {arch}\nPriority: optional\n\
         {depends}Filename: {path}\nSize: {size}\nSHA256: {sha256}\n\n"
    )
}
