//! The Go compiler as a [`bundle`](crate::bundle): the part of a release that is needed to
//! compile Go code, in one form for both places where Go publishes it.
//!
//! Go publishes each release as an archive (`go1.26.10.linux-amd64.tar.gz`) and, from the same
//! build, as a version of the module `golang.org/toolchain`, which any Go from 1.21 on can
//! download and check against the checksum database. The two differ in what a module cannot
//! hold: the module has no executable bits, calls nested `go.mod` files `_go.mod`, and leaves
//! out `api`, `doc`, `misc` and `test`. The bundle holds `VERSION`, `go.env`, `bin/go`,
//! `pkg/include`, `pkg/tool` and `src` without `src/cmd`, tests and test data; programs are
//! executable because of where they are. So both give the same bundle, to the byte.

use crate::bundle::{BundleError, publish};
use crate::dirhash::{DirhashError, H1};
use crate::host::{HostError, HostGo};
use crate::lock::{GoVersion, HostPlatform, ToolchainLock};
use crate::{Fetch, bundle, module_zip};
use imgbuild_base::Digest;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read};
use std::path::Path;

/// Where Go publishes its archives; the first one forwards to the second.
const ARCHIVES: [&str; 2] = ["https://go.dev/dl", "https://dl.google.com/go"];

/// Why there is no toolchain.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// Nothing pinned for this kind of host.
    #[error(
        "the lock pins no Go toolchain for {0}: lock again, or use etcd's source = \"release\""
    )]
    Unpinned(String),
    /// Go's module could not be downloaded, and the archive neither.
    #[error(
        "Go {version} for {host} could not be had: {module}; {archive}. Put a go command into \
         PATH whose GOPROXY can be reached, or make {url} reachable"
    )]
    Unreachable {
        /// Which version.
        version: GoVersion,
        /// For which host.
        host: HostPlatform,
        /// What the host's `go` said, or that there is none.
        module: String,
        /// What fetching the archive said.
        archive: String,
        /// The archive's address.
        url: String,
    },
    /// The host's `go` failed.
    #[error(transparent)]
    Go(#[from] HostError),
    /// What the host's `go` gave has another hash than it says.
    #[error("the toolchain's module has hash {found}, but go says {expected}")]
    Hash {
        /// As Go says.
        expected: String,
        /// As it is.
        found: H1,
    },
    /// The module's archive is damaged.
    #[error(transparent)]
    Dirhash(#[from] DirhashError),
    /// The release could not be read.
    #[error("reading the Go release: {0}")]
    Release(String),
    /// The checksum published with the archive is another.
    #[error("{url} has SHA-256 {found}, but {url}.sha256 says {expected}")]
    Checksum {
        /// The archive.
        url: String,
        /// As published.
        expected: String,
        /// As it is.
        found: Digest,
    },
    /// The bundle could not be written, or is not the pinned one.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// From where a toolchain may come.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The host's `go`, tried first.
    pub go: Option<&'a HostGo>,
    /// Fetches the archive.
    pub fetch: Fetch<'a>,
}

/// Writes the pinned toolchain's bundle for `host` to `out`. `scratch` is an existing empty
/// directory that holds up to 400 MiB meanwhile; the caller removes it.
///
/// # Errors
/// [`ToolchainError`]; `out` is then not there.
pub fn acquire(
    lock: &ToolchainLock,
    host: HostPlatform,
    sources: Sources<'_>,
    scratch: &Path,
    out: &Path,
) -> Result<(), ToolchainError> {
    let pinned = lock.bundles.get(&host).copied();
    let pinned = pinned.ok_or_else(|| ToolchainError::Unpinned(host.to_string()))?;
    let files = obtain(lock.version, host, sources, scratch, false)?;
    pack(&files, out, Some(pinned)).map(|_| ())
}

/// Writes the bundle of a toolchain that is not pinned yet, and says what to pin. Trust: Go's
/// checksum database where there is a `go`, else the `.sha256` beside the archive.
///
/// # Errors
/// As [`acquire`].
pub fn discover(
    version: GoVersion,
    host: HostPlatform,
    sources: Sources<'_>,
    scratch: &Path,
    out: &Path,
) -> Result<Digest, ToolchainError> {
    let files = obtain(version, host, sources, scratch, true)?;
    pack(&files, out, None)
}

type Files = BTreeMap<String, Vec<u8>>;

fn obtain(
    version: GoVersion,
    host: HostPlatform,
    sources: Sources<'_>,
    scratch: &Path,
    unpinned: bool,
) -> Result<Files, ToolchainError> {
    let module = match sources.go {
        Some(go) => match from_module(version, host, go, scratch) {
            Err(ToolchainError::Go(error)) => error.to_string(),
            done => return done,
        },
        None => "there is no go command on this host".to_owned(),
    };
    let name = format!("go{version}.{host}.tar.gz");
    let path = scratch.join(&name);
    let mut failures = Vec::new();
    for base in ARCHIVES {
        let url = format!("{base}/{name}");
        match (sources.fetch)(&url, &path) {
            Ok(()) => {
                if unpinned {
                    check_published(&url, &path, sources.fetch)?;
                }
                return from_archive(fs_err::File::open(&path)?);
            }
            Err(error) => failures.push(chain(&*error)),
        }
    }
    Err(ToolchainError::Unreachable {
        version,
        host,
        module,
        archive: failures.join("; "),
        url: format!("{}/{name}", ARCHIVES[0]),
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

fn from_module(
    version: GoVersion,
    host: HostPlatform,
    go: &HostGo,
    scratch: &Path,
) -> Result<Files, ToolchainError> {
    let module = format!("golang.org/toolchain@{}", version.module_version(host));
    let home = scratch.join("go");
    fs_err::create_dir_all(&home)?;
    let downloaded = go.download(&home, std::slice::from_ref(&module))?;
    let Some(downloaded) = downloaded.first() else {
        return Err(ToolchainError::Release(format!(
            "go downloaded no {module}"
        )));
    };
    let open = || fs_err::File::open(&downloaded.zip);
    let found = H1::of_zip(io::BufReader::new(open()?))?;
    if found.to_string() != downloaded.sum {
        return Err(ToolchainError::Hash {
            expected: downloaded.sum.clone(),
            found,
        });
    }
    from_zip(open()?, &format!("{module}/"))
}

fn from_zip(file: impl Read + io::Seek, prefix: &str) -> Result<Files, ToolchainError> {
    Ok(module_zip::files(file, prefix, keep)?)
}

/// Reads a release archive (`goX.tar.gz`).
fn from_archive(file: impl Read) -> Result<Files, ToolchainError> {
    let bad = |error: io::Error| ToolchainError::Release(error.to_string());
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(io::BufReader::new(file)));
    let mut files = Files::new();
    for entry in archive.entries().map_err(bad)? {
        let mut entry = entry.map_err(bad)?;
        let path = entry.path_bytes().into_owned();
        let name = std::str::from_utf8(&path).ok();
        let name = name
            .and_then(|name| name.strip_prefix("go/"))
            .and_then(keep);
        let regular = entry.header().entry_type() == tar::EntryType::Regular;
        if let (Some(name), true) = (name, regular) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(bad)?;
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

fn check_published(url: &str, path: &Path, fetch: Fetch<'_>) -> Result<(), ToolchainError> {
    let beside = path.with_extension("sha256");
    fetch(&format!("{url}.sha256"), &beside)
        .map_err(|error| ToolchainError::Release(chain(&*error)))?;
    let expected = fs_err::read_to_string(&beside)?.trim().to_owned();
    let mut hasher = imgbuild_base::Hasher::new();
    io::copy(&mut fs_err::File::open(path)?, &mut hasher)?;
    let found = hasher.finish();
    if found.to_string() == expected {
        Ok(())
    } else {
        Err(ToolchainError::Checksum {
            url: url.to_owned(),
            expected,
            found,
        })
    }
}

/// The name in the bundle of a release's file; `None` when it is left out.
fn keep(name: &str) -> Option<String> {
    let (dir, file) = name.rsplit_once('/').unwrap_or(("", name));
    let test = file.ends_with("_test.go") || name.split('/').any(|part| part == "testdata");
    let wanted = matches!(name, "VERSION" | "go.env" | "bin/go")
        || ["pkg/include/", "pkg/tool/"]
            .iter()
            .any(|dir| name.starts_with(dir))
        || (name.starts_with("src/") && !name.starts_with("src/cmd/"));
    if test || !wanted || file.is_empty() {
        return None;
    }
    Some(match file {
        "_go.mod" => format!("{dir}/go.mod"),
        _ => name.to_owned(),
    })
}

fn pack(files: &Files, out: &Path, pinned: Option<Digest>) -> Result<Digest, ToolchainError> {
    if !files.contains_key("bin/go") {
        let why = "it has no bin/go".to_owned();
        return Err(ToolchainError::Release(why));
    }
    let executable = |name: &str| name.starts_with("bin/") || name.starts_with("pkg/tool/");
    Ok(publish(out, pinned, |writer| {
        files
            .iter()
            .try_for_each(|(name, bytes)| writer.add(name, executable(name), bytes))
    })?)
}

/// Unpacks a toolchain's bundle into an existing directory and checks it on the way.
///
/// # Errors
/// As [`bundle::unpack`].
pub fn unpack(
    lock: &ToolchainLock,
    host: HostPlatform,
    bundle: &Path,
    into: &Path,
) -> Result<(), ToolchainError> {
    let pinned = lock.bundles.get(&host).copied();
    let pinned = pinned.ok_or_else(|| ToolchainError::Unpinned(host.to_string()))?;
    Ok(bundle::unpack(bundle, pinned, into)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dirhash::tests::zip_of;
    use std::io::Cursor;

    const FILES: [(&str, &[u8]); 5] = [
        ("VERSION", b"go1.2.3"),
        ("bin/go", b"program"),
        ("pkg/tool/linux_amd64/compile", b"compiler"),
        ("src/go.mod", b"module std"),
        ("src/fmt/print.go", b"package fmt"),
    ];
    const LEFT_OUT: [&str; 5] = [
        "test/a.go",
        "src/fmt/fmt_test.go",
        "src/x/testdata/y.go",
        "src/cmd/go/main.go",
        "bin/gofmt",
    ];

    fn archive() -> Vec<u8> {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
            Vec::new(),
            flate2::Compression::fast(),
        ));
        let extra = LEFT_OUT.map(|name| (name, b"x".as_slice()));
        for (name, bytes) in extra.into_iter().chain(FILES) {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o755);
            header.set_mtime(1);
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, format!("go/{name}"), bytes)
                .unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn module_and_archive_give_the_same_bundle() {
        let prefix = "golang.org/toolchain@v0.0.1-go1.2.3.linux-amd64/";
        let names: Vec<(String, &[u8])> = FILES
            .iter()
            .map(|(name, bytes)| {
                (
                    format!("{prefix}{}", name.replace("go.mod", "_go.mod")),
                    *bytes,
                )
            })
            .collect();
        let entries: Vec<(&str, &[u8])> = names.iter().map(|(n, b)| (n.as_str(), *b)).collect();
        let one = from_zip(Cursor::new(zip_of(&entries)), prefix).unwrap();
        let two = from_archive(Cursor::new(archive())).unwrap();
        assert_eq!(one, two);
        assert_eq!(one.len(), FILES.len());
        let dir = tempfile::tempdir().unwrap();
        let digest = pack(&one, &dir.path().join("one"), None).unwrap();
        pack(&two, &dir.path().join("two"), Some(digest)).unwrap();
    }

    #[test]
    fn without_go_the_archive_is_fetched_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let fetch = |url: &str, to: &Path| {
            match url.strip_prefix("https://dl.google.com/go/") {
                Some("go1.2.3.linux-arm64.tar.gz") => fs_err::write(to, archive())?,
                Some("go1.2.3.linux-arm64.tar.gz.sha256") => {
                    fs_err::write(to, Digest::of(&archive()).to_string())?;
                }
                _ => return Err("no such host".into()),
            }
            Ok(())
        };
        let sources = Sources {
            go: None,
            fetch: &fetch,
        };
        let (version, host) = (GoVersion::new(1, 2, 3), HostPlatform::LinuxArm64);
        let out = dir.path().join("out");
        let found = discover(version, host, sources, dir.path(), &out).unwrap();
        let lock = |digest| ToolchainLock {
            version,
            bundles: [(host, digest)].into(),
        };
        acquire(&lock(found), host, sources, dir.path(), &out).unwrap();

        let wrong = lock(Digest::of(b"other"));
        let error = acquire(&wrong, host, sources, dir.path(), &dir.path().join("no")).unwrap_err();
        assert!(
            matches!(error, ToolchainError::Bundle(BundleError::Digest { .. })),
            "{error}"
        );
        assert!(!dir.path().join("no").exists());

        let other = HostPlatform::LinuxAmd64;
        let error = acquire(&lock(found), other, sources, dir.path(), &out).unwrap_err();
        assert!(matches!(error, ToolchainError::Unpinned(_)), "{error}");
        let error = discover(version, other, sources, dir.path(), &out).unwrap_err();
        assert!(error.to_string().contains("no such host"), "{error}");
    }

    #[test]
    fn a_wrong_published_checksum_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let fetch = |url: &str, to: &Path| {
            let text = if url.ends_with(".sha256") {
                Vec::new()
            } else {
                archive()
            };
            Ok(fs_err::write(to, text)?)
        };
        let sources = Sources {
            go: None,
            fetch: &fetch,
        };
        let (version, host) = (GoVersion::new(1, 2, 3), HostPlatform::LinuxArm64);
        let error =
            discover(version, host, sources, dir.path(), &dir.path().join("out")).unwrap_err();
        assert!(matches!(error, ToolchainError::Checksum { .. }), "{error}");
    }
}
