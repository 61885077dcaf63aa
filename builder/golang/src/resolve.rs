//! From "these programs at that version" to a [`GoLock`]. Needs the network.

use crate::bundle::BundleError;
use crate::gosum::{GoSum, GoSumError};
use crate::host::{HostError, HostGo, download};
use crate::lock::{GoLock, GoVersion, HostPlatform, ToolchainLock};
use crate::modules::{self, ModulesError, cache, file_name};
use crate::toolchain::{self, Sources, ToolchainError};
use imgbuild_base::{Digest, Events};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The Go with which a host that has none asks about modules. Any recent one will do.
const BOOTSTRAP: GoVersion = GoVersion::new(1, 26, 10);

/// What to lock.
#[derive(Clone, Debug)]
pub struct ResolveRequest<'a> {
    /// The path of the main module that will select versions; it is never published.
    pub main: &'a str,
    /// The modules that hold the programs, and their versions (`v1.2.3`).
    pub modules: &'a [(String, String)],
    /// The programs' file names and packages.
    pub programs: BTreeMap<String, String>,
    /// The Go to use; `None`: the newest one that the modules themselves ask for.
    pub go: Option<GoVersion>,
}

/// Why nothing could be locked.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// This program runs on a system for which no compiler is pinned.
    #[error("compiling needs Linux on amd64 or arm64; use etcd's source = \"release\" here")]
    Host,
    /// A module says no Go version that could be read.
    #[error("{module}'s go.mod names no released Go version (its go and toolchain lines)")]
    NoGo {
        /// The module.
        module: String,
    },
    /// `go` failed.
    #[error(transparent)]
    Go(#[from] HostError),
    /// No toolchain.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// `go` wrote a `go.sum` that cannot be read.
    #[error(transparent)]
    GoSum(#[from] GoSumError),
    /// The modules could not be bundled.
    #[error(transparent)]
    Modules(#[from] ModulesError),
    /// A bundle could not be unpacked.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What [`resolve`] found.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What to write into the lock.
    pub lock: GoLock,
    /// The bundles that were made on the way, so that a build need not fetch them again:
    /// digest and file, in the scratch directory.
    pub bundles: Vec<(Digest, std::path::PathBuf)>,
}

/// Resolves. `scratch` is an existing empty directory that holds about 1 GiB meanwhile; the
/// caller removes it.
///
/// # Errors
/// [`ResolveError`].
pub fn resolve(
    request: &ResolveRequest<'_>,
    sources: Sources<'_>,
    scratch: &Path,
    events: &Events,
) -> Result<Resolved, ResolveError> {
    let host = HostPlatform::current().ok_or(ResolveError::Host)?;
    let dir = |name: &str| -> io::Result<std::path::PathBuf> {
        let dir = scratch.join(name);
        fs_err::create_dir_all(&dir)?;
        Ok(dir)
    };
    let bootstrap;
    let asking = match sources.go {
        Some(go) => go,
        None => {
            events.note(format!("no go command found: fetching Go {BOOTSTRAP}"));
            let bundle = scratch.join("bootstrap.tar");
            let digest =
                toolchain::discover(BOOTSTRAP, host, sources, &dir("bootstrap-work")?, &bundle)?;
            let at = dir("bootstrap")?;
            crate::bundle::unpack(&bundle, digest, &at)?;
            bootstrap = HostGo::at(&at.join("bin/go"))?;
            &bootstrap
        }
    };

    let version = match request.go {
        Some(version) => version,
        None => wanted_go(request, asking, &dir("ask")?)?,
    };
    let with_go = Sources {
        go: Some(asking),
        ..sources
    };
    let mut bundles = Vec::new();
    let mut toolchain = ToolchainLock {
        version,
        bundles: BTreeMap::new(),
    };
    for platform in HostPlatform::ALL {
        let bundle = scratch.join(format!("go{version}.{platform}.tar"));
        let work = dir(&format!("toolchain-{platform}"))?;
        let digest = toolchain::discover(version, platform, with_go, &work, &bundle)?;
        fs_err::remove_dir_all(&work)?;
        toolchain.bundles.insert(platform, digest);
        bundles.push((digest, bundle.clone()));
        if platform == host {
            crate::bundle::unpack(&bundle, digest, &dir("pinned")?)?;
        }
    }
    let pinned = asking.with_binary(&scratch.join("pinned/bin/go"));

    let source = dir("main")?;
    fs_err::write(source.join("go.mod"), main_module(request, version))?;
    fs_err::write(source.join("programs.go"), imports(request))?;
    let home = dir("all")?;
    let mut tidy = pinned.command(&home, &source, "-mod=mod");
    download(tidy.args(["mod", "tidy"]), &home, "mod tidy")?;

    // A second, empty module cache, filled from the first one, holds only what the programs
    // need: tidy also downloads what their tests would.
    fs_err::remove_file(source.join("programs.go"))?;
    let (second, all) = (dir("needed")?, cache(&home));
    let packages: Vec<&str> = request.programs.values().map(String::as_str).collect();
    pinned.offline(&all).load(&second, &source, &packages)?;
    let mut go_sum: GoSum = fs_err::read_to_string(source.join("go.sum"))?.parse()?;
    let needed = cache(&second);
    go_sum.retain(|module| needed.join(file_name(module)).is_file());

    let bundle = scratch.join("modules.tar");
    let modules = modules::pack(&needed, &go_sum, &bundle, None)?;
    bundles.push((modules, bundle));
    Ok(Resolved {
        lock: GoLock {
            toolchain,
            modules,
            programs: request.programs.clone(),
            go_mod: fs_err::read_to_string(source.join("go.mod"))?,
            go_sum,
        },
        bundles,
    })
}

/// The newest Go that one of the modules names.
fn wanted_go(
    request: &ResolveRequest<'_>,
    go: &HostGo,
    home: &Path,
) -> Result<GoVersion, ResolveError> {
    let names: Vec<String> = request
        .modules
        .iter()
        .map(|(path, version)| format!("{path}@{version}"))
        .collect();
    let mut newest = None;
    for (downloaded, name) in go.download(home, &names)?.iter().zip(&names) {
        let text = fs_err::read_to_string(&downloaded.go_mod)?;
        let version = go_of(&text).ok_or_else(|| ResolveError::NoGo {
            module: name.clone(),
        })?;
        newest = newest.max(Some(version));
    }
    newest.ok_or_else(|| ResolveError::NoGo {
        module: "none of them".to_owned(),
    })
}

/// The Go a `go.mod` asks to be built with: its `toolchain` line, or else its `go` line.
fn go_of(go_mod: &str) -> Option<GoVersion> {
    let line = |word: &str| {
        go_mod
            .lines()
            .find_map(|line| line.trim().strip_prefix(word)?.split_whitespace().next())
    };
    let toolchain = line("toolchain go").and_then(|text| text.parse().ok());
    toolchain.or_else(|| line("go ").and_then(|text| text.parse().ok()))
}

fn main_module(request: &ResolveRequest<'_>, go: GoVersion) -> String {
    let mut text = format!("module {}\n\ngo {go}\n\nrequire (\n", request.main);
    for (path, version) in request.modules {
        text += &format!("\t{path} {version}\n");
    }
    text + ")\n"
}

/// A source file that needs the programs, so that tidying keeps what they need.
fn imports(request: &ResolveRequest<'_>) -> String {
    let mut text = "package programs\n\nimport (\n".to_owned();
    for package in request.programs.values() {
        text += &format!("\t_ {package:?}\n");
    }
    text + ")\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_its_go() {
        let version = |text| Some(GoVersion::new(1, 26, text));
        assert_eq!(
            go_of("module a\n\ngo 1.26.0\n\ntoolchain go1.26.10\n"),
            version(10)
        );
        assert_eq!(go_of("module a\n\ngo 1.26.3 // x\n"), version(3));
        assert_eq!(go_of("module a\n\ngo 1.26\n"), None);
        assert_eq!(go_of("module a\n"), None);
    }
}
