use crate::{KeyLabel, PrivateText};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use imgbuild_base::Digest;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// The word that opens a secret's line; the number changes with the format.
const TAG: &str = "imgbuild-secret-1";

/// Salt of the key derivation (RFC 5869 2.2): separates imgbuild from any other use of the
/// same 32 bytes. Changing it changes every key of every cluster.
const SALT: &[u8] = b"imgbuild cluster secret, derivation 1";

/// How many bytes of checksum follow the secret in its text, so that a mistyped secret is an
/// error instead of another cluster.
const CHECKSUM: usize = 4;

/// The root of every key of a cluster: 32 bytes from the operating system's random source.
///
/// Its file is text: a comment, then one line `imgbuild-secret-1 <base64>`, where the base64
/// holds the 32 bytes and the first four bytes of a SHA-256 over tag and secret. It has no
/// `Debug`, and its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct ClusterSecret(Zeroizing<[u8; 32]>);

/// Why a text holds no secret. The text itself is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// No line but comments.
    #[error("there is no secret in it: expected a line that starts with \"{TAG}\"")]
    Missing,
    /// More than one line besides comments.
    #[error("line {0} comes after the secret: expected one line that starts with \"{TAG}\"")]
    Several(usize),
    /// A line that starts otherwise.
    #[error("line {0} is no secret: expected it to start with \"{TAG}\"")]
    Tag(usize),
    /// Not base64, or not of the right length.
    #[error(
        "line {0}: what follows \"{TAG}\" is not the base64 of a secret (48 characters): \
         part of it was lost or changed; take the file from a backup"
    )]
    Encoding(usize),
    /// The checksum differs.
    #[error(
        "line {0}: the secret's checksum does not match: a character was changed; take the \
         file from a backup"
    )]
    Checksum(usize),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Random(String),
}

impl ClusterSecret {
    /// A secret of these bytes. For tests and for secrets kept elsewhere; the bytes must come
    /// from a random source.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new secret from the operating system's randomness: the one random thing in imgbuild.
    ///
    /// # Errors
    /// [`SecretError::Random`] when the operating system has none to give.
    pub fn generate() -> Result<Self, SecretError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice())
            .map_err(|error| SecretError::Random(error.to_string()))?;
        Ok(Self(bytes))
    }

    /// Reads the text of a secret file; empty lines and lines that start with `#` do not count.
    ///
    /// # Errors
    /// [`SecretError`] with the number of the line; never with its content.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let mut found = None;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if found.is_some() {
                return Err(SecretError::Several(number));
            }
            found = Some(Self::parse_line(number, line)?);
        }
        found.ok_or(SecretError::Missing)
    }

    fn parse_line(number: usize, line: &str) -> Result<Self, SecretError> {
        let (tag, encoded) = line.split_once(' ').ok_or(SecretError::Tag(number))?;
        if tag != TAG {
            return Err(SecretError::Tag(number));
        }
        let decoded = STANDARD
            .decode(encoded.trim())
            .map(Zeroizing::new)
            .map_err(|_| SecretError::Encoding(number))?;
        let (secret, checksum) = decoded
            .split_first_chunk::<32>()
            .filter(|(_, rest)| rest.len() == CHECKSUM)
            .ok_or(SecretError::Encoding(number))?;
        let secret = Self::from_bytes(*secret);
        if secret.checksum() != checksum {
            return Err(SecretError::Checksum(number));
        }
        Ok(secret)
    }

    /// The text of a secret file; [`ClusterSecret::parse`] reads it.
    #[must_use]
    pub fn to_text(&self) -> PrivateText {
        let mut bytes = Zeroizing::new(self.0.to_vec());
        bytes.extend_from_slice(&self.checksum());
        let encoded = Zeroizing::new(STANDARD.encode(&*bytes));
        PrivateText::new(Zeroizing::new(format!(
            "# The root of every key of one etcd cluster. Who has it can sign for the cluster:\n\
             # keep it as you would keep the key of a certificate authority, and keep a copy.\n\
             {TAG} {}\n",
            *encoded
        )))
    }

    fn checksum(&self) -> [u8; CHECKSUM] {
        let mut keyed = Zeroizing::new(TAG.as_bytes().to_vec());
        keyed.extend_from_slice(self.0.as_slice());
        let digest = Digest::of(&keyed);
        let mut first = [0; CHECKSUM];
        first.copy_from_slice(&digest.as_bytes()[..CHECKSUM]);
        first
    }

    /// Fills `out` with HKDF-SHA256 (RFC 5869) of the secret for `purpose` and `label`.
    pub(crate) fn expand<const N: usize>(
        &self,
        purpose: &str,
        label: &KeyLabel,
    ) -> Zeroizing<[u8; N]> {
        const { assert!(N <= 255 * 32, "HKDF-SHA256 gives at most 255 blocks") };
        let mut out = Zeroizing::new([0; N]);
        Hkdf::<Sha256>::new(Some(SALT), self.0.as_slice())
            .expand(&label.encode(purpose), out.as_mut_slice())
            .expect("the length was checked when this was compiled");
        out
    }

    /// Bytes that look random, are always the same for this secret and label, and tell
    /// nothing about it: machine-ids, tokens.
    #[must_use]
    pub fn derive_bytes<const N: usize>(&self, label: &KeyLabel) -> [u8; N] {
        let bytes = self.expand("bytes", label);
        *bytes
    }

    /// A digest of `bytes` that only the holder of the secret can compute (HMAC-SHA256,
    /// RFC 2104, under a key derived for `label`). What depends on private keys may be
    /// remembered by it: unlike a plain digest it confirms no guess.
    #[must_use]
    pub fn keyed_digest(&self, label: &KeyLabel, bytes: &[u8]) -> Digest {
        let mut key = self.expand::<32>("digest", label);
        let mut mac =
            Hmac::<Sha256>::new_from_slice(key.as_slice()).expect("HMAC takes a key of any length");
        key.zeroize();
        mac.update(bytes);
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: &str) -> &str {
        text.lines().last().unwrap()
    }

    #[test]
    fn text_is_stable() {
        let text = ClusterSecret::from_bytes([7; 32]).to_text();
        assert_eq!(
            line(text.expose()),
            "imgbuild-secret-1 BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwdOreLE"
        );
    }

    #[test]
    fn derivation_is_pinned() {
        // Computed with Python's hmac; a change here breaks every existing cluster.
        let secret = ClusterSecret::from_bytes([7; 32]);
        let bytes: [u8; 16] = secret.derive_bytes(&KeyLabel::new(["machine-id", "n1"]));
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "8724404daa08ec210f148b5a5c2f36f5");
    }

    #[test]
    fn generated_secrets_differ() {
        let one = ClusterSecret::generate().unwrap();
        let two = ClusterSecret::generate().unwrap();
        assert_ne!(*one.0, *two.0);
    }

    #[test]
    fn says_what_is_wrong_and_never_the_secret() {
        let good = ClusterSecret::from_bytes([7; 32]).to_text();
        let good = line(good.expose());
        let parse = |text: &str| ClusterSecret::parse(text).err().unwrap();
        assert_eq!(parse("# only a comment\n\n"), SecretError::Missing);
        assert_eq!(parse("imgbuild-secret-2 abc"), SecretError::Tag(1));
        assert_eq!(parse("#\nnonsense"), SecretError::Tag(2));
        assert_eq!(parse(&good[..good.len() - 4]), SecretError::Encoding(1));
        assert_eq!(parse(&format!("{TAG} ???")), SecretError::Encoding(1));
        assert_eq!(parse(&good.replace("Bwc", "Cwc")), SecretError::Checksum(1));
        assert_eq!(parse(&format!("{good}\n{good}")), SecretError::Several(2));
    }

    #[test]
    fn purposes_and_labels_are_unrelated() {
        let secret = ClusterSecret::from_bytes([1; 32]);
        let (a, b) = (KeyLabel::new(["a"]), KeyLabel::new(["b"]));
        assert_ne!(secret.derive_bytes::<32>(&a), secret.derive_bytes::<32>(&b));
        assert_ne!(secret.derive_bytes::<32>(&a), *secret.expand("digest", &a));
        assert_ne!(secret.keyed_digest(&a, b"x"), secret.keyed_digest(&b, b"x"));
        assert_ne!(
            secret.keyed_digest(&a, b"x"),
            ClusterSecret::from_bytes([2; 32]).keyed_digest(&a, b"x")
        );
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(bytes: [u8; 32]) {
            let secret = ClusterSecret::from_bytes(bytes);
            let read = ClusterSecret::parse(secret.to_text().expose()).unwrap();
            prop_assert_eq!(*read.0, bytes);
        }

        #[test]
        fn never_panics(text in ".{0,200}") {
            let _ = ClusterSecret::parse(&text);
            let _ = ClusterSecret::parse(&format!("{TAG} {text}"));
        }
    }
}
