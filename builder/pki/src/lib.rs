//! Keys and certificates derived from one cluster secret; the only crate that holds key material.
//!
//! A tour, from the root of all keys to what ends up on a node:
//!
//! - [`ClusterSecret`]: 32 bytes, made once per cluster. Making it is the only use of chance in
//!   imgbuild; whatever looks random afterwards is computed from it.
//! - [`KeyLabel`]: names one derived key. Different labels give unrelated keys.
//! - [`KeyKind`]: P-256, RSA or Ed25519.
//! - [`Authority`]: a certificate authority, [derived](Authority::derive) from the secret or
//!   [brought](Authority::bring) by the user. It [issues](Authority::issue) certificates.
//! - [`LeafSpec`], [`AltName`], [`Usage`]: what a certificate says. [`Issued`]: the
//!   certificate with its key.
//! - [`Certificate`]: a public certificate with the facts others ask for; [`Validity`]: when
//!   it holds.
//! - [`HostKey`]: the ed25519 host key of an ssh server.
//! - [`PrivateText`]: a private key or the secret, as text. It cannot be printed by accident.
//!
//! Equal inputs give equal bytes: signatures are deterministic, serial numbers and key identifiers
//! are digests of what they stand for, times come from the caller.
//!
//! ```
//! use imgbuild_base::Epoch;
//! use imgbuild_pki::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = ClusterSecret::from_bytes([7; 32]);
//! let now = Epoch::from_u32(1_780_000_000);
//! let ca = Authority::derive(&secret, &AuthoritySpec {
//!     label: KeyLabel::new(["ca", "etcd"]),
//!     common_name: "etcd-ca".into(),
//!     kind: KeyKind::P256,
//!     generation: 1,
//!     validity: Validity::starting(now, 3650)?,
//! })?;
//! let server = ca.issue(&secret, &LeafSpec {
//!     label: KeyLabel::new(["etcd", "server", "n1"]),
//!     common_name: "n1".into(),
//!     organisation: None,
//!     names: vec![AltName::Dns("n1".into()), AltName::Ip("10.0.0.1".parse()?)],
//!     usage: Usage::ServerAndClient,
//!     kind: KeyKind::P256,
//!     generation: 1,
//!     validity: Validity::starting(now, 365)?,
//! })?;
//! assert!(server.certificate.pem().starts_with("-----BEGIN CERTIFICATE-----"));
//! # Ok(()) }
//! ```

mod authority;
mod certificate;
mod key;
mod label;
mod private;
mod secret;
mod ssh;
mod validity;

pub use authority::{
    AltName, Authority, AuthoritySpec, BringError, IssueError, Issued, LeafSpec, Usage,
};
pub use certificate::{Certificate, CertificateError};
pub use key::{KeyError, KeyKind};
pub use label::KeyLabel;
pub use private::PrivateText;
pub use secret::{ClusterSecret, SecretError};
pub use ssh::HostKey;
pub use validity::{BACKDATED_SECONDS, Validity, ValidityError};
