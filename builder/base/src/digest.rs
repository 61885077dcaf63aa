mod zeros;

pub use zeros::add_zeros;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use std::fmt;
use std::io;
use std::str::FromStr;

/// A SHA-256 (FIPS 180-4), shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// A digest computed elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight hexadecimal digits, for people and for file names.
    #[must_use]
    pub fn short(&self) -> String {
        hex::encode(&self.0[..4])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a SHA-256: expected 64 lower-case hexadecimal digits")]
pub struct DigestError(pub String);

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let bad = || DigestError(text.to_owned());
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| bad())?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes a [`Digest`] of bytes as they pass.
///
/// [`Hasher::field`] writes the canonical encoding used for every key in imgbuild: each field
/// is its length as eight little-endian bytes, then its bytes, so that no two sequences of
/// fields share an encoding. Changing this is a break of the store's format.
#[derive(Clone, Default)]
pub struct Hasher {
    sha: sha2::Sha256,
    /// How many bytes it has seen.
    len: u64,
}

/// What [`Hasher::save`] gives: SHA-256 in the midst of its work.
///
/// It tells as much about the bytes hashed so far as their digest does. Its form is that of
/// the `sha2` crate and may change with a version of it: what cannot be restored is computed
/// again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHasher {
    len: u64,
    /// In hexadecimal digits.
    state: String,
}

impl Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds raw bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// Adds one length-prefixed field.
    pub fn field(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.update(&(bytes.len() as u64).to_le_bytes());
        self.update(bytes);
        self
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.sha.finalize().into())
    }

    /// All there is to know of it, to go on at another time.
    #[must_use]
    pub fn save(&self) -> SavedHasher {
        SavedHasher {
            len: self.len,
            state: hex::encode(self.sha.serialize()),
        }
    }

    /// The hasher that was saved, unless the text is none.
    #[must_use]
    pub fn restore(saved: &SavedHasher) -> Option<Self> {
        let mut state = SerializedState::<sha2::Sha256>::default();
        hex::decode_to_slice(&saved.state, &mut state).ok()?;
        let sha = sha2::Sha256::deserialize(&state).ok()?;
        let len = saved.len;
        Some(Self { sha, len })
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digest() {
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), text);
        assert_eq!(text.parse(), Ok(Digest::of(b"abc")));
    }

    #[test]
    fn refuses_what_is_no_digest() {
        for bad in ["", "abc", &"G".repeat(64), &"A".repeat(64), &"a".repeat(63)] {
            assert_eq!(bad.parse::<Digest>(), Err(DigestError(bad.to_owned())));
        }
    }

    #[test]
    fn goes_on_where_it_was_saved() {
        let mut hasher = Hasher::new();
        hasher.update(&[1; 100]);
        let mut restored = Hasher::restore(&hasher.save()).unwrap();
        restored.update(&[2; 100]);
        assert_eq!(
            restored.finish(),
            Digest::of(&[[1; 100], [2; 100]].concat())
        );
        for bad in ["", "00", "no digits", &"ff".repeat(104)] {
            let state = bad.to_owned();
            assert!(Hasher::restore(&SavedHasher { len: 100, state }).is_none());
        }
    }

    #[test]
    fn fields_keep_their_boundaries() {
        let digest = |fields: &[&str]| {
            let mut hasher = Hasher::new();
            for field in fields {
                hasher.field(field);
            }
            hasher.finish()
        };
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_ne!(digest(&["ab", ""]), digest(&["ab"]));
    }
}
