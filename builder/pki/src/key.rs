use crate::{ClusterSecret, KeyLabel, PrivateText};
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding, PrivateKeyInfo};
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};

/// Why a private key cannot be used. The key itself is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM block, or more than one that could be the key.
    #[error("expected one PEM block with a private key, found {0}")]
    Blocks(usize),
    /// It is protected by a passphrase.
    #[error(
        "the private key is protected by a passphrase: remove it first, for instance with `openssl pkey -in KEY -out PLAIN`"
    )]
    Encrypted,
    /// A key of a kind that is not supported.
    #[error("the private key is {0}: expected an ECDSA key on the curve P-256 (prime256v1)")]
    Kind(String),
    /// It cannot be read.
    #[error("the private key cannot be read: {0}")]
    Unreadable(String),
    /// It cannot be written.
    #[error("the private key cannot be encoded: {0}")]
    Encoding(String),
}

/// An ECDSA key pair on P-256; the only place that signs. Signatures are deterministic
/// (RFC 6979), the memory is wiped when it is dropped.
pub(crate) struct KeyPair {
    secret: SecretKey,
    /// The public point, uncompressed (SEC 1 2.3.3): what X.509 stores.
    public: Vec<u8>,
}

impl KeyPair {
    fn new(secret: SecretKey) -> Self {
        let public = secret.public_key().to_sec1_bytes().into_vec();
        Self { secret, public }
    }

    /// The key that `secret` gives for `label`.
    ///
    /// A candidate is 32 derived bytes; one outside of 1..order is skipped (FIPS 186-5 A.2.2),
    /// which happens once in four thousand million times.
    pub(crate) fn derive(secret: &ClusterSecret, label: &KeyLabel) -> Self {
        (0_u64..)
            .find_map(|attempt| {
                let label = label.clone().with(attempt.to_string());
                let bytes = secret.expand::<32>("ecdsa-p256", &label);
                SecretKey::from_slice(bytes.as_slice()).ok()
            })
            .map(Self::new)
            .expect("one of 2^64 candidates is a key")
    }

    /// Reads a PEM file with a private key: PKCS #8 (RFC 5958) or SEC 1 (RFC 5915, with or
    /// without the curve's parameters block before it).
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
        let unreadable = |error: &dyn std::fmt::Display| KeyError::Unreadable(error.to_string());
        match block.tag() {
            _ if block.headers().get("Proc-Type").is_some() => Err(KeyError::Encrypted),
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
            "EC PRIVATE KEY" => SecretKey::from_sec1_der(block.contents())
                .map(Self::new)
                .map_err(|_| KeyError::Kind("an EC key on another curve".into())),
            "PRIVATE KEY" => {
                let info =
                    PrivateKeyInfo::try_from(block.contents()).map_err(|e| unreadable(&e))?;
                match info.algorithm.oid.to_string().as_str() {
                    "1.2.840.10045.2.1" => SecretKey::from_pkcs8_der(block.contents())
                        .map(Self::new)
                        .map_err(|_| KeyError::Kind("an EC key on another curve".into())),
                    "1.2.840.113549.1.1.1" => Err(KeyError::Kind("an RSA key".into())),
                    "1.3.101.112" => Err(KeyError::Kind("an Ed25519 key".into())),
                    other => Err(KeyError::Kind(format!("of algorithm {other}"))),
                }
            }
            "RSA PRIVATE KEY" => Err(KeyError::Kind("an RSA key".into())),
            other => Err(KeyError::Kind(format!("a {other:?} block"))),
        }
    }

    /// The key as a PKCS #8 PEM file ("PRIVATE KEY"), which Go, OpenSSL and Java all read.
    pub(crate) fn to_pem(&self) -> Result<PrivateText, KeyError> {
        self.secret
            .to_pkcs8_pem(LineEnding::LF)
            .map(PrivateText::new)
            .map_err(|error| KeyError::Encoding(error.to_string()))
    }

    /// The public point, uncompressed.
    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }
}

impl PublicKeyData for KeyPair {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for KeyPair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = SigningKey::from(&self.secret)
            .try_sign(message)
            .map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> KeyPair {
        KeyPair::derive(&ClusterSecret::from_bytes([3; 32]), &KeyLabel::new(["k"]))
    }

    #[test]
    fn a_key_survives_its_pem() {
        let key = key();
        let read = KeyPair::parse(key.to_pem().unwrap().expose()).unwrap();
        assert_eq!(read.public(), key.public());
        assert_eq!(key.public().len(), 65);
    }

    #[test]
    fn signatures_repeat() {
        use rcgen::SigningKey as _;
        let key = key();
        assert_eq!(key.sign(b"x").unwrap(), key.sign(b"x").unwrap());
        assert_ne!(key.sign(b"x").unwrap(), key.sign(b"y").unwrap());
    }

    #[test]
    fn refuses_text_without_a_key() {
        assert_eq!(KeyPair::parse("hello").err(), Some(KeyError::Blocks(0)));
        let pem = key().to_pem().unwrap();
        let twice = format!("{0}{0}", pem.expose());
        assert_eq!(KeyPair::parse(&twice).err(), Some(KeyError::Blocks(2)));
        let encrypted = pem.expose().replace("PRIVATE", "ENCRYPTED PRIVATE");
        assert_eq!(KeyPair::parse(&encrypted).err(), Some(KeyError::Encrypted));
    }
}
