//! Upstream's release archives.
//!
//! Each release has, at two locations, `etcd-vX-linux-<arch>.tar.gz` and a `SHA256SUMS` over
//! all archives. They are not signed: when locking, the sum is taken from `SHA256SUMS` over
//! TLS; from then on only the digest in the lock counts, and any location will do.

use crate::binaries::{BinariesError, EtcdBinaries, Origin, PROGRAMS};
use crate::version::EtcdVersion;
use bytes::Bytes;
use imgbuild_base::{Arch, Digest, TreePath};
use imgbuild_golang::Fetch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read};
use std::path::Path;

/// The largest program that is taken from an archive, in bytes; today's are below 30 MiB.
const LARGEST: u64 = 256 << 20;

/// Where upstream's releases are: addresses under which there is a directory per tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations(Vec<String>);

/// A pinned release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseLock {
    /// etcd's version.
    pub version: EtcdVersion,
    /// SHA-256 of the archive of each architecture.
    pub archives: BTreeMap<Arch, Digest>,
}

/// Why a release cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Upstream has no such archive.
    #[error(
        "upstream releases no {0} (32-bit ARM) binaries of etcd: use source = \"build\", which \
         compiles them, or source = \"debian\""
    )]
    NoArchive(Arch),
    /// No location answered.
    #[error(
        "etcd {version}'s release could not be fetched from any location ({tried}): check the \
         version and the network, name another location, or use source = \"build\" (needs only \
         Go's modules) or source = \"debian\""
    )]
    Unreachable {
        /// Which version.
        version: EtcdVersion,
        /// What each location said.
        tried: String,
    },
    /// `SHA256SUMS` is not what it should be.
    #[error("etcd {version}'s SHA256SUMS: {why}")]
    Sums {
        /// Which version.
        version: EtcdVersion,
        /// What is wrong.
        why: String,
    },
    /// The lock pins none for this architecture.
    #[error("the lock pins no etcd {version} archive for {arch}: lock again")]
    Unpinned {
        /// Which version.
        version: EtcdVersion,
        /// The architecture.
        arch: Arch,
    },
    /// The bytes are not the pinned ones.
    #[error("{archive} has SHA-256 {found}, but the lock says {expected}")]
    Digest {
        /// The archive.
        archive: String,
        /// What the lock says.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// The archive is not built as upstream's are.
    #[error("{archive}: {why}")]
    Archive {
        /// The archive.
        archive: String,
        /// What is wrong.
        why: String,
    },
    /// What is in it cannot be used.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// A scratch file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Locations {
    /// Upstream's own two.
    #[must_use]
    pub fn upstream() -> Self {
        Self(vec![
            "https://github.com/etcd-io/etcd/releases/download".to_owned(),
            "https://storage.googleapis.com/etcd".to_owned(),
        ])
    }

    /// Others, tried in order: a mirror laid out as upstream's.
    #[must_use]
    pub fn at(bases: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let trim = |base: String| base.trim_end_matches('/').to_owned();
        Self(bases.into_iter().map(|base| trim(base.into())).collect())
    }

    /// The addresses of one file of a release.
    #[must_use]
    pub fn urls(&self, version: EtcdVersion, file: &str) -> Vec<String> {
        let tag = version.tag();
        let url = |base: &String| format!("{base}/{tag}/{file}");
        self.0.iter().map(url).collect()
    }
}

/// The file name of the archive for an architecture.
///
/// # Errors
/// [`ReleaseError::NoArchive`] for 32-bit ARM.
pub fn archive_name(version: EtcdVersion, arch: Arch) -> Result<String, ReleaseError> {
    match arch {
        Arch::Amd64 | Arch::Arm64 => Ok(format!("etcd-v{version}-linux-{}.tar.gz", arch.goarch())),
        Arch::Armhf => Err(ReleaseError::NoArchive(arch)),
    }
}

/// Pins the archives of a version for some architectures by upstream's `SHA256SUMS`, which is
/// fetched into the existing directory `scratch`.
///
/// # Errors
/// [`ReleaseError`].
pub fn resolve(
    version: EtcdVersion,
    arches: &[Arch],
    locations: &Locations,
    fetch: Fetch<'_>,
    scratch: &Path,
) -> Result<ReleaseLock, ReleaseError> {
    let names = arches
        .iter()
        .map(|arch| Ok((*arch, archive_name(version, *arch)?)))
        .collect::<Result<Vec<_>, ReleaseError>>()?;
    let to = scratch.join("SHA256SUMS");
    let mut tried = Vec::new();
    for url in locations.urls(version, "SHA256SUMS") {
        match fetch(&url, &to) {
            Ok(()) => {
                let text = fs_err::read_to_string(&to)?;
                let sums = parse_sums(version, &text)?;
                let archives = names
                    .iter()
                    .map(|(arch, name)| match sums.get(name) {
                        Some(digest) => Ok((*arch, *digest)),
                        None => Err(ReleaseError::Sums {
                            version,
                            why: format!("it does not list {name}"),
                        }),
                    })
                    .collect::<Result<_, _>>()?;
                return Ok(ReleaseLock { version, archives });
            }
            Err(error) => tried.push(chain(&*error)),
        }
    }
    Err(ReleaseError::Unreachable {
        version,
        tried: tried.join("; "),
    })
}

/// An error and its causes in one line.
fn chain(error: &(dyn Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Reads the output of sha256sum: 64 digits, two spaces (or a space and `*`), a name.
fn parse_sums(version: EtcdVersion, text: &str) -> Result<BTreeMap<String, Digest>, ReleaseError> {
    let mut sums = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let sums_error = |why: String| ReleaseError::Sums {
            version,
            why: format!("line {}: {why}", at + 1),
        };
        if line.trim().is_empty() {
            continue;
        }
        let (digest, name) = line
            .split_once("  ")
            .or_else(|| line.split_once(" *"))
            .ok_or_else(|| sums_error("expected a SHA-256, two spaces and a name".to_owned()))?;
        let digest: Digest = digest
            .parse()
            .map_err(|error| sums_error(format!("{error}")))?;
        if sums
            .insert(name.to_owned(), digest)
            .is_some_and(|old| old != digest)
        {
            return Err(sums_error(format!("a second, different sum of {name}")));
        }
    }
    Ok(sums)
}

impl ReleaseLock {
    /// The archive's file name, its addresses and its pinned digest.
    ///
    /// # Errors
    /// [`ReleaseError`] when there is none for this architecture.
    pub fn archive(
        &self,
        arch: Arch,
        locations: &Locations,
    ) -> Result<(String, Vec<String>, Digest), ReleaseError> {
        let version = self.version;
        let name = archive_name(version, arch)?;
        let digest = self.archives.get(&arch).copied();
        let digest = digest.ok_or(ReleaseError::Unpinned { version, arch })?;
        let urls = locations.urls(version, &name);
        Ok((name, urls, digest))
    }

    /// Checks an archive and takes the programs out of it. Documentation is passed over;
    /// anything else in it is refused.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn unpack(&self, arch: Arch, bytes: &[u8]) -> Result<EtcdBinaries, ReleaseError> {
        let (archive, _, expected) = self.archive(arch, &Locations(Vec::new()))?;
        let found = Digest::of(bytes);
        if found != expected {
            return Err(ReleaseError::Digest {
                archive,
                expected,
                found,
            });
        }
        let programs = programs(&archive, bytes)?;
        let origin = Origin::Release {
            version: self.version,
            archive,
            sha256: found,
        };
        Ok(EtcdBinaries::new(arch, programs, origin)?)
    }
}

/// The programs in an archive whose one directory is named as the archive is.
fn programs(archive: &str, bytes: &[u8]) -> Result<BTreeMap<String, Bytes>, ReleaseError> {
    let refuse = |why: String| ReleaseError::Archive {
        archive: archive.to_owned(),
        why,
    };
    let broken = |error: io::Error| refuse(format!("cannot be unpacked: {error}"));
    let top = archive.trim_end_matches(".tar.gz");
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    let mut programs = BTreeMap::new();
    for entry in tar.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = TreePath::new(&name).map_err(|error| refuse(error.to_string()))?;
        let kind = entry.header().entry_type();
        let mut below = path.components();
        if below.next() != Some(top) {
            return Err(refuse(format!("{name} is not in {top}/")));
        }
        let below: Vec<&str> = below.collect();
        match (kind, &below[..]) {
            (tar::EntryType::Directory, [] | ["Documentation", ..]) => {}
            (tar::EntryType::Regular, ["Documentation", _, ..]) => {}
            (tar::EntryType::Regular, [file])
                if Path::new(file).extension().is_some_and(|end| end == "md") => {}
            (tar::EntryType::Regular, [file]) if PROGRAMS.contains(file) => {
                let mut program = Vec::new();
                let mut limited = entry.take(LARGEST + 1);
                limited.read_to_end(&mut program).map_err(broken)?;
                if program.len() as u64 > LARGEST {
                    return Err(refuse(format!("{name} is larger than {LARGEST} bytes")));
                }
                if programs
                    .insert((*file).to_owned(), program.into())
                    .is_some()
                {
                    return Err(refuse(format!("{name} is in it twice")));
                }
            }
            _ => {
                return Err(refuse(format!(
                    "{name} does not belong in a release ({kind:?})"
                )));
            }
        }
    }
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::program;
    use proptest::prelude::*;
    use tar::EntryType;

    const TOP: &str = "etcd-v3.6.16-linux-arm64";

    fn archive(extra: &[(&str, EntryType)]) -> Vec<u8> {
        let gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gz);
        let usual = [
            ("", EntryType::Directory),
            ("README.md", EntryType::Regular),
            ("Documentation", EntryType::Directory),
            ("Documentation/dev-guide/api.md", EntryType::Regular),
            ("etcd", EntryType::Regular),
            ("etcdctl", EntryType::Regular),
            ("etcdutl", EntryType::Regular),
        ];
        let usual = usual.map(|(name, kind)| (format!("{TOP}/{name}"), kind));
        let extra = extra.iter().map(|(name, kind)| ((*name).to_owned(), *kind));
        for (name, kind) in usual.into_iter().chain(extra) {
            let body = match kind {
                EntryType::Regular => program(Arch::Arm64, true),
                _ => Vec::new(),
            };
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o755);
            header.set_size(body.len() as u64);
            // Written raw: the library itself refuses some of the names below.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, &body[..]).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn lock(bytes: &[u8]) -> ReleaseLock {
        ReleaseLock {
            version: EtcdVersion::DEFAULT,
            archives: [(Arch::Arm64, Digest::of(bytes))].into(),
        }
    }

    #[test]
    fn a_release_is_unpacked() {
        let bytes = archive(&[]);
        let binaries = lock(&bytes).unpack(Arch::Arm64, &bytes).unwrap();
        assert_eq!(binaries.iter().count(), 3);
        assert!(matches!(binaries.origin(), Origin::Release { .. }));
    }

    #[test]
    fn what_does_not_belong_is_refused() {
        for (name, kind) in [
            (&*format!("{TOP}/../etcd"), EntryType::Regular),
            ("other/etcd", EntryType::Regular),
            (&format!("{TOP}/install.sh"), EntryType::Regular),
            (&format!("{TOP}/etcd"), EntryType::Regular),
            (&format!("{TOP}/link"), EntryType::Symlink),
            (&format!("{TOP}/Documentation/link"), EntryType::Symlink),
            (&format!("{TOP}/bin"), EntryType::Directory),
        ] {
            let bytes = archive(&[(name, kind)]);
            let result = lock(&bytes).unpack(Arch::Arm64, &bytes).map(|_| ());
            assert!(
                matches!(result, Err(ReleaseError::Archive { .. })),
                "{name}: {result:?}"
            );
        }
    }

    #[test]
    fn only_the_pinned_archive_of_the_right_machine_is_taken() {
        let bytes = archive(&[]);
        let error = lock(b"")
            .unpack(Arch::Arm64, &bytes)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, ReleaseError::Digest { .. }), "{error}");
        let error = lock(&bytes)
            .unpack(Arch::Amd64, &bytes)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, ReleaseError::Unpinned { .. }), "{error}");
        let error = lock(&bytes)
            .unpack(Arch::Armhf, &bytes)
            .map(|_| ())
            .unwrap_err();
        assert!(
            matches!(error, ReleaseError::NoArchive(Arch::Armhf)),
            "{error}"
        );
        assert!(error.to_string().contains("source = \"build\""));
    }

    #[test]
    fn the_second_location_is_asked_when_the_first_is_silent() {
        let dir = tempfile::tempdir().unwrap();
        let digest = Digest::of(b"archive");
        let fetch = |url: &str, to: &Path| {
            if url != "https://storage.googleapis.com/etcd/v3.6.16/SHA256SUMS" {
                return Err("no route".into());
            }
            let text = format!("{digest}  {TOP}.tar.gz\n{digest}  other.zip\n");
            Ok(fs_err::write(to, text)?)
        };
        let version = EtcdVersion::DEFAULT;
        let upstream = Locations::upstream();
        let get = |arches: &[Arch], locations: &Locations| {
            resolve(version, arches, locations, &fetch, dir.path())
        };
        let found = get(&[Arch::Arm64], &upstream).unwrap();
        assert_eq!(found.archives, [(Arch::Arm64, digest)].into());

        let error = get(&[Arch::Amd64], &upstream).unwrap_err();
        assert!(matches!(error, ReleaseError::Sums { .. }), "{error}");
        let error = get(&[Arch::Armhf], &upstream).unwrap_err();
        assert!(matches!(error, ReleaseError::NoArchive(_)), "{error}");
        let error = get(&[Arch::Arm64], &Locations::at(["http://[::1]/"])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("no route") && text.contains("\"debian\""),
            "{text}"
        );
    }

    #[test]
    fn locations_are_laid_out_as_upstreams() {
        let urls = Locations::at(["http://mirror/etcd/"]).urls(EtcdVersion::DEFAULT, "x");
        assert_eq!(urls, ["http://mirror/etcd/v3.6.16/x"]);
    }

    proptest! {
        #[test]
        fn any_sums_are_read_or_refused(text in "([0-9a-f]{62,65}[ *]{1,3}[a-z./]{0,5}\n){0,3}.{0,20}") {
            let _ = parse_sums(EtcdVersion::DEFAULT, &text);
        }

        #[test]
        fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(lock(&bytes).unpack(Arch::Arm64, &bytes).is_err());
        }
    }
}
