//! The content-addressed store: what was fetched or built once is kept under its SHA-256.
//!
//! A tour:
//!
//! - [`Store`] is a directory opened for use; several processes may have it open at once.
//! - [`Store::writer`] gives an [`ObjectWriter`] (a stream, hashed as it passes),
//!   [`Store::seek_writer`] a [`SeekWriter`] (for formats whose header is patched at the end)
//!   and [`Store::partial_writer`] one that a later run can continue. Committing yields an
//!   [`Object`], whose [`Object::bytes`] are mapped into memory, never copied.
//! - A [`StepKey`] names a step of a plan; [`Store::record`] remembers its [`StepResult`],
//!   [`Store::result`] finds it again, [`Store::lock`] keeps two imgbuilds from doing the
//!   same work twice, and [`Store::realise`] is the three of them together.
//! - [`Store::set_root`], [`Store::gc`], [`Store::du`] and [`Store::verify`] look after it.
//!
//! The crate knows neither Debian nor etcd. What it knows of a step is a kind, a digest and a
//! line for people.
//!
//! **Secrets never enter the store.** Its files are readable by everybody who can reach the
//! directory, live as long as their roots, and are shared between clusters. Whatever is made
//! from a cluster's secret (node layers, disk images with a node layer in them, certificates'
//! keys) is computed in memory and written to the output directory only. That is why a result
//! carries digests and short texts, and why nothing here writes under a name of the caller's
//! choosing but roots.
//!
//! # The directory
//!
//! ```text
//! VERSION                  "imgbuild store 1"; another version is refused, never converted in place
//! objects/ab/abcdef…       one file per content, 0444, its name the SHA-256 of its bytes
//! results/<kind>/<key>     what a step gave: a small JSON file naming objects and their lengths
//! roots/<name>             step keys and digests, one per line, that gc must keep
//! partial/<digest>         a download that was cut off, to be continued; locked while it grows
//! tmp/<pid>-<n>/           what one process is writing; its `lock` is held while it lives
//! locks/<kind>-<key>       held exclusively by whoever builds that step
//! gc.lock                  held shared by every open store, exclusively by gc
//! tmp.lock                 held for the moment in which a directory under tmp/ comes or goes
//! ```
//!
//! # What keeps it sound
//!
//! An object is written under `tmp/`, hashed, synchronised to the disk and only then renamed
//! to its name: there is no moment at which a wrong or short file bears a digest's name,
//! whether the process is killed, the disk fills up or the power fails. A result is written
//! and renamed after its objects, and is believed only while every object it names is there
//! with the right length: a rename that a power cut undid costs a rebuild and nothing else.
//! Results are not synchronised (a build makes a hundred of them, and each would wait for the
//! disk): what a power cut can leave of one, nothing, its beginning, or zeros in places, is
//! not JSON, counts as no result and costs a rebuild as well. Roots are synchronised, since
//! the loss of one would make `gc` remove what somebody wanted kept.
//! Objects are never written to again; they are only removed, and a process that has one
//! mapped keeps it.
//!
//! All locks are `flock(2)`: the kernel releases them when their holder dies, so that nothing
//! has to be broken by hand or by age. Files left under `tmp/` by the dead are removed by the
//! next to open the store.
//!
//! # Garbage collection
//!
//! Looking a result or an object up sets its file's modification time: the time of last use.
//! [`Store::gc`] needs the store for itself (it does not wait, it refuses) and then removes what
//! no root reaches and what was not used for long, or, oldest first, what exceeds a size.

mod error;
mod files;
mod gc;
mod layout;
mod lock;
mod map;
mod object;
mod opening;
mod result;
mod store;
mod verify;
mod writer;

pub use error::StoreError;
pub use gc::{GcPolicy, GcReport, KindUsage, Usage};
pub use lock::Guard;
pub use object::Object;
pub use result::{KindError, Output, Realised, StepKey, StepKind, StepResult};
pub use store::{Scratch, Store};
pub use verify::{Corrupt, VerifyReport};
pub use writer::{ObjectWriter, SeekWriter};
