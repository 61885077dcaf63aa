//! Which keys are trusted, and which of them may sign at a given time.
//!
//! A key that is trusted is trusted by its fingerprint, so the certifications by others that
//! Debian's keys carry do not matter and are not looked at. What matters is what the key says
//! about itself (RFC 9580, 5.2.3.10): that it is not revoked, when it expires, and which
//! subkeys may sign. Every such statement is checked here.

use imgbuild_base::Epoch;
use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{PublicKey, Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, Tag, Timestamp};
use std::fmt;

/// The keys in the program, and the fingerprints they must have (keys/README.md).
const BUILTIN: [(&str, &str); 6] = [
    (
        include_str!("../../keys/bookworm-automatic.asc"),
        "b8b80b5b623eab6ad8775c45b7c5d7d6350947f8",
    ),
    (
        include_str!("../../keys/bookworm-security-automatic.asc"),
        "05ab90340c0c5e797f44a8c8254cf3b5aec0a8f0",
    ),
    (
        include_str!("../../keys/bookworm-stable.asc"),
        "4d64fec119c2029067d6e791f8d2585b8783d481",
    ),
    (
        include_str!("../../keys/trixie-automatic.asc"),
        "04b54c3cdca79751b16bc6b5225629df75b188bd",
    ),
    (
        include_str!("../../keys/trixie-security-automatic.asc"),
        "5e04a1e3223a19a20706e20f9904613d4cce68c6",
    ),
    (
        include_str!("../../keys/trixie-stable.asc"),
        "41587f7db8c774bccf131416762f67a0b2c39de4",
    ),
];

/// The fingerprint of an OpenPGP key, in lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    pub(super) fn of(key: &impl KeyDetails) -> Self {
        Self(format!("{:x}", key.fingerprint()))
    }

    /// The hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why keys cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// Not armoured OpenPGP public keys.
    #[error("not a file of armoured OpenPGP public keys: {0}")]
    Malformed(String),
    /// The file holds no key.
    #[error("the file holds no OpenPGP public key")]
    Empty,
    /// A key in the program is not the one that was pinned.
    #[error("a built-in key has the fingerprint {found} where {pinned} is pinned")]
    Pin {
        /// The key's fingerprint.
        found: Fingerprint,
        /// The pinned one.
        pinned: &'static str,
    },
}

/// The keys that may sign a release.
#[derive(Clone, Debug)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
}

/// A primary key or subkey that may sign at the time it was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signer<'a> {
    Primary(&'a PublicKey),
    Sub(&'a SignedPublicSubKey),
}

impl Signer<'_> {
    /// Whether `signature` over `text` is this key's.
    pub(super) fn made(&self, signature: &Signature, text: &str) -> bool {
        let checked = match self {
            Self::Primary(key) => signature.verify(*key, text.as_bytes()),
            Self::Sub(sub) => signature.verify(&sub.key, text.as_bytes()),
        };
        checked.is_ok()
    }
}

impl Keyring {
    /// The archive's keys of Debian 12 and 13, which are part of the program.
    ///
    /// # Errors
    /// [`KeyringError`] if the program was built with other files than were pinned.
    pub fn builtin() -> Result<Self, KeyringError> {
        let mut keys = Vec::new();
        for (armored, pinned) in BUILTIN {
            for key in Self::from_armored(armored.as_bytes())?.keys {
                let found = Fingerprint::of(&key.primary_key);
                if found.as_str() != pinned {
                    return Err(KeyringError::Pin { found, pinned });
                }
                keys.push(key);
            }
        }
        Ok(Self { keys })
    }

    /// Keys of your own, as `gpg --armor --export` writes them. All of them are trusted.
    ///
    /// # Errors
    /// [`KeyringError`] when the bytes are something else.
    pub fn from_armored(bytes: &[u8]) -> Result<Self, KeyringError> {
        let malformed = |error: pgp::errors::Error| KeyringError::Malformed(error.to_string());
        let (parsed, _) = SignedPublicKey::from_armor_many_buf(bytes).map_err(malformed)?;
        let keys = parsed.collect::<Result<Vec<_>, _>>().map_err(malformed)?;
        if keys.is_empty() {
            return Err(KeyringError::Empty);
        }
        Ok(Self { keys })
    }

    /// The fingerprints of the primary keys.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.keys
            .iter()
            .map(|key| Fingerprint::of(&key.primary_key))
    }

    /// Every key that may sign at `now`, with its primary's fingerprint.
    pub(super) fn signers(&self, now: Epoch) -> Vec<(Fingerprint, Signer<'_>)> {
        let mut signers = Vec::new();
        for key in &self.keys {
            let Some(own) = standing(key, now) else {
                continue;
            };
            let fingerprint = Fingerprint::of(&key.primary_key);
            if own.key_flags().sign() {
                signers.push((fingerprint.clone(), Signer::Primary(&key.primary_key)));
            }
            for sub in &key.public_subkeys {
                if may_sign(&key.primary_key, sub, now) {
                    signers.push((fingerprint.clone(), Signer::Sub(sub)));
                }
            }
        }
        signers
    }
}

/// What a primary key says about itself at `now`: its newest valid statement. `None` when it
/// is revoked, expired, not yet made, or says nothing valid.
fn standing(key: &SignedPublicKey, now: Epoch) -> Option<&Signature> {
    let primary = &key.primary_key;
    let details = &key.details;
    // A revocation holds whatever its date: the reason may be that the key leaked.
    let revoked = |sig: &Signature| sig.verify_key(primary).is_ok();
    if details.revocation_signatures.iter().any(revoked) {
        return None;
    }
    let direct = details
        .direct_signatures
        .iter()
        .filter(|sig| sig.typ() == Some(SignatureType::Key) && sig.verify_key(primary).is_ok());
    let users = details.users.iter().flat_map(|user| {
        let own = |sig: &&Signature| {
            sig.verify_certification(primary, Tag::UserId, &user.id)
                .is_ok()
        };
        let revoked = user
            .signatures
            .iter()
            .filter(own)
            .any(|sig| sig.typ() == Some(SignatureType::CertRevocation));
        user.signatures
            .iter()
            .filter(move |sig| !revoked && sig.is_certification() && own(sig))
    });
    let newest = direct
        .chain(users)
        .filter(|sig| in_force(sig, now))
        .max_by_key(|sig| sig.created())?;
    alive(primary, newest, now).then_some(newest)
}

/// Whether a subkey may sign at `now`: its newest valid binding says so, the subkey agrees
/// (the signature back to its primary, RFC 9580, 5.2.1.9), and it is neither revoked nor
/// expired.
fn may_sign(primary: &PublicKey, sub: &SignedPublicSubKey, now: Epoch) -> bool {
    let valid = |typ| {
        sub.signatures.iter().filter(move |sig: &&Signature| {
            sig.typ() == Some(typ) && sig.verify_subkey_binding(primary, &sub.key).is_ok()
        })
    };
    if valid(SignatureType::SubkeyRevocation).next().is_some() {
        return false;
    }
    let newest = valid(SignatureType::SubkeyBinding)
        .filter(|sig| in_force(sig, now))
        .max_by_key(|sig| sig.created());
    newest.is_some_and(|binding| {
        let agreed = binding
            .embedded_signature()
            .is_some_and(|back| back.verify_primary_key_binding(&sub.key, primary).is_ok());
        binding.key_flags().sign() && agreed && alive(&sub.key, binding, now)
    })
}

/// Whether a key was made before `now` and its lifetime, as `statement` gives it, is not over.
fn alive(key: &impl KeyDetails, statement: &Signature, now: Epoch) -> bool {
    let made = u64::from(key.created_at().as_secs());
    let lifetime = statement.key_expiration_time().map_or(0, |d| d.as_secs());
    made <= now.seconds() && (lifetime == 0 || now.seconds() < made + u64::from(lifetime))
}

/// Whether a signature was made before `now`, has not expired, and demands nothing that is
/// not understood (a critical subpacket of an unknown kind, RFC 9580, 5.2.3.7).
pub(super) fn in_force(sig: &Signature, now: Epoch) -> bool {
    let Some(made) = sig.created().map(Timestamp::as_secs) else {
        return false;
    };
    let made = u64::from(made);
    let lifetime = sig.signature_expiration_time().map_or(0, |d| d.as_secs());
    let understood = sig.config().is_some_and(|config| {
        config.hashed_subpackets().all(|packet| {
            let unknown = matches!(
                packet.data,
                SubpacketData::Experimental(..) | SubpacketData::Other(..)
            );
            !(packet.is_critical && unknown)
        })
    });
    understood
        && made <= now.seconds()
        && (lifetime == 0 || now.seconds() < made + u64::from(lifetime))
}
