//! Go's hash of a module (`golang.org/x/mod/sumdb/dirhash`, "h1"): the SHA-256 of a listing of
//! the files in the order of their names, each line the file's SHA-256 in hexadecimal, two
//! spaces, its name and a newline; written `h1:` and base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imgbuild_base::Hasher;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Seek};
use std::str::FromStr;

/// A module's hash as it stands in `go.sum`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct H1([u8; 32]);

/// The text is no such hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a Go module hash: expected h1: and 32 bytes in base64")]
pub struct H1Error(pub String);

/// Why an archive has no hash.
#[derive(Debug, thiserror::Error)]
pub enum DirhashError {
    /// Not a zip archive, or a damaged one.
    #[error("reading the module's zip archive")]
    Zip(#[from] zip::result::ZipError),
    /// An entry could not be decompressed.
    #[error("reading {name} in the module's zip archive")]
    Entry {
        /// The entry.
        name: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A name that the listing cannot hold.
    #[error("the module's zip archive has a file name with a newline: {0:?}")]
    Newline(String),
}

impl H1 {
    /// The hash without its name and its base64.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of the files in a module's zip archive.
    ///
    /// # Errors
    /// [`DirhashError`] when the archive cannot be read.
    pub fn of_zip(archive: impl Read + Seek) -> Result<Self, DirhashError> {
        let mut archive = zip::ZipArchive::new(archive)?;
        let mut listing = BTreeMap::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index)?;
            let name = file.name()?.into_owned();
            if name.contains('\n') {
                return Err(DirhashError::Newline(name));
            }
            let mut hasher = Hasher::new();
            io::copy(&mut file, &mut hasher).map_err(|source| DirhashError::Entry {
                name: name.clone(),
                source,
            })?;
            listing.insert(name, hasher.finish());
        }
        Ok(Self::of_listing(&listing))
    }

    /// The hash of a module's `go.mod`, as in the `/go.mod` lines of `go.sum`.
    #[must_use]
    pub fn of_go_mod(text: &[u8]) -> Self {
        let digest = imgbuild_base::Digest::of(text);
        Self::of_listing(&BTreeMap::from([("go.mod".to_owned(), digest)]))
    }

    fn of_listing(listing: &BTreeMap<String, imgbuild_base::Digest>) -> Self {
        let mut hasher = Hasher::new();
        for (name, digest) in listing {
            hasher.update(format!("{digest}  {name}\n").as_bytes());
        }
        Self(*hasher.finish().as_bytes())
    }
}

impl fmt::Display for H1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h1:{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for H1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for H1 {
    type Err = H1Error;

    fn from_str(text: &str) -> Result<Self, H1Error> {
        text.strip_prefix("h1:")
            .and_then(|text| STANDARD.decode(text).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| H1Error(text.to_owned()))
    }
}

impl Serialize for H1 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for H1 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::{Cursor, Write as _};

    /// A zip archive of the given files.
    pub(crate) fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            let options = zip::write::SimpleFileOptions::default();
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn the_toolchain_modules_go_mod_has_the_hash_that_go_prints() {
        // `go mod download -json golang.org/toolchain@…`, field GoModSum.
        let hash = H1::of_go_mod(b"module golang.org/toolchain\n");
        assert_eq!(
            hash.to_string(),
            "h1:8wlg68NqwW7eMnI1aABk/C2pDYXj8mrMY4TyRfiLeS0="
        );
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn the_order_in_the_archive_does_not_matter_and_names_do() {
        let hash = |files: &[(&str, &[u8])]| H1::of_zip(Cursor::new(zip_of(files))).unwrap();
        let one = hash(&[("m@v1.0.0/a", b"1"), ("m@v1.0.0/b", b"2")]);
        assert_eq!(one, hash(&[("m@v1.0.0/b", b"2"), ("m@v1.0.0/a", b"1")]));
        assert_ne!(one, hash(&[("m@v1.0.0/a", b"1"), ("m@v1.0.0/c", b"2")]));
        assert_ne!(one, hash(&[("m@v1.0.0/a", b"1"), ("m@v1.0.0/b", b"3")]));
        // sha256sum of both files, then sha256sum of that listing.
        assert_eq!(
            one.to_string(),
            "h1:DhgVP+HlZuwPdv5JyHbGQ2iRD/upoNJ4wJm7PiLRNcU="
        );
    }

    #[test]
    fn refuses_what_is_no_hash_or_no_archive() {
        for bad in [
            "",
            "h1:",
            "h2:8wlg68NqwW7eMnI1aABk/C2pDYXj8mrMY4TyRfiLeS0=",
            "h1:8wlg",
        ] {
            assert_eq!(bad.parse::<H1>(), Err(H1Error(bad.to_owned())));
        }
        let error = H1::of_zip(Cursor::new(b"no archive".to_vec())).unwrap_err();
        assert!(matches!(error, DirhashError::Zip(_)), "{error:?}");
    }
}
