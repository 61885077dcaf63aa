//! Authorities that OpenSSL made, brought by the user.

use super::*;

/// Has OpenSSL make an authority; `key` are the arguments of its key.
fn foreign_authority(desk: &Desk, key: &str, subject: &str, extensions: &str) {
    ok(desk, &format!("openssl genpkey -out own.key {key}"));
    let line = format!(
        "openssl req -x509 -new -key own.key -out own.crt -days 3000 -subj {subject} {extensions}"
    );
    ok(desk, &line);
}

const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const P384: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";
const CA: &str = "-addext keyUsage=critical,keyCertSign,cRLSign";

fn bring(desk: &Desk) -> Result<Authority, BringError> {
    let read = |name: &str| fs::read_to_string(desk.path().join(name)).unwrap();
    Authority::bring(&read("own.crt"), &read("own.key"), Epoch::from_u32(NOW))
}

fn refusal(desk: &Desk) -> BringError {
    bring(desk).err().expect("must be refused")
}

#[test]
fn a_brought_authority_signs() {
    for (key, subject, convert) in [
        (P256, "/C=CH/O=Example/OU=Ops/CN=Own-CA", None),
        (
            P256,
            "/CN=Own-CA",
            Some("openssl ec -in own.key -out own.key"),
        ),
        (RSA, "/CN=Own-CA", None),
        (
            RSA,
            "/CN=Own-CA",
            Some("openssl rsa -traditional -in own.key -out own.key"),
        ),
        ("-algorithm ED25519", "/CN=Own-CA", None),
    ] {
        let desk = Desk::new();
        foreign_authority(&desk, key, subject, CA);
        if let Some(line) = convert {
            ok(&desk, line);
        }
        let ca = bring(&desk).unwrap();
        let issued = ca.issue(&secret(), &leaf_of(&ca)).unwrap();
        assert!(
            issued.chain.is_empty(),
            "a self-signed authority is trusted itself"
        );
        desk.put("leaf.crt", &issued.pem());
        let from = start(&ca).seconds();
        let line = format!("openssl verify -x509_strict -attime {from} -CAfile own.crt leaf.crt");
        ok(&desk, &line);
    }
}

/// OpenSSL dates an authority by this machine's clock; from then on it may sign.
fn start(ca: &Authority) -> Epoch {
    ca.certificate().validity().not_before()
}

fn leaf_of(ca: &Authority) -> LeafSpec {
    let from = start(ca);
    let wanted = Validity::starting(from, 365).unwrap();
    let mut spec = leaf(Usage::ServerAndClient);
    spec.validity = wanted.not_before_that_of(ca.certificate().validity());
    assert_eq!(spec.validity.not_before(), from);
    spec
}

/// A root and, signed by it, the authority that is brought; extensions of each.
fn intermediate(desk: &Desk, root: &str, own: &str) {
    foreign_authority(desk, RSA, "/CN=Root", root);
    for kind in ["key", "crt"] {
        let (from, to) = (format!("own.{kind}"), format!("root.{kind}"));
        fs::rename(desk.path().join(from), desk.path().join(to)).unwrap();
    }
    ok(desk, &format!("openssl genpkey -out own.key {P256}"));
    ok(
        desk,
        "openssl req -new -key own.key -out own.csr -subj /CN=Own-CA",
    );
    let text = format!("subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n{own}\n");
    desk.put("own.ext", &text);
    ok(
        desk,
        "openssl x509 -req -in own.csr -CA root.crt -CAkey root.key -CAcreateserial -days 2000 \
         -extfile own.ext -out own.crt",
    );
    let read = |name: &str| fs::read_to_string(desk.path().join(name)).unwrap();
    desk.put("own.crt", &(read("own.crt") + &read("root.crt")));
}

const OWN: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign";

#[test]
fn an_intermediate_authority_is_shown_along() {
    let desk = Desk::new();
    intermediate(&desk, CA, OWN);
    let ca = bring(&desk).unwrap();
    let issued = ca.issue(&secret(), &leaf_of(&ca)).unwrap();
    let names: Vec<&str> = issued.chain.iter().map(Certificate::subject).collect();
    assert_eq!(names, ["CN=Own-CA"], "the root is everybody's own");
    desk.put("shown.crt", &issued.pem());
    let from = start(&ca).seconds();
    // Who trusts only the root is shown what lies between.
    let line = format!(
        "openssl verify -x509_strict -attime {from} -CAfile root.crt -untrusted shown.crt shown.crt"
    );
    ok(&desk, &line);
    // Who trusts the issuing authority, as etcd does, needs nothing else.
    desk.put("ca.crt", ca.certificate().pem());
    let line = format!(
        "openssl verify -x509_strict -partial_chain -attime {from} -CAfile ca.crt shown.crt"
    );
    ok(&desk, &line);
}

#[test]
fn a_chain_must_hold_together() {
    let desk = Desk::new();
    let narrow = "-addext basicConstraints=critical,CA:TRUE,pathlen:0 \
                  -addext keyUsage=critical,keyCertSign";
    intermediate(&desk, narrow, OWN);
    let refused = refusal(&desk);
    assert!(
        matches!(
            &refused,
            BringError::PathLength {
                allowed: 0,
                below: 1,
                ..
            }
        ),
        "{refused}"
    );

    intermediate(&desk, CA, OWN);
    let read = |desk: &Desk, name: &str| fs::read_to_string(desk.path().join(name)).unwrap();
    let own = Certificate::parse_all(&read(&desk, "own.crt")).unwrap();
    let other = Desk::new();
    foreign_authority(&other, P256, "/CN=Root", CA);
    desk.put(
        "own.crt",
        &(own[0].pem().to_owned() + &read(&other, "own.crt")),
    );
    let refused = refusal(&desk);
    assert!(
        matches!(&refused, BringError::Chain { issuer, .. } if issuer == "CN=Root"),
        "{refused}"
    );
}

#[test]
fn a_brought_authority_must_fit() {
    let desk = Desk::new();
    foreign_authority(&desk, P256, "/CN=a", CA);
    let other = Desk::new();
    foreign_authority(&other, P256, "/CN=a", CA);
    fs::copy(other.path().join("own.key"), desk.path().join("own.key")).unwrap();
    assert!(matches!(refusal(&desk), BringError::Mismatch(_)));

    foreign_authority(&desk, P256, "/CN=a", "-addext keyUsage=digitalSignature");
    assert!(matches!(refusal(&desk), BringError::MayNotSign(_)));

    let leaf = "-addext basicConstraints=critical,CA:FALSE";
    foreign_authority(&desk, P256, "/CN=a", leaf);
    assert!(matches!(refusal(&desk), BringError::NotAuthority(_)));

    foreign_authority(&desk, P256, "/OU=a/OU=b/CN=c", CA);
    assert!(matches!(refusal(&desk), BringError::Name(_)));

    foreign_authority(&desk, P256, "/CN=a", CA);
    let read = |name: &str| fs::read_to_string(desk.path().join(name)).unwrap();
    let late = Epoch::from_u32(4_200_000_000);
    assert!(matches!(
        Authority::bring(&read("own.crt"), &read("own.key"), late),
        Err(BringError::Expired { now, .. }) if now == late
    ));

    for (key, name) in [
        (P384, "an EC key on another curve"),
        (
            "-algorithm RSA -pkeyopt rsa_keygen_bits:1024",
            "an RSA key with 1024 bits",
        ),
        ("-algorithm X25519", "of algorithm 1.3.101.110"),
    ] {
        ok(&desk, &format!("openssl genpkey -out own.key {key}"));
        let expected = BringError::Key(KeyError::Kind(name.into()));
        assert_eq!(refusal(&desk), expected);
    }

    let encrypt = "openssl pkey -in own.key -aes256 -passout pass:x -out locked.key";
    foreign_authority(&desk, P256, "/CN=a", CA);
    ok(&desk, encrypt);
    fs::rename(desk.path().join("locked.key"), desk.path().join("own.key")).unwrap();
    assert_eq!(refusal(&desk), BringError::Key(KeyError::Encrypted));
}
