//! What was built, booted: single machines and whole clusters under `imgbuild run`.
//!
//! All boots are in one program, so that they can take turns on the processors.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

#[path = "../support/mod.rs"]
mod support;

mod clusters;
mod machines;
mod walkthrough;
