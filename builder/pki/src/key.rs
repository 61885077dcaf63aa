mod parse;
mod primes;

use crate::{ClusterSecret, KeyLabel, PrivateText};
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use rcgen::{PublicKeyData, SignatureAlgorithm};
use rsa::pkcs1::EncodeRsaPublicKey as _;
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};
use zeroize::Zeroizing;

/// A kind of key pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA on the curve P-256 (FIPS 186-5), with SHA-256: small, quick, known everywhere.
    P256,
    /// RSA with 2048 bits, PKCS #1 v1.5 signatures with SHA-256 (RFC 8017).
    Rsa2048,
    /// RSA with 4096 bits, likewise.
    Rsa4096,
    /// Ed25519 (RFC 8032, in certificates by RFC 8410).
    Ed25519,
}

impl KeyKind {
    /// Whether a key of this kind can encipher another key: TLS 1.2 without forward secrecy
    /// does so, and kubeadm's certificates allow it (RFC 5280 4.2.1.3).
    pub(crate) const fn enciphers(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa4096)
    }
}

/// Why a private key cannot be used. The key itself is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM block, or more than one that could be the key.
    #[error("expected one PEM block with a private key, found {0}")]
    Blocks(usize),
    /// It is protected by a passphrase.
    #[error(
        "the private key is protected by a passphrase: hand it over without, for instance with \
         `--ca-key <(openssl pkey -in KEY)` in bash, which writes it nowhere"
    )]
    Encrypted,
    /// A key of a kind that is not supported.
    #[error(
        "the private key is {0}: expected ECDSA on the curve P-256 (prime256v1), RSA with 2048 to \
         8192 bits, or Ed25519"
    )]
    Kind(String),
    /// It cannot be read.
    #[error("the private key cannot be read: {0}")]
    Unreadable(String),
    /// It cannot be written.
    #[error("the private key cannot be encoded: {0}")]
    Encoding(String),
}

/// A key pair; the only place that signs. Signatures are deterministic: RFC 6979 for ECDSA,
/// PKCS #1 v1.5 for RSA, RFC 8032 for Ed25519. The memory is wiped when it is dropped.
pub(crate) struct KeyPair {
    secret: Secret,
    /// The public key as X.509 stores it: a point, uncompressed (SEC 1 2.3.3), an
    /// `RSAPublicKey` (RFC 8017 A.1.1), or 32 bytes.
    public: Vec<u8>,
}

enum Secret {
    P256(SecretKey),
    Rsa(Box<RsaPrivateKey>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

impl KeyPair {
    fn p256(secret: SecretKey) -> Self {
        Self {
            public: secret.public_key().to_sec1_bytes().into_vec(),
            secret: Secret::P256(secret),
        }
    }

    fn rsa(secret: RsaPrivateKey) -> Result<Self, KeyError> {
        let public = secret.to_public_key().to_pkcs1_der().map_err(encoding)?;
        Ok(Self {
            public: public.into_vec(),
            secret: Secret::Rsa(Box::new(secret)),
        })
    }

    fn ed25519(seed: &[u8; 32]) -> Self {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        Self {
            public: secret.verifying_key().to_bytes().to_vec(),
            secret: Secret::Ed25519(Box::new(secret)),
        }
    }

    /// The key of `kind` that `secret` gives for `label`. Different kinds are unrelated.
    ///
    /// # Errors
    /// [`KeyError::Encoding`] when the primes found make no RSA key, which does not happen.
    pub(crate) fn derive(
        secret: &ClusterSecret,
        label: &KeyLabel,
        kind: KeyKind,
    ) -> Result<Self, KeyError> {
        match kind {
            KeyKind::P256 => Ok(Self::derive_p256(secret, label)),
            KeyKind::Ed25519 => Ok(Self::ed25519(&secret.expand::<32>("ed25519", label))),
            KeyKind::Rsa2048 => Self::from_primes(&primes::pair::<128>(secret, "rsa-2048", label)),
            KeyKind::Rsa4096 => Self::from_primes(&primes::pair::<256>(secret, "rsa-4096", label)),
        }
    }

    /// A candidate is 32 derived bytes; one outside of 1..order is skipped (FIPS 186-5 A.2.2),
    /// which happens once in four thousand million times.
    fn derive_p256(secret: &ClusterSecret, label: &KeyLabel) -> Self {
        (0_u64..)
            .find_map(|attempt| {
                let label = label.clone().with(attempt.to_string());
                let bytes = secret.expand::<32>("ecdsa-p256", &label);
                SecretKey::from_slice(bytes.as_slice()).ok()
            })
            .map(Self::p256)
            .expect("one of 2^64 candidates is a key")
    }

    fn from_primes<const N: usize>(pair: &[Zeroizing<[u8; N]>; 2]) -> Result<Self, KeyError> {
        let [p, q] = pair;
        let number = |bytes: &Zeroizing<[u8; N]>| BigUint::from_bytes_be(bytes.as_slice());
        RsaPrivateKey::from_p_q(number(p), number(q), BigUint::from(primes::EXPONENT))
            .map_err(encoding)
            .and_then(Self::rsa)
    }

    /// The key as a PKCS #8 PEM file ("PRIVATE KEY"), which Go, OpenSSL and Java all read.
    pub(crate) fn to_pem(&self) -> Result<PrivateText, KeyError> {
        match &self.secret {
            Secret::P256(key) => key.to_pkcs8_pem(LineEnding::LF).map_err(encoding),
            Secret::Rsa(key) => key.to_pkcs8_pem(LineEnding::LF).map_err(encoding),
            Secret::Ed25519(key) => Ok(ed25519_pem(key.as_bytes())),
        }
        .map(PrivateText::new)
    }

    /// The public key as X.509 stores it.
    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// Whether it can encipher another key.
    pub(crate) const fn enciphers(&self) -> bool {
        matches!(self.secret, Secret::Rsa(_))
    }
}

fn encoding(error: impl std::fmt::Display) -> KeyError {
    KeyError::Encoding(error.to_string())
}

/// PKCS #8 around an Ed25519 seed (RFC 8410 7), as PEM.
fn ed25519_pem(seed: &[u8; 32]) -> Zeroizing<String> {
    // SEQUENCE, version 0, algorithm 1.3.101.112, OCTET STRING in OCTET STRING.
    const HEAD: [u8; 16] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let mut der = Zeroizing::new(HEAD.to_vec());
    der.extend_from_slice(seed);
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    Zeroizing::new(pem::encode_config(
        &pem::Pem::new("PRIVATE KEY", der.to_vec()),
        config,
    ))
}

impl PublicKeyData for KeyPair {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.secret {
            Secret::P256(_) => &rcgen::PKCS_ECDSA_P256_SHA256,
            Secret::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
            Secret::Ed25519(_) => &rcgen::PKCS_ED25519,
        }
    }
}

/// What precedes a SHA-256 digest in a PKCS #1 v1.5 signature (RFC 8017 9.2, note 1).
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

impl rcgen::SigningKey for KeyPair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match &self.secret {
            Secret::P256(key) => {
                let signed: Result<Signature, _> = SigningKey::from(key).try_sign(message);
                let signature = signed.map_err(|_| rcgen::Error::RemoteKeyError)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Secret::Rsa(key) => {
                let scheme = Pkcs1v15Sign {
                    hash_len: Some(32),
                    prefix: SHA256_INFO.into(),
                };
                let digest = imgbuild_base::Digest::of(message);
                key.sign(scheme, digest.as_bytes())
                    .map_err(|_| rcgen::Error::RemoteKeyError)
            }
            Secret::Ed25519(key) => Ok(key.sign(message).to_bytes().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: KeyKind) -> KeyPair {
        let secret = ClusterSecret::from_bytes([3; 32]);
        KeyPair::derive(&secret, &KeyLabel::new(["k"]), kind).unwrap()
    }

    #[test]
    fn a_key_survives_its_pem() {
        for (kind, length) in [
            (KeyKind::P256, 65),
            (KeyKind::Rsa2048, 270),
            (KeyKind::Ed25519, 32),
        ] {
            let key = key(kind);
            let read = KeyPair::parse(key.to_pem().unwrap().expose()).unwrap();
            assert_eq!(read.public(), key.public());
            assert_eq!(key.public().len(), length);
        }
    }

    #[test]
    fn keys_are_pinned() {
        // A change here breaks every existing cluster.
        let digest = |kind| imgbuild_base::Digest::of(key(kind).public()).short();
        assert_eq!(
            [KeyKind::P256, KeyKind::Rsa2048, KeyKind::Ed25519].map(digest),
            ["4734bacd", "affa3bab", "dfa24ba3"]
        );
    }

    #[test]
    fn signatures_repeat() {
        use rcgen::SigningKey as _;
        for kind in [KeyKind::P256, KeyKind::Rsa2048, KeyKind::Ed25519] {
            let key = key(kind);
            assert_eq!(key.sign(b"x").unwrap(), key.sign(b"x").unwrap());
            assert_ne!(key.sign(b"x").unwrap(), key.sign(b"y").unwrap());
        }
    }

    #[test]
    fn refuses_text_without_a_key() {
        assert_eq!(KeyPair::parse("hello").err(), Some(KeyError::Blocks(0)));
        let pem = key(KeyKind::P256).to_pem().unwrap();
        let twice = format!("{0}{0}", pem.expose());
        assert_eq!(KeyPair::parse(&twice).err(), Some(KeyError::Blocks(2)));
        let encrypted = pem.expose().replace("PRIVATE", "ENCRYPTED PRIVATE");
        assert_eq!(KeyPair::parse(&encrypted).err(), Some(KeyError::Encrypted));
    }
}
