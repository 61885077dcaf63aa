//! OpenSSL, OpenSSH, systemd and the shell judge what a node's layer holds.
#![allow(clippy::unwrap_used)]

mod certificates;
#[path = "../common/mod.rs"]
mod common;

use base64::Engine as _;
use common::*;
use fs_err as fs;
use imgbuild_base::{Epoch, Kind, Meta, Tree, TreePath};
use imgbuild_cluster::{CLOCK_FLOOR, ClockError, ComposeError, check_clock, first_start};
use imgbuild_recipe::Recipe;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;

fn desk(tree: &Tree) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    unpack(tree, dir.path());
    dir
}

/// Whether OpenSSL takes `cert` under `ca` for the purpose and further checks in `extra`.
fn verify(dir: &Path, ca: &str, cert: &str, extra: &[&str]) -> (bool, String) {
    let now = NOW.to_string();
    let mut words = vec!["verify", "-x509_strict", "-attime", &now, "-CAfile", ca];
    words.extend(extra);
    words.push(cert);
    run(dir, "openssl", &words)
}

fn field(dir: &Path, cert: &str, what: &[&str]) -> String {
    let mut words = vec!["x509", "-noout", "-in", cert];
    words.extend(what);
    let said = ok(dir, "openssl", &words);
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Lays a node's layer out with programs that do nothing in place of etcd's.
fn bootable(recipe: &Recipe) -> TempDir {
    let desk = desk(&layers(recipe)[0].1);
    let bin = desk.path().join(recipe.nodes[0].etcd.bin_dir.as_str());
    fs::create_dir_all(&bin).unwrap();
    for program in ["etcd", "etcdctl"] {
        let path = bin.join(program);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    desk
}

#[test]
fn systemd_takes_the_unit() {
    let shipped = WALKTHROUGHS.map(shipped);
    for recipe in [vm_3node(), pi_2node()].into_iter().chain(shipped) {
        let desk = bootable(&recipe);
        let unit = desk.path().join("etc/systemd/system/etcd.service");
        let unit = unit.to_str().unwrap();
        // At most 4.0 of 10, as tenths.
        let said = ok(
            desk.path(),
            "systemd-analyze",
            &[
                "security",
                "--offline=yes",
                "--threshold=40",
                "--no-pager",
                unit,
            ],
        );
        assert!(
            said.contains("Overall exposure level for etcd.service"),
            "{said}"
        );
        // verify looks for the programs on this machine: a copy of the unit names those here.
        let etcd = recipe.nodes[0].etcd.bin_dir.join("etcd").unwrap();
        let guard = TreePath::new(first_start::GUARD).unwrap();
        let mut here = text(&layers(&recipe)[0].1, "etc/systemd/system/etcd.service");
        for (key, program) in [("ExecStart", &etcd), ("ExecStartPre", &guard)] {
            let path = desk.path().join(program.as_str());
            let (there, path) = (program.absolute(), path.display());
            let named = here.replace(&format!("{key}={there}"), &format!("{key}={path}"));
            assert_ne!(here, named, "{key} does not run {there}");
            here = named;
        }
        fs::write(unit, here).unwrap();
        let (taken, said) = run(
            desk.path(),
            "systemd-analyze",
            &["verify", "--man=no", "--recursive-errors=no", unit],
        );
        assert!(taken, "{said}");
        assert!(!said.contains("etcd.service:"), "{said}");
    }
}

/// What etcdctl would see when root calls it with `arguments` after `setting`s.
fn etcdctl(setting: &str, arguments: &str) -> String {
    let desk = bootable(&vm_3node());
    let real = desk.path().join("usr/local/bin/etcdctl");
    fs::write(
        &real,
        "#!/bin/sh\nenv | grep ^ETCDCTL | sort\necho \"$@\"\n",
    )
    .unwrap();
    let wrapper = desk.path().join("usr/local/sbin/etcdctl");
    let here = fs::read_to_string(&wrapper)
        .unwrap()
        .replace("/usr/local/bin/etcdctl", real.to_str().unwrap());
    fs::write(&wrapper, here).unwrap();
    let line = format!("{setting} usr/local/sbin/etcdctl {arguments}");
    ok(desk.path(), "sh", &["-c", &line])
}

#[test]
fn etcdctl_needs_no_flags() {
    assert_eq!(
        etcdctl("", "member list"),
        "ETCDCTL_CACERT=/etc/kubernetes/pki/etcd/ca.crt\n\
         ETCDCTL_CERT=/etc/kubernetes/pki/etcd/healthcheck-client.crt\n\
         ETCDCTL_ENDPOINTS=https://10.0.2.11:2379\n\
         ETCDCTL_KEY=/etc/kubernetes/pki/etcd/healthcheck-client.key\n\
         member list\n"
    );
}

#[test]
fn etcdctl_lets_the_caller_decide() {
    let said = etcdctl(
        "",
        "--endpoints=https://x --cacert a --cert=b --key c get k",
    );
    assert_eq!(
        said,
        "--endpoints=https://x --cacert a --cert=b --key c get k\n"
    );
    let said = etcdctl("ETCDCTL_ENDPOINTS=https://y", "get k");
    assert!(said.contains("ETCDCTL_ENDPOINTS=https://y\n"), "{said}");
    // After `--` there are no flags: a key may be called --cert.
    let said = etcdctl("", "get -- --cert");
    assert!(said.contains("ETCDCTL_CERT="), "{said}");
}

#[test]
fn admin_environment_points_at_its_own_directory() {
    let recipe = vm_3node();
    let bundle = with(&recipe, |composer| composer.admin().unwrap());
    let desk = desk(&bundle);
    let here = fs::canonicalize(desk.path()).unwrap();
    let line = ". ./env && echo $ETCDCTL_KEY && test -r $ETCDCTL_KEY";
    let expected = format!("{}/client.key\n", here.display());
    assert_eq!(ok(&here, "sh", &["-c", line]), expected);
    let line = format!(". {}/env && echo $ETCDCTL_KEY", here.display());
    assert_eq!(ok(Path::new("/"), "bash", &["-c", &line]), expected);
}

/// The private scalar of the authority, and its key's text, as they could appear in a file.
fn needles(recipe: &Recipe) -> Vec<Vec<u8>> {
    let pem = with(recipe, |composer| {
        composer
            .authority()
            .expose_key()
            .unwrap()
            .expose()
            .to_owned()
    });
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD
        .decode(&body)
        .unwrap();
    // PKCS #8 around SEC 1: the 32 bytes follow OCTET STRING (04) of length 32.
    let at = der
        .windows(2)
        .position(|pair| pair == [0x04, 0x20])
        .unwrap()
        + 2;
    let scalar = der[at..at + 32].to_vec();
    let hex: String = scalar.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = pem.lines().nth(2).unwrap();
    vec![scalar, hex.into_bytes(), line.as_bytes().to_vec()]
}

#[test]
fn the_authority_s_key_is_nowhere() {
    for recipe in [vm_3node(), pi_2node()] {
        let needles = needles(&recipe);
        let mut trees = layers(&recipe);
        trees.push((
            "admin".into(),
            with(&recipe, |composer| composer.admin().unwrap()),
        ));
        let contains = |hay: &[u8]| {
            needles
                .iter()
                .any(|needle| hay.windows(needle.len()).any(|window| window == needle))
        };
        for (name, tree) in &trees {
            for (path, entry) in tree.iter() {
                let Kind::File(body) = &entry.kind else {
                    continue;
                };
                let mut hay = body.bytes().to_vec();
                for block in String::from_utf8_lossy(body.bytes()).split("-----") {
                    let packed: String = block.split_whitespace().collect();
                    let decoded = base64::engine::general_purpose::STANDARD.decode(packed);
                    hay.extend(decoded.unwrap_or_default());
                }
                assert!(!contains(&hay), "{name}: /{path} holds the authority's key");
            }
        }
        // The search itself must be able to find it.
        let key = with(&recipe, |composer| {
            composer.authority().expose_key().unwrap()
        });
        assert!(contains(key.expose().as_bytes()));
    }
}

#[test]
fn private_files_are_private() {
    for recipe in [vm_3node(), pi_2node()] {
        for (name, tree) in layers(&recipe) {
            for (path, entry) in tree.iter() {
                if let Kind::File(body) = &entry.kind
                    && String::from_utf8_lossy(body.bytes()).contains("PRIVATE KEY")
                {
                    assert_eq!(entry.meta.mode, 0o600, "{name}: /{path}");
                }
            }
        }
    }
}

#[test]
fn equal_inputs_give_equal_bytes() {
    for recipe in [vm_3node(), pi_2node()] {
        let digests = || {
            let all = layers(&recipe);
            all.iter()
                .map(|(_, tree)| tree.digest())
                .collect::<Vec<_>>()
        };
        assert_eq!(digests(), digests());
        with(&recipe, |composer| {
            let tree = composer.node(&recipe.nodes[0], &below()).unwrap();
            assert_ne!(composer.seal(&tree), tree.digest());
            assert_eq!(composer.seal(&tree), composer.seal(&tree));
        });
    }
}

#[test]
fn a_changed_address_changes_what_it_must() {
    let before = layers(&vm_3node());
    let mut recipe = vm_3node();
    recipe.nodes[0].address = "10.0.2.99".parse().unwrap();
    let after = layers(&recipe);
    let changed = |index: usize| -> Vec<String> {
        let (old, new): (&Tree, &Tree) = (&before[index].1, &after[index].1);
        new.iter()
            .filter(|(path, entry)| old.get(path) != Some(entry))
            .map(|(path, _)| path.to_string())
            .collect()
    };
    assert_eq!(
        changed(1),
        ["etc/etcd/etcd.conf.yml", "etc/hosts"],
        "of another node"
    );
    assert_eq!(
        changed(0),
        [
            "etc/etcd/etcd.conf.yml",
            "etc/hosts",
            "etc/kubernetes/pki/etcd/peer.crt",
            "etc/kubernetes/pki/etcd/server.crt",
            "etc/systemd/network/10-eth0.network",
            "usr/local/sbin/etcdctl",
        ]
    );
}

#[test]
fn the_clock_s_floor() {
    let mut tree = layers(&vm_3node()).remove(0).1;
    assert_eq!(check_clock(&tree), Ok(()));
    let floor = TreePath::new(CLOCK_FLOOR).unwrap();
    let mut at = |seconds: u32| {
        let meta = Meta::root(0o644, Epoch::from_u32(seconds));
        tree.put_file(floor.clone(), meta, "");
        check_clock(&tree)
    };
    // Certificates start a day before the lock's epoch and end 365 days after it.
    assert_eq!(at(NOW - 86_400), Ok(()));
    assert!(matches!(
        at(NOW - 86_401),
        Err(ClockError::NotYetValid { .. })
    ));
    assert!(matches!(
        at(NOW + 366 * 86_400),
        Err(ClockError::Expired { .. })
    ));
    tree.remove(&floor);
    assert_eq!(check_clock(&tree), Err(ClockError::NoFloor));
}

#[test]
fn unfit_directories_are_refused() {
    let fails = |change: &dyn Fn(&mut Recipe)| {
        let mut recipe = vm_3node();
        change(&mut recipe);
        with(&recipe, |composer| {
            composer.node(&recipe.nodes[0], &below()).err().unwrap()
        })
    };
    assert!(matches!(
        fails(&|recipe| recipe.nodes[0].etcd.data_dir = "var/my data".parse().unwrap()),
        ComposeError::Path(_, "the data directory")
    ));
    assert!(matches!(
        fails(&|recipe| recipe.nodes[0].etcd.data_dir = "srv/etcd".parse().unwrap()),
        ComposeError::DataDirectory(_)
    ));
    assert!(matches!(
        fails(&|recipe| recipe.nodes[0].etcd.bin_dir = "usr/local/sbin".parse().unwrap()),
        ComposeError::BinDirectory(_)
    ));
}

#[test]
fn the_summary_s_facts() {
    with(&pi_2node(), |composer| {
        let facts = composer.facts().unwrap();
        assert_eq!(facts.quorum.tolerance(), 0);
        assert_eq!(facts.warnings.len(), 1);
        assert_eq!(
            facts.certificates_until,
            Epoch::from_u32(NOW + 365 * 86_400)
        );
    });
}
