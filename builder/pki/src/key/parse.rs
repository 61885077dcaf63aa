//! Reads private keys that the user brings.

use super::{KeyError, KeyPair};
use p256::SecretKey;
use p256::pkcs8::{DecodePrivateKey as _, PrivateKeyInfo};
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::traits::PublicKeyParts as _;

impl KeyPair {
    /// Reads a PEM file with a private key: PKCS #8 (RFC 5958), SEC 1 (RFC 5915, with or
    /// without the curve's parameters block before it) or PKCS #1 (RFC 8017).
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let blocks =
            pem::parse_many(text).map_err(|error| KeyError::Unreadable(error.to_string()))?;
        let mut keys = blocks
            .iter()
            .filter(|block| block.tag().ends_with("PRIVATE KEY"));
        let (Some(block), 0) = (keys.next(), keys.clone().count()) else {
            return Err(KeyError::Blocks(
                blocks
                    .iter()
                    .filter(|block| block.tag().ends_with("PRIVATE KEY"))
                    .count(),
            ));
        };
        let der = block.contents();
        match block.tag() {
            _ if block.headers().get("Proc-Type").is_some() => Err(KeyError::Encrypted),
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
            "EC PRIVATE KEY" => SecretKey::from_sec1_der(der)
                .map(Self::p256)
                .map_err(|_| other_curve()),
            "RSA PRIVATE KEY" => RsaPrivateKey::from_pkcs1_der(der)
                .map_err(unreadable)
                .and_then(read_rsa),
            "PRIVATE KEY" => pkcs8(der),
            other => Err(KeyError::Kind(format!("a {other:?} block"))),
        }
    }
}

fn pkcs8(der: &[u8]) -> Result<KeyPair, KeyError> {
    let info = PrivateKeyInfo::try_from(der).map_err(unreadable)?;
    match info.algorithm.oid.to_string().as_str() {
        "1.2.840.10045.2.1" => SecretKey::from_pkcs8_der(der)
            .map(KeyPair::p256)
            .map_err(|_| other_curve()),
        "1.2.840.113549.1.1.1" => RsaPrivateKey::from_pkcs8_der(der)
            .map_err(unreadable)
            .and_then(read_rsa),
        // RFC 8410 7: the key is an OCTET STRING of 32 bytes inside the OCTET STRING.
        "1.3.101.112" => match info.private_key {
            [0x04, 0x20, seed @ ..] => seed
                .try_into()
                .map(KeyPair::ed25519)
                .map_err(|_| unreadable("an Ed25519 key has 32 bytes")),
            _ => Err(unreadable("an Ed25519 key has 32 bytes")),
        },
        other => Err(KeyError::Kind(format!("of algorithm {other}"))),
    }
}

fn read_rsa(key: RsaPrivateKey) -> Result<KeyPair, KeyError> {
    match key.n().bits() {
        2048..=8192 => KeyPair::rsa(key),
        bits => Err(KeyError::Kind(format!("an RSA key with {bits} bits"))),
    }
}

fn other_curve() -> KeyError {
    KeyError::Kind("an EC key on another curve".into())
}

fn unreadable(error: impl std::fmt::Display) -> KeyError {
    KeyError::Unreadable(error.to_string())
}
