//! Downloads of files whose SHA-256 is known beforehand.
//!
//! Where a file comes from does not matter when its digest is pinned: a mirror of somebody
//! else's, plain http, a directory on a stick. This crate tries one place after the other until
//! the right bytes have come, and lets no others through.
//!
//! - A [`Location`] is one place: an `http`, `https` or `file` URL, or an absolute path.
//! - [`mirrors`] makes the ordered list of places where Debian's archive may be had.
//! - An [`Item`] is one file wanted: its digest, its length, its places.
//! - A [`Fetcher`] fetches many items side by side into a [`Sink`], which the caller plugs into
//!   its store; [`Fetcher::fetch_bytes`] keeps small ones in memory.
//! - [`Fetcher::get_unpinned`] is for the one kind of file that no digest is known of, a signed
//!   index: it comes as [`Unverified`] and is of no use before it is checked.
//!
//! The calls block; a tokio runtime lives inside the [`Fetcher`] and nowhere else. Proxies are
//! taken from the environment (`http_proxy`, `https_proxy`, `no_proxy`, `all_proxy`), CA
//! certificates from the system or from `SSL_CERT_FILE` and `SSL_CERT_DIR`.
//!
//! # How a file is fetched
//!
//! Its places are tried in order. A connection that is cut off, or silent for too long, is taken
//! up again where it stopped (RFC 9110, section 14), at the same place while it makes progress,
//! then at the next: bytes of one digest are the same everywhere. A place that does not have the
//! file, sends more than was asked for or the wrong bytes is not asked again. When all have
//! failed and one of them could still recover, there is a pause and another round. The
//! error lists every place and what it did.

mod download;
mod error;
mod fetcher;
mod item;
mod local;
mod location;
pub mod mirrors;
mod sink;
mod unverified;

pub use error::{Fault, FetchError, ItemError, Try};
pub use fetcher::{FetchOptions, Fetcher};
pub use item::Item;
pub use location::{Location, LocationError};
pub use sink::{Sink, Target};
pub use unverified::Unverified;
