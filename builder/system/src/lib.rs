//! Debian without maintainer scripts: packages become a root file system, an initramfs and the
//! files of a boot partition. Nothing is run, nothing is mounted, nothing is read from the
//! host: trees go in, trees come out.
//!
//! The way through it:
//! 1. [`packages::Selection`] names the packages of a board, and those that are cut.
//! 2. [`prune::Keep`] tells, while packages are unpacked, which files an image has no use for.
//! 3. [`compose()`] lays the packages over each other and does what their maintainer scripts
//!    would have done: users ([`users`]), units ([`units`]), module indexes ([`kmod`]), …
//! 4. [`check`] finds what was cut too deep: libraries, units and users that are missing;
//!    [`outline()`] is what node layers are held against.
//! 5. [`initramfs::build`] and [`boot::files`] make what starts the node.
//!
//! All files that are ours rather than Debian's come from [`Overlays`], the folder `overlays/`
//! of the sources, compiled in and replaceable.

pub mod boot;
pub mod check;
mod compose;
mod dpkg;
mod elf;
pub mod initramfs;
pub mod kmod;
mod outline;
mod overlays;
pub mod packages;
pub mod prune;
mod regulatory;
mod resolve;
#[cfg(test)]
mod testing;
pub mod units;
pub mod users;

pub use compose::{Base, ComposeError, Kernel, Request, compose};
pub use imgbuild_recipe::resolved::Board;
pub use outline::outline;
pub use overlays::{OverlayError, Overlays};
pub use users::SystemIds;
