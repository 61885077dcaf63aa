//! No private key is in the store, and the authority's is in no image or archive: every byte of both is
//! searched for the keys' content in every form in which it could be there.

use crate::support::archive::now;
use crate::support::inputs::{files_below, recipe_copy, secret};
use crate::support::{extract_boot, imgbuild, must, run, scratch, shared_store, tool};
use aho_corasick::AhoCorasick;
use imgbuild_base::{Epoch, Kind};
use imgbuild_formats::squashfs;
use imgbuild_pki::{Authority, AuthoritySpec, KeyKind, KeyLabel, Validity};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A cluster with ssh's host keys in a layout with many keys, and all its private keys.
struct Cluster {
    dir: PathBuf,
    out: PathBuf,
    /// The authority's key and the secret: they are nowhere but in the secret's file.
    root: Needles,
    /// The others: they are in their node's layer and in the admin bundle.
    leaves: Needles,
}

/// What is searched for: a name and bytes, several forms of each key.
#[derive(Default)]
struct Needles {
    forms: Vec<(String, Vec<u8>)>,
    searcher: OnceLock<AhoCorasick>,
}

impl Needles {
    fn put(&mut self, name: &str, form: &str, bytes: &[u8]) {
        assert!(
            bytes.len() >= 24,
            "{name} as {form} would be found by chance"
        );
        self.forms
            .push((format!("{name} ({form})"), bytes.to_vec()));
    }

    /// Raw bytes, hexadecimal in both cases, base64 without its end (which depends on what
    /// follows) at each of the three places in a group of three bytes.
    fn put_raw(&mut self, name: &str, raw: &[u8]) {
        self.put(name, "raw", raw);
        let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        self.put(name, "hexadecimal", hex.as_bytes());
        self.put(
            name,
            "upper-case hexadecimal",
            hex.to_uppercase().as_bytes(),
        );
        for skip in 0..3 {
            let whole = &raw[skip..][..(raw.len() - skip) / 3 * 3];
            self.put(name, "base64", base64(whole).as_bytes());
        }
    }

    /// A private key's PEM text: its lines, its bytes, and the number that it comes down to.
    fn put_pem(&mut self, name: &str, pem: &str) {
        let body: Vec<&str> = pem
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        for line in body.iter().filter(|line| line.len() >= 40) {
            self.put(name, "PEM", line.as_bytes());
        }
        let der = unbase64(&body.concat());
        self.put(name, "DER", &der);
        self.put_raw(name, &scalar(pem, &der));
    }

    fn search(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let searcher = self
            .searcher
            .get_or_init(|| AhoCorasick::new(self.forms.iter().map(|(_, bytes)| bytes)).unwrap());
        let found = searcher.find_overlapping_iter(bytes);
        found
            .map(|hit| self.forms[hit.pattern().as_usize()].0.as_str())
            .collect()
    }
}

fn pipe(script: &str, input: &[u8]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), input).unwrap();
    let output = run(Command::new("sh").args(["-c", script]).arg(file.path()));
    assert!(output.status.success(), "{script}: {output:?}");
    output.stdout
}

fn base64(bytes: &[u8]) -> String {
    String::from_utf8(pipe("base64 -w0 \"$0\"", bytes)).unwrap()
}

fn unbase64(text: &str) -> Vec<u8> {
    pipe("base64 -d \"$0\"", text.as_bytes())
}

/// The 32 bytes that a key comes down to: of P-256 as openssl prints them, of an OpenSSH
/// ed25519 key the seed, which precedes the second copy of the public key (PROTOCOL.key).
fn scalar(pem: &str, der: &[u8]) -> Vec<u8> {
    if pem.contains("OPENSSH") {
        let mark = [0, 0, 0, 64];
        let at = der.windows(4).rposition(|window| window == mark).unwrap() + 4;
        return der[at..at + 32].to_vec();
    }
    let printed = pipe("openssl pkey -in \"$0\" -noout -text", pem.as_bytes());
    let printed = String::from_utf8(printed).unwrap();
    let (_, after) = printed.split_once("priv:").unwrap();
    let (digits, _) = after.split_once("pub:").unwrap();
    let bytes: Vec<u8> = digits
        .split(|c: char| !c.is_ascii_hexdigit())
        .filter(|word| !word.is_empty())
        .map(|word| u8::from_str_radix(word, 16).unwrap())
        .collect();
    bytes[bytes.len() - 32..].to_vec()
}

impl Cluster {
    fn get() -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(Self::build)
    }

    fn build() -> Self {
        let dir = scratch().keep();
        let recipe = recipe_copy(&dir.join("recipe"), "vm-3node");
        let out = dir.join("out");
        let mut build = imgbuild();
        build.arg("build").arg(&recipe).arg("--out").arg(&out);
        must(build.args(["--format", "img,overlay"]));
        let mut root = Needles::default();
        let validity = Validity::starting(Epoch::try_from(now()).unwrap(), 3650).unwrap();
        let spec = AuthoritySpec {
            label: KeyLabel::new(["ca", "etcd"]),
            common_name: "etcd-ca".to_owned(),
            kind: KeyKind::P256,
            generation: 1,
            validity,
        };
        let authority = Authority::derive(&secret(), &spec).unwrap();
        let key = authority.expose_key().unwrap();
        // It is the key that signed the cluster's certificates.
        let public = pipe("openssl pkey -in \"$0\" -pubout", key.expose().as_bytes());
        let ca = out.join("admin/ca.crt");
        let used = tool(
            "openssl",
            &["x509", "-in", ca.to_str().unwrap(), "-noout", "-pubkey"],
        );
        assert_eq!(String::from_utf8(public).unwrap(), used);
        root.put_pem("the authority's key", key.expose());
        root.put_raw("the cluster's secret", b"the secret that the tests know..");
        let text = secret().to_text();
        let line = text.expose().lines().last().unwrap();
        root.put(
            "the cluster's secret",
            "text",
            line.split(' ').next_back().unwrap().as_bytes(),
        );

        let mut leaves = Needles::default();
        let admin = fs_err::read_to_string(out.join("admin/client.key")).unwrap();
        leaves.put_pem("admin/client.key", &admin);
        for node in ["etcd-0", "etcd-1", "etcd-2"] {
            let boot = dir.join(node);
            extract_boot(&out.join(format!("{node}.img")), &boot);
            for (path, bytes) in files_of(&own_layer(&boot)) {
                if let Ok(text) = String::from_utf8(bytes)
                    && text.contains("PRIVATE KEY-----")
                {
                    leaves.put_pem(&format!("{node}:{path}"), &text);
                }
            }
        }
        let keys: BTreeSet<&str> = leaves
            .forms
            .iter()
            .map(|(name, _)| name.split(' ').next().unwrap())
            .collect();
        assert!(keys.len() > 3 * 4, "{keys:?}");
        Self {
            dir,
            out,
            root,
            leaves,
        }
    }
}

fn own_layer(boot: &Path) -> PathBuf {
    let layers = files_below(&boot.join("layers"));
    layers
        .into_iter()
        .find(|file| file.to_str().unwrap().contains("/20-"))
        .unwrap()
}

/// The regular files of a layer.
fn files_of(layer: &Path) -> Vec<(String, Vec<u8>)> {
    let tree = squashfs::read(&fs_err::read(layer).unwrap()).unwrap();
    tree.iter()
        .filter_map(|(path, entry)| match &entry.kind {
            Kind::File(body) => Some((path.to_string(), body.bytes().to_vec())),
            _ => None,
        })
        .collect()
}

#[test]
fn no_private_key_is_in_the_store() {
    let cluster = Cluster::get();
    let mut needles = Needles::default();
    needles.forms.extend(cluster.root.forms.iter().cloned());
    needles.forms.extend(cluster.leaves.forms.iter().cloned());
    let mut searched = 0;
    let under_way = ["tmp", "partial"].map(|dir| shared_store().join(dir));
    for file in files_below(&shared_store()) {
        let bytes = match fs_err::read(&file) {
            // Other tests' builds end while this one reads.
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    && under_way.iter().any(|dir| file.starts_with(dir)) =>
            {
                continue;
            }
            read => read.unwrap(),
        };
        let found = needles.search(&bytes);
        assert!(found.is_empty(), "{} has {found:?}", file.display());
        searched += bytes.len();
    }
    assert!(
        searched > 100 << 20,
        "only {searched} bytes are in the store"
    );
    // What is remembered beside the images holds none either.
    for name in ["build.json", ".state.json", "SHA256SUMS"] {
        let found = needles.search(&fs_err::read(cluster.out.join(name)).unwrap());
        assert!(found.is_empty(), "{name} has {found:?}");
    }
}

#[test]
fn the_authoritys_key_is_in_no_image_or_archive() {
    let cluster = Cluster::get();
    let clean = |what: &str, bytes: &[u8]| {
        let found = cluster.root.search(bytes);
        assert!(found.is_empty(), "{what} has {found:?}");
    };
    let mut keys_met = 0;
    for file in files_below(&cluster.out) {
        clean(&file.display().to_string(), &fs_err::read(&file).unwrap());
    }
    for node in ["etcd-0", "etcd-1", "etcd-2"] {
        for file in files_below(&cluster.dir.join(node)) {
            let shown = file.display().to_string();
            clean(&shown, &fs_err::read(&file).unwrap());
            if shown.ends_with(".squashfs") {
                for (path, bytes) in files_of(&file) {
                    clean(&format!("{shown}: {path}"), &bytes);
                    keys_met += cluster.leaves.search(&bytes).len();
                }
            }
            if shown.ends_with(".EFI") {
                let initramfs = "objcopy -O binary --only-section=.initrd \"$0\" \"$0.initrd\" \
                                 && zstd -dcq \"$0.initrd\"; rm -f \"$0.initrd\"";
                clean(
                    &format!("the initramfs of {shown}"),
                    &pipe(initramfs, &fs_err::read(&file).unwrap()),
                );
            }
        }
    }
    for node in ["etcd-0", "etcd-1", "etcd-2"] {
        let name = format!("{node}.overlay.tar.gz");
        let archive = pipe(
            "zcat \"$0\"",
            &fs_err::read(cluster.out.join(&name)).unwrap(),
        );
        clean(&name, &archive);
        let met = cluster.leaves.search(&archive).len();
        assert!(
            met >= 4,
            "only {met} forms of its node's keys are in {name}"
        );
    }
    // The search does find: every node's own keys are where they belong.
    assert!(
        keys_met >= 3 * 4,
        "only {keys_met} forms of the nodes' own keys were met"
    );
    let file = fs_err::read(cluster.dir.join("recipe/vm-3node.secret")).unwrap();
    assert!(
        !cluster.root.search(&file).is_empty(),
        "the secret is not found in its own file"
    );
}
