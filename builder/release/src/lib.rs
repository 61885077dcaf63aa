//! What a published release says of itself, as texts: nothing here reads or writes a file.
//!
//! A release is a directory whose files vouch for each other, outermost first:
//!
//! - [`Sums`], the text of `SHA256SUMS`, has the digest of every file; a [`SigningKey`] signs it,
//!   and a [`PublicKey`] is all that is needed to check it ([`sign`]).
//! - [`Manifest`] says what every image is made of: partitions, boot files, layers.
//! - [`sbom`] lists what the images contain: packages, Go modules, firmware, with licences.
//! - [`provenance`] says what the release was made from and by what, in an [`Envelope`].
//!
//! The last two name inputs alike, as [`Material`]s, which a lock gives: so each can be held
//! against the lock and against the other.
//!
//! Everything follows from its inputs alone; the same release has the same bytes at any time.

pub mod dsse;
mod file;
pub mod licence;
pub mod manifest;
mod material;
pub mod provenance;
pub mod sbom;
pub mod sign;
mod sums;

pub use dsse::Envelope;
pub use file::{FileRecord, ReleasePath, ReleasePathError};
pub use manifest::Manifest;
pub use material::{Material, MaterialKind};
pub use sign::{PublicKey, SigningKey};
pub use sums::{Sums, SumsError};

use serde::Serialize;

/// A value as the JSON text of a file: indented, with a newline at its end.
///
/// # Errors
/// None for this crate's types; others' may refuse.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(text)
}
