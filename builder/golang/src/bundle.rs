//! A set of files as one file in one canonical form, so that one SHA-256 pins it wherever the
//! files came from: a GNU tar with only regular files, in the byte order of their names, mode
//! 0644 or 0755, owner 0, time 0, closed by two zero blocks. Changing this changes every
//! digest in every lock.

use imgbuild_base::{Digest, Hashed, TreePath};
use std::io::{self, Write};
use std::path::Path;

/// Why a bundle could not be written or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A name twice, out of order, or not a plain relative path.
    #[error("{0:?} cannot stand in a bundle here: expected plain relative names in order")]
    Name(String),
    /// An entry that is no regular file.
    #[error("the bundle has an entry that is no regular file: {0:?}")]
    Kind(String),
    /// Its bytes are not what the lock says.
    #[error("the bundle {path} has SHA-256 {found}, but the lock says {expected}: remove it")]
    Digest {
        /// The file.
        path: String,
        /// What the lock says.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
}

/// Writes a bundle.
pub struct Writer<W: Write> {
    tar: tar::Builder<Hashed<W>>,
    last: String,
}

impl<W: Write> Writer<W> {
    /// An empty bundle.
    pub fn new(to: W) -> Self {
        Self {
            tar: tar::Builder::new(Hashed::new(to)),
            last: String::new(),
        }
    }

    /// Adds a file. Names must come in ascending byte order.
    ///
    /// # Errors
    /// [`BundleError::Name`] for a name out of order or not plain; [`BundleError::Io`].
    pub fn add(&mut self, name: &str, executable: bool, bytes: &[u8]) -> Result<(), BundleError> {
        if name <= self.last.as_str() || !plain(name) {
            return Err(BundleError::Name(name.to_owned()));
        }
        name.clone_into(&mut self.last);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(if executable { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        Ok(self.tar.append_data(&mut header, name, bytes)?)
    }

    /// Ends it and gives its digest and the writer back.
    ///
    /// # Errors
    /// When the last bytes cannot be written.
    pub fn finish(self) -> io::Result<(Digest, W)> {
        let mut hashed = self.tar.into_inner()?;
        hashed.flush()?;
        let (digest, _, to) = hashed.into_parts();
        Ok((digest, to))
    }
}

/// Whether the name is a relative path in its one plain form.
fn plain(name: &str) -> bool {
    TreePath::new(name).is_ok_and(|path| path.as_str() == name)
}

/// Unpacks a bundle into an existing directory, checking its digest on the way.
///
/// # Errors
/// [`BundleError`]; the directory then holds nothing that may be used.
pub fn unpack(bundle: &Path, expected: Digest, into: &Path) -> Result<(), BundleError> {
    let bytes = io::BufReader::with_capacity(1 << 20, fs_err::File::open(bundle)?);
    let mut hashed = Hashed::new(bytes);
    let mut archive = tar::Archive::new(&mut hashed);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(BundleError::Kind(name));
        }
        if !plain(&name) {
            return Err(BundleError::Name(name));
        }
        let mode = if entry.header().mode()? & 0o100 == 0 {
            0o644
        } else {
            0o755
        };
        let path = into.join(&name);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let mut file = {
            use fs_err::os::unix::fs::OpenOptionsExt as _;
            fs_err::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&path)?
        };
        io::copy(&mut entry, &mut file)?;
    }
    io::copy(&mut hashed, &mut io::sink())?;
    let (found, _) = hashed.finish();
    if found == expected {
        Ok(())
    } else {
        Err(BundleError::Digest {
            path: bundle.display().to_string(),
            expected,
            found,
        })
    }
}

/// Writes a file that appears under its name only once it is whole and `expected`.
pub(crate) fn publish(
    out: &Path,
    expected: Option<Digest>,
    fill: impl FnOnce(&mut Writer<io::BufWriter<fs_err::File>>) -> Result<(), BundleError>,
) -> Result<Digest, BundleError> {
    let part = out.with_extension("part");
    let file = io::BufWriter::with_capacity(1 << 20, fs_err::File::create(&part)?);
    let mut writer = Writer::new(file);
    let checked = fill(&mut writer).and_then(|()| {
        let found = writer.finish()?.0;
        match expected {
            Some(expected) if expected != found => Err(BundleError::Digest {
                path: out.display().to_string(),
                expected,
                found,
            }),
            _ => Ok(found),
        }
    });
    match checked {
        Ok(_) => fs_err::rename(&part, out)?,
        Err(_) => fs_err::remove_file(&part)?,
    }
    checked
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn bundle(dir: &Path) -> (std::path::PathBuf, Digest) {
        let out = dir.join("bundle.tar");
        let long = format!("src/{}/file", "x".repeat(150));
        let digest = publish(&out, None, |writer| {
            writer.add("bin/go", true, b"program")?;
            writer.add(&long, false, b"text")
        })
        .unwrap();
        (out, digest)
    }

    #[test]
    fn what_was_packed_is_unpacked_and_tar_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, digest) = bundle(dir.path());
        assert_eq!(Digest::of(&fs_err::read(&path).unwrap()), digest);
        let into = dir.path().join("into");
        fs_err::create_dir(&into).unwrap();
        unpack(&path, digest, &into).unwrap();
        assert_eq!(fs_err::read(into.join("bin/go")).unwrap(), b"program");
        let mode = fs_err::metadata(into.join("bin/go")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o111, 0o111);
        let listed = std::process::Command::new("tar")
            .arg("-tf")
            .arg(&path)
            .output()
            .unwrap();
        assert!(listed.status.success());
        assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), 2);
    }

    #[test]
    fn the_form_is_pinned() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            bundle(dir.path()).1.to_string(),
            "fdf5058226a1a811e0c7d8cb72b43dcfbe566b6cabae1c21c3f1d28e55f94c12"
        );
    }

    #[test]
    fn another_digest_is_refused_and_nothing_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = bundle(dir.path());
        let into = dir.path().join("into");
        fs_err::create_dir(&into).unwrap();
        let error = unpack(&path, Digest::of(b""), &into).unwrap_err();
        assert!(matches!(error, BundleError::Digest { .. }), "{error}");
        let out = dir.path().join("other");
        let error = publish(&out, Some(Digest::of(b"")), |_| Ok(())).unwrap_err();
        assert!(matches!(error, BundleError::Digest { .. }), "{error}");
        assert!(!out.exists() && !out.with_extension("part").exists());
    }

    #[test]
    fn names_that_lead_out_or_are_out_of_order_are_refused() {
        for bad in [
            &["../a"][..],
            &["/a"],
            &["a//b"],
            &["b", "a"],
            &["a", "a"],
            &[""],
        ] {
            let mut writer = Writer::new(Vec::new());
            let result = bad.iter().try_for_each(|name| writer.add(name, false, b""));
            assert!(matches!(result, Err(BundleError::Name(_))), "{bad:?}");
        }
    }
}
