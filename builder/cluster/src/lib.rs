//! What an etcd node is: units, configuration, certificates, quorum; from a resolved recipe to node layers.
//!
//! Pure: a [`Recipe`](imgbuild_recipe::Recipe), the cluster's secret and the lock's epoch go
//! in, trees of files come out. A tour:
//!
//! - [`Composer`] is made once per recipe. [`Composer::node`] gives a node's layer,
//!   [`Composer::admin`] the bundle of files with which people reach the cluster,
//!   [`Composer::facts`] what a summary says.
//! - [`quorum`]: how many members may fail.
//! - [`layout`]: which certificates there are, and where a node keeps them.
//! - [`config`]: etcd's settings, as flags, environment file or configuration file.
//! - [`unit`](mod@unit) or [`pod`]: what runs etcd; [`first_start`]: what goes before it.
//! - [`etcdctl`], [`network`], [`identity`], [`access`]: the other files of a layer. What the
//!   recipe itself brings comes last: files ([`Sources`]), units, what the kernel is told; it is
//!   held against what is in the layers [`Below`].
//! - [`overlay`]: what of a node goes onto a machine that has an operating system already.
//! - [`check_clock`]: proves that a node's clock cannot start before its certificates hold.
//!
//! The layer holds only what differs between nodes or must stay private; it is a few
//! kilobytes. Its files come from `overlays/etcd` and `overlays/node`, which are compiled in.
//! The key of the certificate authority is in none of them.

pub mod access;
pub mod admin;
mod below;
mod clock;
mod composer;
pub mod config;
mod error;
pub mod etcdctl;
mod files;
pub mod first_start;
pub mod identity;
mod kernel;
mod layer;
pub mod layout;
pub mod network;
pub mod overlay;
pub mod pod;
pub mod quorum;
mod quote;
mod template;
pub mod unit;
mod units;

pub use below::Below;
pub use clock::{CLOCK_FLOOR, ClockError, certificates, check_clock, leaves};
pub use composer::{ClientRequest, Composer, Facts};
pub use error::ComposeError;
pub use files::Sources;
pub use layer::{Owner, SystemIds};
pub use network::{Passphrase, PassphraseError, Passphrases};
pub use quorum::Quorum;
