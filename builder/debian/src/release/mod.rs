//! Signed releases: from the bytes of an `InRelease` to hashes that can be trusted.
//!
//! [`verify_inrelease`] is the only way to a [`Release`], and only the text that was signed
//! is parsed. [`Release::index`] then names an index by hash, and [`IndexRef::verify`] turns
//! downloaded bytes into a [`VerifiedIndex`](crate::index::VerifiedIndex).

mod keyring;

pub use keyring::{Fingerprint, Keyring, KeyringError};

use crate::control::{ControlError, Stanza};
use crate::lock::{Component, SuiteName};
use imgbuild_base::{Arch, ByteSize, Digest, Epoch};
use pgp::composed::CleartextSignedMessage;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::Signature;
use std::collections::BTreeMap;
use time::PrimitiveDateTime;
use time::macros::format_description;

/// Why a release cannot be trusted or used.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Not a clear-signed message, or text around it.
    #[error("not a clear-signed InRelease file: {0}")]
    Malformed(String),
    /// No signature by a key in the keyring.
    #[error(
        "no valid signature by a trusted key: the {signatures} signatures are by {found}; \
         either the file was changed on its way or it is signed by a key that is not pinned"
    )]
    Untrusted {
        /// How many signatures there are.
        signatures: usize,
        /// The issuers they name.
        found: String,
    },
    /// The release is too old.
    #[error(
        "the release of {suite} was valid until {until} and it is {now} (both in seconds since \
         1970): the mirror is stale; try another, or pin the time of a snapshot"
    )]
    Expired {
        /// The suite.
        suite: SuiteName,
        /// The end of its validity, as written.
        until: String,
        /// The time it was judged at.
        now: Epoch,
    },
    /// The release is dated in the future.
    #[error(
        "the release of {suite} is dated {date}, after {now} (seconds since 1970): is the clock right?"
    )]
    Future {
        /// The suite.
        suite: SuiteName,
        /// Its date, as written.
        date: String,
        /// The time it was judged at.
        now: Epoch,
    },
    /// Another suite than was asked for.
    #[error(
        "asked for suite {asked}, but the release is of suite {suite:?}, codename {codename:?}"
    )]
    Suite {
        /// What was asked for.
        asked: SuiteName,
        /// Its suite.
        suite: String,
        /// Its codename.
        codename: String,
    },
    /// The signed text is malformed.
    #[error("the signed text of the release: {0}")]
    Control(#[from] ControlError),
    /// A date that cannot be read.
    #[error(
        "the release's field {field} is {text:?}: expected a date like \"Thu, 19 Nov 2026 02:12:54 UTC\""
    )]
    Date {
        /// The field.
        field: &'static str,
        /// Its value.
        text: String,
    },
    /// A line of the list of files that cannot be read.
    #[error("the release lists a file as {0:?}: expected a SHA-256, a size and a path")]
    File(String),
    /// No such index.
    #[error(
        "the release of {suite} has no index {path}: it has the components {components} for {architectures}"
    )]
    NoIndex {
        /// The suite.
        suite: SuiteName,
        /// What was looked for.
        path: String,
        /// What there is.
        components: String,
        /// The architectures there are.
        architectures: String,
    },
}

/// A release whose signature was verified.
#[derive(Clone, Debug)]
pub struct Release {
    suite: SuiteName,
    stanza: Stanza,
    date: Epoch,
    valid_until: Option<Epoch>,
    signed_by: Vec<Fingerprint>,
    files: BTreeMap<String, (Digest, ByteSize)>,
}

/// An index that a release vouches for: where it is and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRef {
    /// The suite as it was asked for.
    pub suite: SuiteName,
    /// The component.
    pub component: Component,
    /// Path below the suite's directory, as in `main/binary-amd64/Packages.xz`.
    pub path: String,
    /// The path under its hash, which stays while the mirror is updated; equal to `path`
    /// where the archive has none (`Acquire-By-Hash`).
    pub by_hash: String,
    /// The digest of the compressed file.
    pub sha256: Digest,
    /// The size of the compressed file.
    pub size: ByteSize,
    /// Whether packages are taken from here only when asked for (`NotAutomatic`, as in
    /// backports).
    pub not_automatic: bool,
}

/// Verifies an `InRelease` file and reads it.
///
/// At least one signature has to be valid at `now`, made with SHA-256 or better by a key of
/// `keyring` that may sign at `now`. The text must be of the suite that was asked for (by its
/// `Suite` or `Codename`), not dated after `now`, and, where it says so, still valid.
///
/// # Errors
/// [`ReleaseError`] says which of this does not hold.
pub fn verify_inrelease(
    bytes: &[u8],
    keyring: &Keyring,
    now: Epoch,
    asked: &SuiteName,
) -> Result<Release, ReleaseError> {
    let malformed = |error: pgp::errors::Error| ReleaseError::Malformed(error.to_string());
    let (message, _) = CleartextSignedMessage::from_armor(bytes).map_err(malformed)?;
    // What was signed has CRLF line ends (RFC 9580, 7.2); this is the text that is parsed.
    let text = message.signed_text();
    let signed_by = signatures(&message, &text, keyring, now);
    if signed_by.is_empty() {
        return Err(ReleaseError::Untrusted {
            signatures: message.signatures().len(),
            found: issuers(message.signatures()),
        });
    }
    let stanza = Stanza::parse(text.replace("\r\n", "\n").as_bytes())?;
    let release = Release::read(stanza, asked, signed_by)?;
    release.check(asked, now)?;
    Ok(release)
}

/// The trusted keys by which the text is validly signed.
fn signatures(
    message: &CleartextSignedMessage,
    text: &str,
    keyring: &Keyring,
    now: Epoch,
) -> Vec<Fingerprint> {
    let signers = keyring.signers(now);
    let mut valid = Vec::new();
    for signature in message.signatures() {
        let strong = matches!(
            signature.hash_alg(),
            Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
        );
        let over_text = matches!(
            signature.typ(),
            Some(pgp::packet::SignatureType::Text | pgp::packet::SignatureType::Binary)
        );
        if !strong || !over_text || !keyring::in_force(signature, now) {
            continue;
        }
        let by = signers.iter().find(|(_, key)| key.made(signature, text));
        if let Some((fingerprint, _)) = by
            && !valid.contains(fingerprint)
        {
            valid.push(fingerprint.clone());
        }
    }
    valid.sort();
    valid
}

fn issuers(signatures: &[Signature]) -> String {
    let mut names: Vec<String> = signatures
        .iter()
        .flat_map(|sig| {
            let exact = sig.issuer_fingerprint();
            if exact.is_empty() {
                let ids = sig.issuer_key_id();
                return ids.iter().map(|id| id.to_string()).collect::<Vec<_>>();
            }
            exact.iter().map(|print| format!("{print:x}")).collect()
        })
        .collect();
    names.sort();
    names.join(", ")
}

impl Release {
    fn read(
        stanza: Stanza,
        asked: &SuiteName,
        signed_by: Vec<Fingerprint>,
    ) -> Result<Self, ReleaseError> {
        let view = stanza.view();
        let date = date("Date", view.require("Date")?)?;
        let valid_until = view
            .get("Valid-Until")
            .map(|text| self::date("Valid-Until", text))
            .transpose()?;
        let mut files = BTreeMap::new();
        for line in view.require("SHA256")?.lines() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let bad = || ReleaseError::File(line.to_owned());
            let mut words = line.split_whitespace();
            let (Some(digest), Some(size), Some(path), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(bad());
            };
            let digest = digest.parse().map_err(|_| bad())?;
            let size = ByteSize::bytes(size.parse().map_err(|_| bad())?);
            files.insert(path.to_owned(), (digest, size));
        }
        Ok(Self {
            suite: asked.clone(),
            date,
            valid_until,
            signed_by,
            files,
            stanza,
        })
    }

    fn check(&self, asked: &SuiteName, now: Epoch) -> Result<(), ReleaseError> {
        let field = |name: &str| self.stanza.get(name).unwrap_or_default().to_owned();
        let (suite, codename) = (field("Suite"), field("Codename"));
        if suite != asked.as_str() && codename != asked.as_str() {
            return Err(ReleaseError::Suite {
                asked: asked.clone(),
                suite,
                codename,
            });
        }
        if self.date > now {
            return Err(ReleaseError::Future {
                suite: asked.clone(),
                date: field("Date"),
                now,
            });
        }
        if self.valid_until.is_some_and(|until| until < now) {
            return Err(ReleaseError::Expired {
                suite: asked.clone(),
                until: field("Valid-Until"),
                now,
            });
        }
        Ok(())
    }

    /// The suite as it was asked for.
    #[must_use]
    pub const fn suite(&self) -> &SuiteName {
        &self.suite
    }

    /// When the release was made.
    #[must_use]
    pub const fn date(&self) -> Epoch {
        self.date
    }

    /// Until when it may be used, where it says so.
    #[must_use]
    pub const fn valid_until(&self) -> Option<Epoch> {
        self.valid_until
    }

    /// The pinned keys by which it is validly signed; at least one.
    #[must_use]
    pub fn signed_by(&self) -> &[Fingerprint] {
        &self.signed_by
    }

    /// A field of the signed text, as in `Version` or `Codename`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.stanza.get(name)
    }

    /// The list of binary packages of a component.
    ///
    /// # Errors
    /// [`ReleaseError::NoIndex`] when the release has no such component or architecture.
    pub fn index(&self, component: &Component, arch: Arch) -> Result<IndexRef, ReleaseError> {
        let dir = format!("{component}/binary-{arch}");
        let path = format!("{dir}/Packages.xz");
        let field = |name: &str| self.stanza.get(name).unwrap_or("nothing").to_owned();
        let &(sha256, size) = self.files.get(&path).ok_or_else(|| ReleaseError::NoIndex {
            suite: self.suite.clone(),
            path: path.clone(),
            components: field("Components"),
            architectures: field("Architectures"),
        })?;
        let yes = |name: &str| self.stanza.get(name) == Some("yes");
        let by_hash = if yes("Acquire-By-Hash") {
            format!("{dir}/by-hash/SHA256/{sha256}")
        } else {
            path.clone()
        };
        Ok(IndexRef {
            suite: self.suite.clone(),
            component: component.clone(),
            by_hash,
            path,
            sha256,
            size,
            not_automatic: yes("NotAutomatic"),
        })
    }
}

/// A date as RFC 5322 writes it, always in UTC.
fn date(field: &'static str, text: &str) -> Result<Epoch, ReleaseError> {
    let bad = || ReleaseError::Date {
        field,
        text: text.to_owned(),
    };
    let format = format_description!(
        "[weekday repr:short], [day padding:none] [month repr:short] [year] [hour]:[minute]:[second]"
    );
    let plain = ["UTC", "GMT", "+0000"]
        .iter()
        .find_map(|zone| text.trim().strip_suffix(zone))
        .ok_or_else(bad)?;
    let time = PrimitiveDateTime::parse(plain.trim(), &format).map_err(|_| bad())?;
    u64::try_from(time.assume_utc().unix_timestamp())
        .ok()
        .and_then(|seconds| Epoch::try_from(seconds).ok())
        .ok_or_else(bad)
}
