use crate::elf::{self, ElfError};
use crate::version::EtcdVersion;
use bytes::Bytes;
use imgbuild_base::{Arch, Body, Digest, Entry, Epoch, Kind, Meta, PathError, Tree, TreePath};
use imgbuild_golang::{GoVersion, H1};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The programs every source has to give.
pub const PROGRAMS: [&str; 3] = ["etcd", "etcdctl", "etcdutl"];

/// Where the note of their origin is in a layer.
pub const NOTE: &str = "usr/share/doc/imgbuild/etcd-origin.json";

/// What binaries were made from. It holds nothing that differs between two builds of one lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "lowercase")]
pub enum Origin {
    /// Upstream's archive.
    Release {
        /// etcd's version.
        version: EtcdVersion,
        /// The archive's file name.
        archive: String,
        /// The archive's SHA-256.
        sha256: Digest,
    },
    /// Compiled here.
    Build {
        /// etcd's version.
        version: EtcdVersion,
        /// The compiler's version.
        go: GoVersion,
        /// SHA-256 of the bundle of modules.
        modules: Digest,
        /// Every module compiled in, `path version`, and its hash in go.sum.
        module_hashes: BTreeMap<String, H1>,
    },
    /// Debian's packages.
    Debian {
        /// Package names with `=version`, and the SHA-256 of each package file.
        packages: BTreeMap<String, Digest>,
    },
}

/// etcd, etcdctl and etcdutl for one architecture.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdBinaries {
    arch: Arch,
    programs: BTreeMap<&'static str, Body>,
    origin: Origin,
}

/// Why programs cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BinariesError {
    /// One of the three is not there.
    #[error("there is no {0}: expected etcd, etcdctl and etcdutl")]
    Missing(&'static str),
    /// One is no program.
    #[error("{program} cannot be used: {source}")]
    Elf {
        /// Which.
        program: &'static str,
        /// What is wrong.
        source: ElfError,
    },
    /// One is for another machine.
    #[error("{program} is for {found}, expected {expected}")]
    Arch {
        /// Which.
        program: &'static str,
        /// What it should be for.
        expected: Arch,
        /// What it is for.
        found: Arch,
    },
    /// One needs a loader and libraries, but layers with etcd hold none.
    #[error("{0} is not statically linked")]
    Dynamic(&'static str),
}

impl EtcdBinaries {
    /// Takes programs by name and checks each. Only Debian's may need the system's libraries,
    /// which their packages' dependencies bring.
    ///
    /// # Errors
    /// [`BinariesError`].
    pub fn new(
        arch: Arch,
        mut programs: BTreeMap<String, Bytes>,
        origin: Origin,
    ) -> Result<Self, BinariesError> {
        let mut checked = BTreeMap::new();
        for program in PROGRAMS {
            let bytes = programs
                .remove(program)
                .ok_or(BinariesError::Missing(program))?;
            let found =
                elf::inspect(&bytes).map_err(|source| BinariesError::Elf { program, source })?;
            if found.arch != arch {
                return Err(BinariesError::Arch {
                    program,
                    expected: arch,
                    found: found.arch,
                });
            }
            if !found.is_static && !matches!(origin, Origin::Debian { .. }) {
                return Err(BinariesError::Dynamic(program));
            }
            checked.insert(program, Body::new(bytes));
        }
        Ok(Self {
            arch,
            programs: checked,
            origin,
        })
    }

    /// The machine they are for.
    #[must_use]
    pub const fn arch(&self) -> Arch {
        self.arch
    }

    /// What they were made from.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Each program's name and content, in the order of [`PROGRAMS`].
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Bytes)> {
        self.programs
            .iter()
            .map(|(name, body)| (*name, body.bytes()))
    }

    /// The note of their origin: JSON with the source and each program's SHA-256.
    #[must_use]
    pub fn note(&self) -> String {
        #[derive(Serialize)]
        struct Note<'a> {
            arch: Arch,
            origin: &'a Origin,
            programs: BTreeMap<&'a str, Digest>,
        }
        let note = Note {
            arch: self.arch,
            origin: &self.origin,
            programs: self
                .programs
                .iter()
                .map(|(name, body)| (*name, body.digest()))
                .collect(),
        };
        // Maps with text keys and plain values: there is nothing in it that JSON cannot hold.
        serde_json::to_string_pretty(&note).map_or_else(|error| error.to_string(), |t| t + "\n")
    }

    /// The programs in `dir` (0755) and the note at [`NOTE`], all of root's and of time `epoch`.
    ///
    /// # Errors
    /// [`PathError`] never in practice: it needs a `dir` whose name is too long.
    pub fn layer_tree(&self, dir: &TreePath, epoch: Epoch) -> Result<Tree, PathError> {
        let mut tree = Tree::new();
        for (name, body) in &self.programs {
            let entry = Entry {
                meta: Meta::root(0o755, epoch),
                kind: Kind::File(body.clone()),
            };
            tree.put(dir.join(name)?, entry);
        }
        let meta = Meta::root(0o644, epoch);
        tree.put_file(TreePath::new(NOTE)?, meta, self.note());
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::program;

    fn origin() -> Origin {
        Origin::Release {
            version: EtcdVersion::DEFAULT,
            archive: "etcd-v3.6.16-linux-arm64.tar.gz".to_owned(),
            sha256: Digest::of(b"archive"),
        }
    }

    fn programs(arch: Arch, is_static: bool) -> BTreeMap<String, Bytes> {
        PROGRAMS
            .into_iter()
            .map(|name| (name.to_owned(), program(arch, is_static).into()))
            .collect()
    }

    #[test]
    fn a_layer_holds_programs_and_their_origin() {
        let binaries =
            EtcdBinaries::new(Arch::Arm64, programs(Arch::Arm64, true), origin()).unwrap();
        let dir = TreePath::new("usr/local/bin").unwrap();
        let tree = binaries.layer_tree(&dir, Epoch::from_u32(7)).unwrap();
        for name in PROGRAMS {
            let entry = tree.at(&format!("usr/local/bin/{name}")).unwrap();
            assert_eq!(entry.meta, Meta::root(0o755, Epoch::from_u32(7)));
        }
        let note: serde_json::Value = serde_json::from_slice(tree.file(NOTE).unwrap()).unwrap();
        assert_eq!(note["origin"]["source"], "release");
        assert_eq!(note["origin"]["version"], "3.6.16");
        let digest = Digest::of(&program(Arch::Arm64, true)).to_string();
        assert_eq!(note["programs"]["etcdutl"], digest.as_str());
    }

    #[test]
    fn wrong_missing_and_dynamic_programs_are_refused() {
        let new = |arch, programs| {
            EtcdBinaries::new(arch, programs, origin())
                .map(|_| ())
                .unwrap_err()
        };
        let (expected, found, program) = (Arch::Armhf, Arch::Arm64, "etcd");
        let wrong = BinariesError::Arch {
            program,
            expected,
            found,
        };
        assert_eq!(new(expected, programs(found, true)), wrong);
        let dynamic = programs(found, false);
        assert_eq!(new(found, dynamic.clone()), BinariesError::Dynamic("etcd"));
        let mut two = programs(found, true);
        two.remove("etcdutl");
        assert_eq!(new(found, two.clone()), BinariesError::Missing("etcdutl"));
        two.insert("etcdutl".to_owned(), Bytes::from_static(b"#!/bin/sh"));
        let source = ElfError::NoElf;
        assert_eq!(
            new(found, two),
            BinariesError::Elf {
                program: "etcdutl",
                source
            }
        );

        let debian = Origin::Debian {
            packages: BTreeMap::new(),
        };
        assert!(EtcdBinaries::new(found, dynamic, debian).is_ok());
    }
}
