//! Running the pinned compiler on the locked modules, in a sandbox.

use crate::bundle::BundleError;
use crate::host::write_main_module;
use crate::lock::GoLock;
use crate::sandbox::{Confinement, Namespaces, SandboxError};
use crate::toolchain::ToolchainError;
use crate::workshop::{Workshop, WorkshopRequest};
use imgbuild_base::{Arch, Events};
use std::io;
use std::path::Path;
use std::process::ExitStatus;

/// What to compile. With equal lock, architecture and values the programs are equal, wherever
/// this runs.
#[derive(Clone, Debug)]
pub struct CompileRequest<'a> {
    /// What the bundles are checked against, and what to build.
    pub lock: &'a GoLock,
    /// The toolchain's bundle for this host.
    pub toolchain: &'a Path,
    /// The modules' bundle.
    pub modules: &'a Path,
    /// For which machine.
    pub arch: Arch,
    /// String variables set at link time (`-X`): `package.name` and value.
    pub values: &'a [(String, String)],
    /// An existing empty directory that holds up to 1 GiB meanwhile; the caller removes it.
    pub scratch: &'a Path,
    /// Whether to use namespaces; [`Namespaces::Try`] unless a test wants otherwise.
    pub namespaces: Namespaces,
}

/// One compiled program.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    /// Its file name, from the lock.
    pub name: String,
    /// The executable.
    pub bytes: Vec<u8>,
}

/// Programs in the order of the lock, and how they were made.
#[derive(Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The programs.
    pub programs: Vec<Program>,
    /// How well the compiler was confined; not part of the result's identity.
    pub confinement: Confinement,
}

/// Why nothing was compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// No compiler for this host.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// This program runs on a system for which no compiler is pinned.
    #[error("compiling needs Linux on amd64 or arm64; use etcd's source = \"release\" here")]
    Host,
    /// The modules' bundle is not the pinned one.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// It could not be confined.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A value for `-X` that the linker's flags cannot hold.
    #[error("{0:?} cannot be set at link time: expected no quotes, spaces or newlines")]
    Value(String),
    /// The compiler said no.
    #[error("go build {program} for {arch} failed ({status}): {stderr}")]
    Go {
        /// The program.
        program: String,
        /// The architecture.
        arch: Arch,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote.
        stderr: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Compiles every program of the lock.
///
/// # Errors
/// [`CompileError`].
pub fn compile(request: &CompileRequest<'_>, events: &Events) -> Result<Compiled, CompileError> {
    let lock = request.lock;
    let mut workshop = Workshop::set_up(&WorkshopRequest {
        toolchain: (&lock.toolchain, request.toolchain),
        modules: (lock.modules, request.modules),
        arch: request.arch,
        scratch: request.scratch,
        namespaces: request.namespaces,
    })?;
    write_main_module(lock, &workshop.dir("main")?)?;
    let flags = linker_flags(request.values)?;
    let flags = [
        "-mod=readonly",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        &flags,
    ];
    let programs = lock
        .programs
        .iter()
        .map(|(name, package)| workshop.build(name, "main", package, &flags, events))
        .collect::<Result<_, _>>()?;
    let confinement = workshop
        .confinement()
        .ok_or_else(|| SandboxError::Setup("the lock names no program to build".to_owned()))?;
    Ok(Compiled {
        programs,
        confinement,
    })
}

fn linker_flags(values: &[(String, String)]) -> Result<String, CompileError> {
    let mut flags = "-s -w -buildid=".to_owned();
    for (name, value) in values {
        let text = format!("{name}={value}");
        if text.contains(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'')) {
            return Err(CompileError::Value(text));
        }
        flags += &format!(" -X {text}");
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_that_survive_quoting_are_taken() {
        let value = |text: &str| [("a/b.C".to_owned(), text.to_owned())];
        assert_eq!(
            linker_flags(&value("x")).unwrap(),
            "-s -w -buildid= -X a/b.C=x"
        );
        for bad in ["x y", "'x'", "\"", "x\n"] {
            let error = linker_flags(&value(bad)).unwrap_err();
            assert!(matches!(error, CompileError::Value(_)), "{error}");
        }
    }
}
