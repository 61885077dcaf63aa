//! The words every other crate speaks.
//!
//! - [`Digest`]: a SHA-256; [`Hasher`] and [`Hashed`] compute one while bytes stream by.
//! - [`Arch`]: the machine architectures an image can be built for.
//! - [`HostName`], [`NodeName`], [`ClusterName`]: checked names.
//! - [`TreePath`]: a normalised path inside an image; [`Tree`]: files with owners and modes.
//! - [`ByteSize`], [`Epoch`]: sizes and the one instant that stands for "now" in every output.
//! - [`event`]: what long work reports upwards; only the command line prints.
//!
//! Nothing here does I/O, reads a clock or the environment.

mod arch;
mod digest;
mod epoch;
pub mod event;
mod hashed;
mod name;
mod path;
mod size;
pub mod tree;

pub use arch::{Arch, ArchError};
pub use digest::{Digest, DigestError, Hasher, SavedHasher, add_zeros};
pub use epoch::{Epoch, EpochError};
pub use event::{Event, Events};
pub use hashed::Hashed;
pub use name::{ClusterName, HostName, NameError, NodeName};
pub use path::{PathError, TreePath};
pub use size::{ByteSize, SizeError};
pub use tree::{Body, Entry, Kind, Meta, Tree};
