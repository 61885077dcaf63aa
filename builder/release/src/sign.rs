//! Signatures in minisign's format (jedisct1.github.io/minisign, "Signature format"), and over
//! envelopes, with one Ed25519 key.
//!
//! The `minisign` crate reads keys and checks signatures. It mixes chance into the ones it
//! makes; a release must come out alike every time, so they are made here: Ed25519 as in RFC
//! 8032 has none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blake2::{Blake2b512, Digest as _};
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use std::fmt;
use std::io::Cursor;
use std::ops::Range;
use zeroize::Zeroizing;

/// Where a secret key's record says how the rest is encrypted: by scrypt (`Sc`), or not at all
/// (two zeros).
const KDF: Range<usize> = 2..4;
/// Where the key's number is in it: behind the algorithms' names, the salt and two limits.
const NUMBER: Range<usize> = 54..62;
/// Where the secret itself is in it.
const SEED: Range<usize> = 62..94;
/// Where the public key is in it.
const PUBLIC: Range<usize> = 94..126;
/// Where a public key's own bytes are in its record.
const POINT: Range<usize> = 10..42;

/// The number by which a key is told from others; it proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        let number = bytes.try_into().map(Self);
        number.map_err(|_| KeyError::Public("its number is not 8 bytes long".to_owned()))
    }
}

impl fmt::Display for KeyId {
    /// As minisign prints it: 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no key that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The secret key needs a passphrase.
    #[error("the key is encrypted, and no passphrase was given")]
    Passphrase,
    /// Not a secret key, or the wrong passphrase.
    #[error("not a minisign secret key, or the passphrase is wrong: {0}")]
    Secret(String),
    /// Not a public key.
    #[error("not a minisign public key: {0}")]
    Public(String),
}

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not minisign's format.
    #[error("it is not a minisign signature: {0}")]
    Format(String),
    /// Somebody else's.
    #[error("it is by the key {by}, not by {key}")]
    Key {
        /// Who signed.
        by: KeyId,
        /// Who should have.
        key: KeyId,
    },
    /// Not of these bytes.
    #[error("it is not of this content")]
    Wrong,
}

/// A key that signs.
pub struct SigningKey {
    id: KeyId,
    key: ed25519_dalek::SigningKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.id).finish()
    }
}

impl SigningKey {
    /// Reads minisign's secret key file. Keys without a passphrase ignore the one given.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(text: &str, passphrase: Option<&str>) -> Result<Self, KeyError> {
        let line = text.lines().nth(1).unwrap_or_default().trim();
        let record = STANDARD.decode(line).map(Zeroizing::new);
        let record = record.map_err(|_| secret("its second line is not base64"))?;
        let record = match (record.get(KDF), passphrase) {
            (Some([0, 0]), _) => record,
            (Some(b"Sc"), None) => return Err(KeyError::Passphrase),
            (Some(b"Sc"), Some(passphrase)) => {
                let key = minisign::SecretKeyBox::from_string(text);
                let key = key.and_then(|key| key.into_secret_key(Some(passphrase.to_owned())));
                Zeroizing::new(key.map_err(secret)?.to_bytes())
            }
            _ => return Err(secret("it names no way to its key that is known")),
        };
        let part = |range: Range<usize>| record.get(range).ok_or_else(|| secret("it is too short"));
        let seed: &[u8; 32] = part(SEED)?.try_into().map_err(secret)?;
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        // minisign 0.11 leaves the checksum of a key without a passphrase empty; but the public
        // key is there, too.
        if key.verifying_key().as_bytes() != part(PUBLIC)? {
            return Err(secret("it is damaged"));
        }
        let id = KeyId::new(part(NUMBER)?)?;
        Ok(Self { id, key })
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The key that checks what this one signs.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey {
            id: self.id,
            key: self.key.verifying_key(),
        }
    }

    /// The text of a signature file for `content`. `comment` is one line that is signed too.
    #[must_use]
    pub fn sign(&self, content: &[u8], comment: &str) -> String {
        let signature = self.key.sign(&Blake2b512::digest(content)).to_bytes();
        let mut record = Vec::from(b"ED");
        record.extend(self.id.0);
        record.extend(signature);
        let mut whole = signature.to_vec();
        whole.extend(comment.as_bytes());
        let whole = self.key.sign(&whole).to_bytes();
        format!(
            "untrusted comment: signature by the minisign key {}\n{}\ntrusted comment: {comment}\n{}\n",
            self.id,
            STANDARD.encode(record),
            STANDARD.encode(whole),
        )
    }

    /// The bare Ed25519 signature of `content`.
    #[must_use]
    pub fn sign_bare(&self, content: &[u8]) -> [u8; 64] {
        self.key.sign(content).to_bytes()
    }
}

fn secret(error: impl fmt::Display) -> KeyError {
    KeyError::Secret(error.to_string())
}

/// A key that checks.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    key: VerifyingKey,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.id).finish()
    }
}

impl PublicKey {
    /// Reads a public key: the text of minisign's file, or its second line alone.
    ///
    /// # Errors
    /// [`KeyError::Public`].
    pub fn read(text: &str) -> Result<Self, KeyError> {
        let error = |error: &dyn fmt::Display| KeyError::Public(error.to_string());
        let line = text.trim().lines().last().unwrap_or_default();
        let key = minisign::PublicKey::from_base64(line).map_err(|e| error(&e))?;
        let bytes = key.to_bytes();
        let point = bytes.get(POINT).and_then(|point| point.try_into().ok());
        let point: &[u8; 32] = point.ok_or_else(|| error(&"it is too short"))?;
        Ok(Self {
            id: KeyId::new(key.keynum())?,
            key: VerifyingKey::from_bytes(point).map_err(|e| error(&e))?,
        })
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// One line that [`PublicKey::read`] takes.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut record = Vec::from(b"Ed");
        record.extend(self.id.0);
        record.extend(self.key.as_bytes());
        STANDARD.encode(record)
    }

    /// Checks the text of a signature file over `content`; gives its signed comment.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn check(&self, content: &[u8], signature: &str) -> Result<String, SignatureError> {
        let format = |error: minisign::PError| SignatureError::Format(error.to_string());
        let signature = minisign::SignatureBox::from_string(signature).map_err(format)?;
        let comment = signature.trusted_comment().map_err(format)?;
        let by = KeyId::new(signature.keynum()).map_err(|_| SignatureError::Wrong)?;
        if by != self.id {
            return Err(SignatureError::Key { by, key: self.id });
        }
        let wrong = |_| SignatureError::Wrong;
        let key = minisign::PublicKey::from_base64(&self.to_line()).map_err(wrong)?;
        minisign::verify(&key, &signature, Cursor::new(content), true, false, false)
            .map_err(wrong)?;
        Ok(comment)
    }

    /// Checks a bare Ed25519 signature of `content`.
    #[must_use]
    pub fn holds(&self, content: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(content, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair() -> (SigningKey, PublicKey) {
        let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        let text = pair.sk.to_box(None).unwrap().into_string();
        let key = SigningKey::read(&text, None).unwrap();
        let public = PublicKey::read(&pair.pk.to_box().unwrap().into_string()).unwrap();
        (key, public)
    }

    #[test]
    fn signatures_hold_and_are_always_the_same() {
        let (key, public) = pair();
        assert_eq!(key.public(), public);
        assert_eq!(PublicKey::read(&public.to_line()).unwrap(), public);
        let signature = key.sign(b"content", "release of x");
        assert_eq!(signature, key.sign(b"content", "release of x"));
        let comment = public.check(b"content", &signature).unwrap();
        assert_eq!(comment, "release of x");
        assert_eq!(
            public.check(b"other", &signature),
            Err(SignatureError::Wrong)
        );
        let changed = signature.replace("release of x", "release of y");
        assert_eq!(
            public.check(b"content", &changed),
            Err(SignatureError::Wrong)
        );
        let (_, other) = pair();
        assert!(matches!(
            other.check(b"content", &signature),
            Err(SignatureError::Key { .. })
        ));
        assert!(public.holds(b"x", &key.sign_bare(b"x")));
        assert!(!public.holds(b"y", &key.sign_bare(b"x")));
    }

    #[test]
    fn encrypted_keys_take_their_passphrase() {
        let pair = minisign::KeyPair::generate_encrypted_keypair(Some("word".to_owned())).unwrap();
        let text = pair.sk.to_box(None).unwrap().into_string();
        assert_eq!(
            SigningKey::read(&text, None).unwrap_err(),
            KeyError::Passphrase
        );
        assert!(matches!(
            SigningKey::read(&text, Some("wrong")),
            Err(KeyError::Secret(_))
        ));
        let key = SigningKey::read(&text, Some("word")).unwrap();
        let signature = key.sign(b"content", "comment");
        assert!(key.public().check(b"content", &signature).is_ok());
    }

    /// The `-W` of minisign 0.11.
    #[test]
    fn a_key_without_a_checksum_is_read_and_a_damaged_one_is_not() {
        let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        let mut record = pair.sk.to_bytes();
        record[126..].fill(0);
        let file = |record: &[u8]| format!("untrusted comment: x\n{}\n", STANDARD.encode(record));
        let key = SigningKey::read(&file(&record), None).unwrap();
        let public = PublicKey::read(&pair.pk.to_base64()).unwrap();
        assert_eq!(key.public(), public);
        record[70] ^= 1;
        let damaged = SigningKey::read(&file(&record), None).unwrap_err();
        assert_eq!(damaged, KeyError::Secret("it is damaged".to_owned()));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "x", "untrusted comment: x\nAAAA"] {
            assert!(matches!(PublicKey::read(text), Err(KeyError::Public(_))));
            let error = SigningKey::read(text, None).unwrap_err();
            assert!(matches!(error, KeyError::Secret(_)), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_signature_text_is_checked_or_refused(text in "[a-zA-Z: \n=+/]{0,200}") {
            let (_, public) = pair();
            prop_assert!(public.check(b"content", &text).is_err());
        }
    }
}
