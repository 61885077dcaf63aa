//! Kernel modules: which ones an image needs, and the indexes that kmod and udev read.
//!
//! The kernel's package ships modules but none of the files `depmod` makes; without them udev
//! loads no driver. [`select`] takes the wanted modules and all they depend on, [`depmod`]
//! writes `modules.dep`, `modules.alias` and the rest, as text and in kmod's binary form
//! ([`index`]).
//!
//! Sources: depmod(8), modules.dep(5) and the kernel's `.modinfo` strings.

mod depmod;
pub mod index;
mod module;
mod select;
#[cfg(test)]
mod tests;

pub use depmod::depmod;
pub use module::{Module, ModuleError};
pub use select::{Modules, select};
pub use select::{SelectError, Wanted, wanted};

/// The name under which modules are compared: hyphens are underscores, as the kernel has it.
#[must_use]
pub fn canonical(name: &str) -> String {
    name.replace('-', "_")
}
