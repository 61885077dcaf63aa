//! Cross-compiling Go programs from locked modules with a pinned toolchain in a sandbox
//! without network.
//!
//! The way from a version to a binary:
//! 1. [`resolve`] asks which modules, and which Go, the wanted programs need, and writes that
//!    down as a [`GoLock`]. Go itself checks every module against the public checksum
//!    database while doing so.
//! 2. [`toolchain::acquire`] and [`modules::acquire`] turn the lock into two [`bundle`]s: plain
//!    tar files in one canonical form, whose SHA-256 is in the lock. It does not matter where
//!    the bytes come from, so any proxy and any mirror will do.
//! 3. [`compile`] unpacks both and runs the compiler in a [`sandbox`]: no network, nothing of
//!    the host's file system but the inputs, no variable of the host's environment.
//!
//! [`repository`] does the second half for programs as their own repository builds them, and
//! [`BuildInfo`] is what a program says of how it was built.
//!
//! [`dirhash`] and [`GoSum`] are Go's own notion of a module's hash, computed here, so that
//! no byte is used on another program's word. [`HostGo`] runs a `go` command as the user has
//! set it up (proxy, private modules), for downloads only.
//!
//! A program that compiles with this crate must call [`sandbox_main`] first in its `main`.

mod build_info;
pub mod bundle;
pub mod compile;
pub mod dirhash;
mod gosum;
mod host;
mod lock;
mod module_zip;
pub mod modules;
pub mod repository;
pub mod resolve;
pub mod sandbox;
mod stall;
pub mod toolchain;
mod workshop;

pub use build_info::{BuildInfo, BuildInfoError, Dependency, Difference};
pub use compile::{CompileError, CompileRequest, Compiled, Program, compile};
pub use dirhash::H1;
pub use gosum::{GoSum, GoSumError, ModuleHash};
pub use host::{HostError, HostGo};
pub use lock::{GoLock, GoVersion, GoVersionError, HostPlatform, ToolchainLock};
pub use resolve::{ResolveError, ResolveRequest, Resolved, resolve};
pub use sandbox::sandbox_main;

use std::error::Error;
use std::path::Path;

/// How a file is fetched from an address into a path: the caller's HTTP client with its
/// mirrors, retries and progress. What it fetches is always checked here afterwards.
pub type Fetch<'a> = &'a (dyn Fn(&str, &Path) -> Result<(), Box<dyn Error + Send + Sync>> + Sync);
