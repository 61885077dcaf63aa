//! Running the pinned compiler on the locked modules, in a sandbox.

use crate::bundle::{self, BundleError};
use crate::host::{tail, write_main_module};
use crate::lock::{GoLock, HostPlatform};
use crate::sandbox::{Access, Confinement, Mount, Namespaces, Sandbox, SandboxError};
use crate::toolchain::{self, ToolchainError};
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
    let host = HostPlatform::current().ok_or(CompileError::Host)?;
    let dir = |name: &str| -> io::Result<std::path::PathBuf> {
        let dir = fs_err::canonicalize(request.scratch)?.join(name);
        fs_err::create_dir_all(&dir)?;
        Ok(dir)
    };
    let (go, modules, build) = (dir("go")?, dir("modules")?, dir("build")?);
    toolchain::unpack(&lock.toolchain, host, request.toolchain, &go)?;
    bundle::unpack(request.modules, lock.modules, &modules)?;
    write_main_module(lock, &build.join("main"))?;
    for name in ["out", "tmp"] {
        fs_err::create_dir(build.join(name))?;
    }
    // Without this go counts its own use in its home directory and starts a second process.
    let telemetry = build.join("home/.config/go/telemetry");
    fs_err::create_dir_all(&telemetry)?;
    fs_err::write(telemetry.join("mode"), "off")?;

    let mount = |name: &str, host: &Path, access| Mount {
        name: name.to_owned(),
        host: host.to_owned(),
        inside: Path::new("/").join(name),
        access,
    };
    let mut sandbox = Sandbox {
        mounts: vec![
            mount("go", &go, Access::Read),
            mount("modules", &modules, Access::Read),
            mount("build", &build, Access::Write),
        ],
        root: dir("root")?,
        env: environment(request.arch),
        argv: Vec::new(),
        cwd: "{build}/main".to_owned(),
        namespaces: request.namespaces,
    };
    let flags = linker_flags(request.values)?;
    let quiet = Events::none();
    let mut compiled = Vec::new();
    let mut confinement = None;
    for (name, package) in &lock.programs {
        let output = format!("{{build}}/out/{name}");
        sandbox.argv = [
            "{go}/bin/go",
            "build",
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            &flags,
            "-o",
            &output,
            package,
        ]
        .map(str::to_owned)
        .into();
        // One warning is enough for all programs.
        let first = confinement.is_none();
        let done = sandbox.run(if first { events } else { &quiet })?;
        confinement = Some(done.confinement);
        if !done.status.success() {
            return Err(CompileError::Go {
                program: name.clone(),
                arch: request.arch,
                status: done.status,
                stderr: tail(&done.stderr),
            });
        }
        compiled.push(Program {
            name: name.clone(),
            bytes: fs_err::read(build.join("out").join(name))?,
        });
    }
    let confinement = confinement
        .ok_or_else(|| SandboxError::Setup("the lock names no program to build".to_owned()))?;
    Ok(Compiled {
        programs: compiled,
        confinement,
    })
}

/// Everything the compiler knows of the world.
fn environment(arch: Arch) -> Vec<(String, String)> {
    let mut env = vec![
        ("HOME", "{build}/home"),
        ("TMPDIR", "{build}/tmp"),
        ("GOTMPDIR", "{build}/tmp"),
        ("GOROOT", "{go}"),
        ("GOPATH", "{build}/path"),
        ("GOMODCACHE", "{build}/mod"),
        ("GOCACHE", "{build}/cache"),
        ("GOPROXY", "file://{modules}"),
        ("GOSUMDB", "off"),
        ("GOENV", "off"),
        ("GOTOOLCHAIN", "local"),
        ("GOWORK", "off"),
        ("GO111MODULE", "on"),
        ("GOOS", "linux"),
        ("CGO_ENABLED", "0"),
        ("GOARCH", arch.goarch()),
        // The baseline of each architecture, said aloud.
        ("GOAMD64", "v1"),
        ("GOARM64", "v8.0"),
        ("LC_ALL", "C"),
        ("TZ", "UTC"),
    ];
    env.extend(arch.goarm().map(|goarm| ("GOARM", goarm)));
    env.into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
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
