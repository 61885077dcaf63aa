//! Signatures: Debian's own, and those of keys made on the spot.

// Helpers of tests may unwrap as the tests do.
#![allow(clippy::unwrap_used)]

use imgbuild_base::{Arch, Digest, Epoch};
use imgbuild_debian::index::IndexError;
use imgbuild_debian::lock::{Component, SuiteName};
use imgbuild_debian::release::{Keyring, KeyringError, Release, ReleaseError, verify_inrelease};
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{Password, SigningKey, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::process::Command;

const UPDATES: &str = "tests/data/trixie-updates.InRelease";
/// 2026-11-20, a day after the fixture.
const NOW: Epoch = Epoch::from_u32(1_795_187_000);

fn suite(text: &str) -> SuiteName {
    text.parse().unwrap()
}

fn updates() -> Vec<u8> {
    fs_err::read(UPDATES).unwrap()
}

fn verify(bytes: &[u8], now: Epoch) -> Result<Release, ReleaseError> {
    verify_inrelease(
        bytes,
        &Keyring::builtin().unwrap(),
        now,
        &suite("trixie-updates"),
    )
}

#[test]
fn debian_signed_it() {
    let release = verify(&updates(), NOW).unwrap();
    let by: Vec<&str> = release
        .signed_by()
        .iter()
        .map(|print| print.as_str())
        .collect();
    // The same two good signatures that gpgv reports.
    assert_eq!(
        by,
        [
            "04b54c3cdca79751b16bc6b5225629df75b188bd",
            "b8b80b5b623eab6ad8775c45b7c5d7d6350947f8"
        ]
    );
    assert_eq!(release.date().seconds(), 1_795_054_374);
    assert_eq!(release.valid_until().unwrap().seconds(), 1_795_659_174);
    assert_eq!(release.field("Codename"), Some("trixie-updates"));
    let main: Component = "main".parse().unwrap();
    let index = release.index(&main, Arch::Arm64).unwrap();
    assert_eq!(index.path, "main/binary-arm64/Packages.xz");
    assert_eq!(
        index.by_hash,
        format!("main/binary-arm64/by-hash/SHA256/{}", index.sha256)
    );
    assert!(!index.not_automatic);
    let error = release
        .index(&"nonsense".parse().unwrap(), Arch::Arm64)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("main contrib non-free-firmware non-free")
    );
    assert!(matches!(
        index.verify(b"other"),
        Err(IndexError::Mismatch { found_size: 5, .. })
    ));
}

#[test]
fn one_changed_byte_is_enough() {
    let whole = updates();
    let text = |needle: &str| {
        let at = whole
            .windows(needle.len())
            .position(|w| w == needle.as_bytes());
        at.unwrap() + needle.len()
    };
    let signature = text("-----BEGIN PGP SIGNATURE-----\n\n");
    let header = text("Date: ");
    for at in [header, text("SHA256:\n ") + 3] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let result = verify(&bytes, NOW);
        assert!(
            matches!(result, Err(ReleaseError::Untrusted { signatures: 2, .. })),
            "byte {at}"
        );
    }
    // A damaged signature no longer counts; what is left of the other one may.
    let mut bytes = whole.clone();
    bytes[signature + 200] ^= 1;
    let left = verify(&bytes, NOW).map(|release| release.signed_by().len());
    assert!(!matches!(left, Ok(2)));
    // Nothing unsigned gets in: neither before nor after the signed text.
    let before = [b"Origin: Me\n".as_slice(), &whole].concat();
    assert!(verify(&before, NOW).is_err());
    let after = [whole.as_slice(), b"Origin: Me\n"].concat();
    assert!(verify(&after, NOW).is_err());
    assert!(matches!(
        verify(b"Origin: Debian\n", NOW),
        Err(ReleaseError::Malformed(_))
    ));
}

#[test]
fn time_and_suite_are_judged() {
    let bytes = updates();
    let late = Epoch::from_u32(1_795_659_175);
    assert!(matches!(
        verify(&bytes, late),
        Err(ReleaseError::Expired { until, .. }) if until == "Thu, 26 Nov 2026 02:12:54 UTC"
    ));
    // Before the signatures were made they say nothing.
    let early = Epoch::from_u32(1_795_000_000);
    assert!(matches!(
        verify(&bytes, early),
        Err(ReleaseError::Untrusted { .. })
    ));
    // After the last key has expired, too.
    let never = Epoch::from_u32(2_100_000_000);
    assert!(matches!(
        verify(&bytes, never),
        Err(ReleaseError::Untrusted { .. })
    ));
    let keys = Keyring::builtin().unwrap();
    assert!(verify_inrelease(&bytes, &keys, NOW, &suite("stable-updates")).is_ok());
    assert!(matches!(
        verify_inrelease(&bytes, &keys, NOW, &suite("trixie")),
        Err(ReleaseError::Suite { codename, .. }) if codename == "trixie-updates"
    ));
}

/// gpgv, with the very keys that are built in, comes to the same verdict.
#[test]
fn gpgv_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let ring = dir.path().join("ring.pgp");
    let mut keys = Vec::new();
    for name in ["trixie-automatic", "bookworm-automatic"] {
        let armored = fs_err::read(format!("keys/{name}.asc")).unwrap();
        let mut raw = Vec::new();
        let mut dearmor = pgp::armor::Dearmor::new(armored.as_slice());
        std::io::Read::read_to_end(&mut dearmor, &mut raw).unwrap();
        keys.extend(raw);
    }
    fs_err::write(&ring, keys).unwrap();
    let verdict = |file: &std::path::Path| {
        let status = Command::new("gpgv")
            .arg("--keyring")
            .arg(&ring)
            .arg(file)
            .output();
        status.unwrap().status.success()
    };
    assert!(verdict(UPDATES.as_ref()));
    let mut bytes = updates();
    bytes[200] ^= 1;
    let changed = dir.path().join("changed");
    fs_err::write(&changed, &bytes).unwrap();
    assert!(!verdict(&changed));
    assert!(verify(&bytes, NOW).is_err());
}

/// A key whose subkey signs, as the archive's automatic keys do.
fn own_key(seed: u64) -> SignedSecretKey {
    let made = Timestamp::from_secs(1_700_000_000);
    let subkey = SubkeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .created_at(made)
        .build()
        .unwrap();
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(false)
        .created_at(made)
        .primary_user_id("Test mirror <mirror@example.org>".into())
        .subkey(subkey)
        .build()
        .unwrap()
        .generate(StdRng::seed_from_u64(seed))
        .unwrap()
}

fn ring(key: &SignedSecretKey) -> Keyring {
    let armored = key
        .to_public_key()
        .to_armored_bytes(ArmorOptions::default())
        .unwrap();
    Keyring::from_armored(&armored).unwrap()
}

/// Far after this machine's clock, which rPGP puts into the keys it makes.
const FAR: Epoch = Epoch::from_u32(4_000_000_000);

fn sign(text: &str, key: &impl SigningKey, hash: HashAlgorithm) -> Vec<u8> {
    let mut config = SignatureConfig::v4(SignatureType::Text, key.algorithm(), hash);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(
            3_900_000_000,
        )))
        .unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).unwrap(),
    ];
    CleartextSignedMessage::new(text, config, key, &Password::empty())
        .unwrap()
        .to_armored_bytes(ArmorOptions::default())
        .unwrap()
}

fn text(until: &str) -> String {
    let digest = Digest::of(b"x");
    format!(
        "Suite: own\nDate: Tue, 1 Jan 2030 00:00:00 UTC\n{until}SHA256:\n \
         {digest} 1 main/binary-amd64/Packages.xz\n"
    )
}

#[test]
fn an_own_mirror_can_be_trusted() {
    let key = own_key(1);
    let signer = &key.secret_subkeys[0].key;
    let signed = sign(&text(""), signer, HashAlgorithm::Sha256);
    let release = verify_inrelease(&signed, &ring(&key), FAR, &suite("own")).unwrap();
    let index = release
        .index(&"main".parse().unwrap(), Arch::Amd64)
        .unwrap();
    assert_eq!(index.by_hash, index.path, "no by-hash unless announced");
    // Another key, or the built-in ones, do not vouch for it.
    for keys in [ring(&own_key(2)), Keyring::builtin().unwrap()] {
        assert!(matches!(
            verify_inrelease(&signed, &keys, FAR, &suite("own")),
            Err(ReleaseError::Untrusted { signatures: 1, .. })
        ));
    }
}

#[test]
fn a_key_may_only_do_what_it_says() {
    let key = own_key(1);
    let (keys, own) = (ring(&key), suite("own"));
    // The primary key certifies and does not sign.
    let by_primary = sign(&text(""), &key.primary_key, HashAlgorithm::Sha256);
    assert!(matches!(
        verify_inrelease(&by_primary, &keys, FAR, &own),
        Err(ReleaseError::Untrusted { .. })
    ));
    // A subkey without its binding is nobody's.
    let mut stranger = key.to_public_key();
    stranger.public_subkeys[0].signatures = own_key(3).to_public_key().public_subkeys[0]
        .signatures
        .clone();
    let armored = stranger.to_armored_bytes(ArmorOptions::default()).unwrap();
    let keys = Keyring::from_armored(&armored).unwrap();
    let signed = sign(&text(""), &key.secret_subkeys[0].key, HashAlgorithm::Sha256);
    assert!(matches!(
        verify_inrelease(&signed, &keys, FAR, &own),
        Err(ReleaseError::Untrusted { .. })
    ));
}

#[test]
fn every_byte_that_was_signed_matters() {
    let key = own_key(1);
    let keys = ring(&key);
    let signed = sign(&text(""), &key.secret_subkeys[0].key, HashAlgorithm::Sha256);
    let shown = String::from_utf8(signed.clone()).unwrap();
    let body = shown.find("Suite:").unwrap()..shown.find("\n-----BEGIN PGP SIG").unwrap();
    // The armour's last line holds padding bits and a checksum: they sign nothing.
    let begin = shown.find("SIGNATURE-----\n\n").unwrap() + 16;
    let end = begin + shown[begin..].find('\n').unwrap();
    for at in body.chain(begin..end) {
        let mut bytes = signed.clone();
        bytes[at] ^= 1;
        assert!(
            verify_inrelease(&bytes, &keys, FAR, &suite("own")).is_err(),
            "byte {at}"
        );
    }
}

#[test]
fn weak_hashes_do_not_count() {
    let key = SecretKeyParamsBuilder::default()
        .key_type(KeyType::Rsa(2048))
        .can_certify(true)
        .can_sign(true)
        .created_at(Timestamp::from_secs(1_700_000_000))
        .primary_user_id("Old mirror <mirror@example.org>".into())
        .build()
        .unwrap()
        .generate(StdRng::seed_from_u64(4))
        .unwrap();
    let judge = |hash| {
        let signed = sign(&text(""), &key.primary_key, hash);
        verify_inrelease(&signed, &ring(&key), FAR, &suite("own"))
    };
    assert!(judge(HashAlgorithm::Sha256).is_ok());
    for weak in [HashAlgorithm::Sha1, HashAlgorithm::Sha224] {
        assert!(matches!(judge(weak), Err(ReleaseError::Untrusted { .. })));
    }
}

#[test]
fn dates_of_a_signed_release_are_read_exactly() {
    let key = own_key(1);
    let check = |text: &str| {
        let signed = sign(text, &key.secret_subkeys[0].key, HashAlgorithm::Sha512);
        verify_inrelease(&signed, &ring(&key), FAR, &suite("own"))
    };
    let expired = check(&text("Valid-Until: Wed, 02 Jan 2030 00:00:00 UTC\n"));
    assert!(matches!(expired, Err(ReleaseError::Expired { .. })));
    let bad = check(&text("Valid-Until: tomorrow\n"));
    assert!(matches!(
        bad,
        Err(ReleaseError::Date {
            field: "Valid-Until",
            ..
        })
    ));
    let future = text("").replace("2030", "2100").replace("Tue", "Fri");
    assert!(matches!(check(&future), Err(ReleaseError::Future { .. })));
}

#[test]
fn keys_are_read_strictly() {
    assert_eq!(Keyring::builtin().unwrap().fingerprints().count(), 6);
    assert!(matches!(
        Keyring::from_armored(b"hello"),
        Err(KeyringError::Malformed(_))
    ));
}
