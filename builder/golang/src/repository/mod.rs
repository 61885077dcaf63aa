//! Compiling programs as their own repository builds them.
//!
//! A module proxy serves each module of a repository by itself. Here they are put side by side
//! again, each where the `replace` lines of the others say, and each program's own module is
//! the main one: its `go.mod` selects every version, its `go.sum` checks them, and go stamps the
//! program as it does in a clone of the repository. Of the commit go learns from a small program
//! that stands in for git ([`Commit`]).
//!
//! [`acquire`] needs the network and gives two [`bundle`]s; [`build`] needs nothing else.

mod commit;

pub use commit::{Commit, CommitError};

use crate::bundle::{self, BundleError, publish};
use crate::compile::{CompileError, Program};
use crate::dirhash::{DirhashError, H1};
use crate::gosum::{GoSum, GoSumError, ModuleHash};
use crate::host::{HostError, HostGo};
use crate::lock::ToolchainLock;
use crate::module_zip;
use crate::modules::{self, ModulesError, cache};
use crate::sandbox::Namespaces;
use crate::workshop::{Workshop, WorkshopRequest};
use imgbuild_base::{Arch, Digest, Events, TreePath};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Where the repository is while it is built.
const DIR: &str = "repository";

/// A program of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MainModule {
    /// The program's file name.
    pub name: &'static str,
    /// The path of the module that it is the main package of.
    pub path: &'static str,
    /// The module's directory in the repository.
    pub dir: &'static str,
}

/// Which repository.
#[derive(Clone, Copy, Debug)]
pub struct RepositoryRequest<'a> {
    /// The version of its programs' modules.
    pub version: &'a str,
    /// Its programs.
    pub programs: &'a [MainModule],
    /// Hashes that modules must have, where they are in it.
    pub known: &'a GoSum,
}

/// A file and its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Where it is.
    pub path: PathBuf,
    /// Its SHA-256.
    pub digest: Digest,
}

/// What a repository's programs are compiled from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundles {
    /// The repository's modules, each in its directory.
    pub tree: Bundle,
    /// All other modules, as a proxy serves them.
    pub modules: Bundle,
}

/// Why a repository could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// `go` failed.
    #[error(transparent)]
    Go(#[from] HostError),
    /// A module is not the one that is pinned.
    #[error("{module} has hash {found}, but {expected} is expected: do not use this proxy")]
    Hash {
        /// Which.
        module: ModuleHash,
        /// As pinned, or as go says.
        expected: String,
        /// As it is.
        found: H1,
    },
    /// A module's archive is damaged.
    #[error("{module}")]
    Zip {
        /// Which.
        module: ModuleHash,
        /// What is wrong.
        #[source]
        source: DirhashError,
    },
    /// A `replace` line leads out of the repository.
    #[error("{dir}/go.mod replaces {module} by {by}, which is not in the repository")]
    Outside {
        /// The directory.
        dir: String,
        /// What is replaced.
        module: String,
        /// By what.
        by: String,
    },
    /// Two programs want one directory to hold two things.
    #[error("{dir} would have to hold both {first} and {second}")]
    Conflict {
        /// The directory.
        dir: String,
        /// One module.
        first: String,
        /// The other one.
        second: String,
    },
    /// A `go.sum` cannot be read, or two of them disagree.
    #[error("the go.sum files of the repository")]
    GoSum(#[from] GoSumError),
    /// The modules could not be bundled.
    #[error(transparent)]
    Modules(#[from] ModulesError),
    /// The tree could not be bundled.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is read of a `go.mod`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GoMod {
    require: Option<Vec<Required>>,
    replace: Option<Vec<Replaced>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Required {
    path: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Replaced {
    old: Named,
    new: Named,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    path: String,
}

/// Downloads the repository's modules and all that its programs need, checks them and bundles
/// them in the existing empty directory `scratch`, which the caller removes. Modules that are
/// not in `known` Go checks against the programs' `go.sum`, or the checksum database.
///
/// # Errors
/// [`RepositoryError`].
pub fn acquire(
    request: &RepositoryRequest<'_>,
    go: &HostGo,
    scratch: &Path,
) -> Result<Bundles, RepositoryError> {
    let (home, tree) = (scratch.join("home"), scratch.join("tree"));
    for dir in [&home, &tree] {
        fs_err::create_dir(dir)?;
    }
    let mut layout = Layout {
        request,
        go,
        home: &home,
        tree: &tree,
        modules: BTreeMap::new(),
        files: BTreeMap::new(),
    };
    for program in request.programs {
        let module = module(program.path, request.version);
        layout.put(program.dir, module)?;
    }
    for program in request.programs {
        for (dir, module) in layout.replaced(program.dir)? {
            layout.put(&dir, module)?;
        }
    }
    let files = layout.files;
    let mut sums = String::new();
    for program in request.programs {
        let dir = tree.join(program.dir);
        go.load(&home, &dir, &["."])?;
        sums += &fs_err::read_to_string(dir.join("go.sum"))?;
    }
    let mut sum: GoSum = sums.parse()?;
    let downloaded = cache(&home);
    sum.retain(|module| downloaded.join(modules::file_name(module)).is_file());
    let bundle = |name: &str| scratch.join(name);
    let (tree, modules) = (bundle("tree.tar"), bundle("modules.tar"));
    Ok(Bundles {
        tree: Bundle {
            digest: publish(&tree, None, |writer| {
                files
                    .iter()
                    .try_for_each(|(name, bytes)| writer.add(name, false, bytes))
            })?,
            path: tree,
        },
        modules: Bundle {
            digest: modules::pack(&downloaded, &sum, &modules, None)?,
            path: modules,
        },
    })
}

/// The archive of a module.
fn module(path: &str, version: &str) -> ModuleHash {
    ModuleHash {
        path: path.to_owned(),
        version: version.to_owned(),
        go_mod: false,
    }
}

/// A repository that is being put together.
struct Layout<'a> {
    request: &'a RepositoryRequest<'a>,
    go: &'a HostGo,
    home: &'a Path,
    tree: &'a Path,
    /// What is in which directory.
    modules: BTreeMap<String, ModuleHash>,
    /// Every file so far.
    files: BTreeMap<String, Vec<u8>>,
}

impl Layout<'_> {
    /// Puts a module into its directory, unless it is there.
    fn put(&mut self, dir: &str, module: ModuleHash) -> Result<(), RepositoryError> {
        match self.modules.get(dir) {
            Some(there) if *there == module => return Ok(()),
            Some(there) => {
                return Err(RepositoryError::Conflict {
                    dir: dir.to_owned(),
                    first: there.to_string(),
                    second: module.to_string(),
                });
            }
            None => {}
        }
        let name = format!("{}@{}", module.path, module.version);
        let place = |file: &str| {
            let path = TreePath::new(&format!("{dir}/{file}")).ok()?;
            Some(path.as_str().to_owned())
        };
        for one in self.go.download(self.home, std::slice::from_ref(&name))? {
            let bad = |source| RepositoryError::Zip {
                module: module.clone(),
                source,
            };
            let bytes = fs_err::read(&one.zip)?;
            let found = H1::of_zip(io::Cursor::new(&bytes)).map_err(bad)?;
            let pinned = self.request.known.get(&module);
            let expected = pinned.map_or(one.sum, |hash| hash.to_string());
            if found.to_string() != expected {
                return Err(RepositoryError::Hash {
                    module,
                    expected,
                    found,
                });
            }
            let files = module_zip::files(io::Cursor::new(&bytes), &format!("{name}/"), place);
            for (file, bytes) in files.map_err(bad)? {
                let path = self.tree.join(&file);
                fs_err::create_dir_all(path.parent().unwrap_or(self.tree))?;
                fs_err::write(path, &bytes)?;
                self.files.insert(file, bytes);
            }
        }
        self.modules.insert(dir.to_owned(), module);
        Ok(())
    }

    /// The modules that the one in `dir` takes from the repository, and their directories.
    fn replaced(&self, dir: &str) -> Result<Vec<(String, ModuleHash)>, RepositoryError> {
        let read: GoMod = self.go.read_go_mod(self.home, &self.tree.join(dir))?;
        let required: BTreeMap<String, String> = read
            .require
            .into_iter()
            .flatten()
            .map(|one| (one.path, one.version))
            .collect();
        let replaced = read.replace.into_iter().flatten();
        replaced
            // Some replace what must never be required.
            .filter_map(|one| Some((required.get(&one.old.path)?, one)))
            .map(
                |(version, Replaced { old, new })| match beside(dir, &new.path) {
                    Some(to) => Ok((to, module(&old.path, version))),
                    None => Err(RepositoryError::Outside {
                        dir: dir.to_owned(),
                        module: old.path,
                        by: new.path,
                    }),
                },
            )
            .collect()
    }
}

/// The directory to which a path leads from another one, if it stays below the top.
fn beside(dir: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = dir.split('/').collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()?),
            "." => {}
            part => parts.push(part),
        }
    }
    let to = TreePath::new(&parts.join("/")).ok()?;
    Some(to.as_str().to_owned()).filter(|to| !to.is_empty())
}

/// What to compile, and how. With equal bundles, programs, architecture, flags and commit the
/// programs are equal, wherever this runs.
#[derive(Clone, Copy, Debug)]
pub struct RepositoryBuild<'a> {
    /// The compiler, and its bundle for this host.
    pub toolchain: (&'a ToolchainLock, &'a Path),
    /// What [`acquire`] gave.
    pub bundles: &'a Bundles,
    /// The programs.
    pub programs: &'a [MainModule],
    /// For which machine.
    pub arch: Arch,
    /// Flags for `go build`.
    pub flags: &'a [String],
    /// What they are stamped with.
    pub commit: Option<&'a Commit>,
    /// The path of the module at the repository's top; without it go finds no versions in tags.
    pub top: Option<&'a str>,
    /// An existing empty directory that holds up to 1 GiB meanwhile; the caller removes it.
    pub scratch: &'a Path,
    /// Whether to use namespaces; [`Namespaces::Try`] unless a test wants otherwise.
    pub namespaces: Namespaces,
}

/// Compiles the programs.
///
/// # Errors
/// [`CompileError`].
pub fn build(request: &RepositoryBuild<'_>, events: &Events) -> Result<Vec<Program>, CompileError> {
    let Bundles { tree, modules } = request.bundles;
    let mut workshop = Workshop::set_up(&WorkshopRequest {
        toolchain: request.toolchain,
        modules: (modules.digest, &modules.path),
        arch: request.arch,
        scratch: request.scratch,
        namespaces: request.namespaces,
    })?;
    let dir = workshop.dir(DIR)?;
    bundle::unpack(&tree.path, tree.digest, &dir)?;
    if let Some(top) = request.top {
        fs_err::write(dir.join("go.mod"), format!("module {top}\n"))?;
    }
    let mut flags: Vec<&str> = request.flags.iter().map(String::as_str).collect();
    match request.commit {
        Some(commit) => {
            workshop.add_tool("git", &commit.git(), events)?;
            // By this go knows a repository.
            fs_err::create_dir(dir.join(".git"))?;
            flags.push("-buildvcs=true");
        }
        None => flags.push("-buildvcs=false"),
    }
    let programs = request.programs.iter();
    programs
        .map(|one| workshop.build(one.name, &format!("{DIR}/{}", one.dir), ".", &flags, events))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_stay_in_the_repository() {
        assert_eq!(
            beside("server", "../client/v3").as_deref(),
            Some("client/v3")
        );
        assert_eq!(beside("client/v3", "../../api").as_deref(), Some("api"));
        assert_eq!(beside("server", "./x").as_deref(), Some("server/x"));
        for out in ["..", "../..", "../../x", "../../../x"] {
            assert_eq!(beside("server", out), None, "{out}");
        }
    }
}
