//! Debian as data. Pure functions over bytes: no network, no file system, no clock; "now" is
//! a parameter.
//!
//! From a mirror's bytes to chosen packages, each step giving a type that only it can make:
//!
//! 1. [`release::verify_inrelease`]: signed bytes and a [`release::Keyring`] become a
//!    [`release::Release`], which names indexes by hash ([`release::IndexRef`]).
//! 2. [`release::IndexRef::verify`]: downloaded bytes become an [`index::VerifiedIndex`], read
//!    into [`index::Record`]s that borrow from it.
//! 3. [`resolve::resolve`]: indexes and wanted packages become [`lock::LockedPackage`]s: what
//!    a lock remembers.
//!
//! From a package's bytes to files: [`deb::unpack`].
//!
//! The vocabulary: [`version::Version`] with dpkg's order, [`relation`] (the grammar of
//! `Depends`), [`control`] (stanzas of fields).

pub mod control;
pub mod copyright;
pub mod deb;
pub mod index;
pub mod lock;
pub mod relation;
pub mod release;
pub mod resolve;
pub mod version;
