//! OpenSSL and OpenSSH read what this crate writes. A missing judge fails the test.

#![allow(clippy::unwrap_used)]

mod brought;

use fs_err as fs;
use imgbuild_base::Epoch;
use imgbuild_pki::*;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const NOW: u32 = 1_780_000_000;

/// A directory of files for the judges.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Whether the command succeeded, and all it said.
fn run(desk: &Desk, line: &str) -> (bool, String) {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap();
    let output = Command::new(program)
        .args(words)
        .current_dir(desk.path())
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed to judge: {error}"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// What the command said; it must succeed.
fn ok(desk: &Desk, line: &str) -> String {
    let (success, said) = run(desk, line);
    assert!(success, "{line}: {said}");
    said
}

fn secret() -> ClusterSecret {
    ClusterSecret::from_bytes([42; 32])
}

fn validity(days: u32) -> Validity {
    Validity::starting(Epoch::from_u32(NOW), days).unwrap()
}

fn authority() -> Authority {
    authority_of(KeyKind::P256)
}

fn authority_of(kind: KeyKind) -> Authority {
    let spec = AuthoritySpec {
        label: KeyLabel::new(["ca", "etcd"]),
        common_name: "etcd-ca".into(),
        kind,
        generation: 1,
        validity: validity(3650),
    };
    Authority::derive(&secret(), &spec).unwrap()
}

fn leaf(usage: Usage) -> LeafSpec {
    LeafSpec {
        label: KeyLabel::new(["etcd", "server", "controller-0"]),
        common_name: "controller-0".into(),
        organisation: None,
        names: vec![
            AltName::Dns("controller-0".into()),
            AltName::Dns("localhost".into()),
            AltName::Ip("192.168.1.20".parse().unwrap()),
            AltName::Ip("127.0.0.1".parse().unwrap()),
            AltName::Ip("::1".parse().unwrap()),
        ],
        usage,
        kind: KeyKind::P256,
        generation: 1,
        validity: validity(365),
    }
}

fn lay_out(ca: &Authority, usage: Usage) -> Desk {
    let desk = Desk::new();
    let issued = ca.issue(&secret(), &leaf(usage)).unwrap();
    desk.put("ca.crt", ca.certificate().pem());
    desk.put("leaf.crt", issued.certificate.pem());
    desk.put("leaf.key", issued.key.expose());
    desk
}

fn verify(desk: &Desk, extra: &str) -> (bool, String) {
    let line = format!(
        "openssl verify -x509_strict -check_ss_sig -attime {NOW} -CAfile ca.crt {extra} leaf.crt"
    );
    run(desk, &line)
}

#[test]
fn openssl_verifies_strictly() {
    let desk = lay_out(&authority(), Usage::ServerAndClient);
    for extra in [
        "",
        "-purpose sslserver",
        "-purpose sslclient",
        "-verify_hostname controller-0",
        "-verify_ip 192.168.1.20",
        "-verify_ip ::1",
    ] {
        let (success, said) = verify(&desk, extra);
        assert!(success, "{extra}: {said}");
    }
    for extra in ["-verify_hostname controller-1", "-verify_ip 192.168.1.21"] {
        assert!(!verify(&desk, extra).0, "{extra}");
    }
    ok(&desk, "openssl verify -x509_strict -CAfile ca.crt ca.crt");
}

#[test]
fn openssl_keeps_usages_apart() {
    for (usage, server, client) in [
        (Usage::Server, true, false),
        (Usage::Client, false, true),
        (Usage::ServerAndClient, true, true),
    ] {
        let desk = lay_out(&authority(), usage);
        assert_eq!(verify(&desk, "-purpose sslserver").0, server, "{usage:?}");
        assert_eq!(verify(&desk, "-purpose sslclient").0, client, "{usage:?}");
    }
}

#[test]
fn validity_is_judged() {
    let desk = lay_out(&authority(), Usage::Server);
    let at = |time: u64| {
        let line = format!("openssl verify -x509_strict -attime {time} -CAfile ca.crt leaf.crt");
        run(&desk, &line)
    };
    let now = u64::from(NOW);
    assert!(at(now - BACKDATED_SECONDS).0);
    assert!(at(now + 365 * 86_400 - 1).0);
    assert!(at(now - BACKDATED_SECONDS - 1).1.contains("not yet valid"));
    assert!(at(now + 365 * 86_400 + 1).1.contains("expired"));
}

#[test]
fn openssl_shows_the_fields() {
    let desk = lay_out(&authority(), Usage::ServerAndClient);
    let text = ok(&desk, "openssl x509 -noout -text -in leaf.crt");
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "Version: 3 (0x2)",
        "Signature Algorithm: ecdsa-with-SHA256",
        "Issuer: CN = etcd-ca",
        "Not Before: May 27 20:26:40 2026 GMT",
        "Not After : May 28 20:26:40 2027 GMT",
        "Subject: CN = controller-0",
        "ASN1 OID: prime256v1",
        "X509v3 Key Usage: critical Digital Signature X509v3",
        "X509v3 Extended Key Usage: TLS Web Server Authentication, TLS Web Client Authentication",
        "X509v3 Basic Constraints: critical CA:FALSE",
        "X509v3 Subject Alternative Name: DNS:controller-0, DNS:localhost, \
         IP Address:192.168.1.20, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
    ] {
        assert!(flat.contains(expected), "{expected:?} is not in {text}");
    }
    let ca = ok(&desk, "openssl x509 -noout -text -in ca.crt");
    let ca = ca.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "X509v3 Basic Constraints: critical CA:TRUE, pathlen:0",
        "X509v3 Key Usage: critical Digital Signature, Certificate Sign, CRL Sign",
        "Not After : May 25 20:26:40 2036 GMT",
    ] {
        assert!(ca.contains(expected), "{expected:?} is not in {ca}");
    }
    let id = |name: &str, file: &str| {
        let line = format!("openssl x509 -noout -ext {name} -in {file}");
        ok(&desk, &line).lines().last().unwrap().trim().to_owned()
    };
    assert_eq!(
        id("authorityKeyIdentifier", "leaf.crt"),
        id("subjectKeyIdentifier", "ca.crt")
    );
    let serial = ok(&desk, "openssl x509 -noout -serial -in leaf.crt");
    assert_eq!(serial.trim().len(), "serial=".len() + 40, "{serial}");
}

#[test]
fn every_kind_of_key() {
    for (kind, signature, key, usage) in [
        (
            KeyKind::Rsa2048,
            "sha256WithRSAEncryption",
            "RSA Public-Key: (2048 bit)",
            "Digital Signature, Key Encipherment",
        ),
        (
            KeyKind::Rsa4096,
            "sha256WithRSAEncryption",
            "RSA Public-Key: (4096 bit)",
            "Digital Signature, Key Encipherment",
        ),
        (
            KeyKind::Ed25519,
            "ED25519",
            "ED25519 Public-Key:",
            "Digital Signature",
        ),
    ] {
        let desk = Desk::new();
        let ca = authority_of(kind);
        let spec = LeafSpec {
            kind,
            ..leaf(Usage::ServerAndClient)
        };
        let issued = ca.issue(&secret(), &spec).unwrap();
        assert_eq!(issued.pem(), issued.certificate.pem());
        desk.put("ca.crt", ca.certificate().pem());
        desk.put("leaf.crt", &issued.pem());
        desk.put("leaf.key", issued.key.expose());
        for extra in ["-purpose sslserver", "-purpose sslclient", "-verify_ip ::1"] {
            let (success, said) = verify(&desk, extra);
            assert!(success, "{kind:?} {extra}: {said}");
        }
        let text = ok(&desk, "openssl x509 -noout -text -in leaf.crt");
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let flat = flat.replace("Public-Key: (", "RSA Public-Key: (");
        let flat = flat.replace("RSA RSA", "RSA");
        for expected in [
            signature,
            key,
            &format!("X509v3 Key Usage: critical {usage} X509v3"),
        ] {
            assert!(flat.contains(expected), "{expected:?} is not in {text}");
        }
        let said = ok(&desk, "openssl pkey -check -noout -in leaf.key");
        assert!(said.contains("Key is valid"), "{said}");
        assert_eq!(
            ok(&desk, "openssl pkey -pubout -in leaf.key"),
            ok(&desk, "openssl x509 -pubkey -noout -in leaf.crt")
        );
        let again = authority_of(kind).issue(&secret(), &spec).unwrap();
        assert_eq!(again.key.expose(), issued.key.expose());
        assert_eq!(again.pem(), issued.pem());
        // Kinds may be mixed.
        let mixed = ca.issue(&secret(), &leaf(Usage::Server)).unwrap();
        desk.put("leaf.crt", &mixed.pem());
        assert!(verify(&desk, "-purpose sslserver").0);
    }
}

#[test]
fn openssl_takes_the_key() {
    let desk = lay_out(&authority(), Usage::Client);
    let said = ok(&desk, "openssl pkey -check -noout -in leaf.key");
    assert!(said.contains("Key is valid"), "{said}");
    assert_eq!(
        ok(&desk, "openssl pkey -pubout -in leaf.key"),
        ok(&desk, "openssl x509 -pubkey -noout -in leaf.crt")
    );
}

#[test]
fn equal_inputs_give_equal_bytes() {
    let make = || {
        let ca = authority();
        let issued = ca.issue(&secret(), &leaf(Usage::Server)).unwrap();
        (
            ca.certificate().pem().to_owned(),
            issued.certificate.pem().to_owned(),
            issued.key.expose().to_owned(),
        )
    };
    assert_eq!(make(), make());
}

#[test]
fn a_different_certificate_has_a_different_serial() {
    let desk = Desk::new();
    let ca = authority();
    let mut serials = std::collections::BTreeSet::new();
    let base = leaf(Usage::Server);
    let mut variants = vec![base.clone()];
    variants.push(LeafSpec {
        generation: 2,
        ..base.clone()
    });
    variants.push(LeafSpec {
        validity: validity(30),
        ..base.clone()
    });
    variants.push(LeafSpec {
        usage: Usage::Client,
        ..base.clone()
    });
    variants.push(LeafSpec {
        names: base.names[1..].to_vec(),
        ..base.clone()
    });
    variants.push(LeafSpec {
        organisation: Some("ops".into()),
        ..base
    });
    let count = variants.len();
    for spec in variants {
        let issued = ca.issue(&secret(), &spec).unwrap();
        desk.put("x.crt", issued.certificate.pem());
        serials.insert(ok(&desk, "openssl x509 -noout -serial -in x.crt"));
    }
    assert_eq!(serials.len(), count);
}

#[test]
fn a_renewed_authority_still_vouches_for_old_certificates() {
    let desk = lay_out(&authority(), Usage::Server);
    let later = Epoch::from_u32(NOW + 200 * 86_400);
    let renewed = Authority::derive(
        &secret(),
        &AuthoritySpec {
            label: KeyLabel::new(["ca", "etcd"]),
            common_name: "etcd-ca".into(),
            kind: KeyKind::P256,
            generation: 1,
            validity: Validity::starting(later, 3650).unwrap(),
        },
    )
    .unwrap();
    desk.put("ca.crt", renewed.certificate().pem());
    let line = format!(
        "openssl verify -x509_strict -attime {} -CAfile ca.crt leaf.crt",
        later.seconds()
    );
    ok(&desk, &line);
}

#[test]
fn another_generation_is_another_authority() {
    let desk = lay_out(&authority(), Usage::Server);
    let next = Authority::derive(
        &secret(),
        &AuthoritySpec {
            label: KeyLabel::new(["ca", "etcd"]),
            common_name: "etcd-ca".into(),
            kind: KeyKind::P256,
            generation: 2,
            validity: validity(3650),
        },
    )
    .unwrap();
    desk.put("ca.crt", next.certificate().pem());
    assert!(!verify(&desk, "").0);
}

#[test]
fn refuses_unfit_specifications() {
    let ca = authority();
    let issue = |change: &dyn Fn(&mut LeafSpec)| {
        let mut spec = leaf(Usage::Server);
        change(&mut spec);
        ca.issue(&secret(), &spec).err().unwrap()
    };
    assert!(matches!(
        issue(&|spec| spec.common_name = "x".repeat(65)),
        IssueError::CommonName(_, 65)
    ));
    assert!(matches!(
        issue(&|spec| spec.common_name.clear()),
        IssueError::CommonName(_, 0)
    ));
    assert!(matches!(
        issue(&|spec| spec.names.push(AltName::Dns("zürich".into()))),
        IssueError::AltName(name) if name == "zürich"
    ));
    assert!(matches!(
        issue(&|spec| spec.validity = validity(4000)),
        IssueError::OutsideAuthority { .. }
    ));
}

#[test]
fn openssh_takes_the_host_key() {
    let desk = Desk::new();
    let label = KeyLabel::new(["ssh", "n1"]);
    let make = || HostKey::derive(&secret(), &label, "root@n1").unwrap();
    let key = make();
    desk.put("key", key.private().expose());
    desk.put("key.pub", &format!("{}\n", key.public()));
    let public = ok(&desk, "ssh-keygen -y -f key");
    assert_eq!(public.trim(), key.public());
    let listed = ok(&desk, "ssh-keygen -l -f key.pub");
    assert!(listed.starts_with("256 SHA256:"), "{listed}");
    assert!(listed.trim_end().ends_with("root@n1 (ED25519)"), "{listed}");
    assert_eq!(make().private().expose(), key.private().expose());

    desk.put("known_hosts", &key.known_hosts_line(&["n1", "10.0.0.1"]));
    let found = ok(&desk, "ssh-keygen -F 10.0.0.1 -f known_hosts");
    assert!(found.contains("n1,10.0.0.1 ssh-ed25519 AAAA"), "{found}");
}
