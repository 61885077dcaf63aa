//! Indexes: the list of packages of one component and architecture (`Packages.xz`).

use crate::control::{self, ControlError, StanzaRef};
use crate::lock::{Component, SuiteName};
use crate::release::IndexRef;
use imgbuild_base::{ByteSize, Digest};
use std::io::{self, Read};

/// Why an index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Not the file that the release vouches for.
    #[error(
        "{path} is not what the release says: expected {expected_size} bytes with \
         SHA-256 {expected}, got {found_size} with {found}; the mirror may be updating, try again"
    )]
    Mismatch {
        /// The suite and the index.
        path: String,
        /// The digest it should have.
        expected: Digest,
        /// The size it should have, in bytes.
        expected_size: u64,
        /// The digest it has.
        found: Digest,
        /// The size it has, in bytes.
        found_size: usize,
    },
    /// Decompressing failed.
    #[error("decompressing {path}: {source}")]
    Xz {
        /// The index.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A malformed stanza.
    #[error("{path}: {source}")]
    Control {
        /// The index.
        path: String,
        /// What is wrong.
        source: ControlError,
    },
    /// A field with a value that cannot be.
    #[error("{path}, line {line}: the field {field} is {value:?}")]
    Field {
        /// The index.
        path: String,
        /// First line of the stanza, counted from 1.
        line: usize,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
}

/// The text of an index whose hash was verified.
#[derive(Clone, Debug)]
pub struct VerifiedIndex {
    source: IndexRef,
    text: String,
}

impl IndexRef {
    /// Checks downloaded bytes against size and hash, and decompresses them.
    ///
    /// # Errors
    /// [`IndexError::Mismatch`] when they are others, [`IndexError`] when they are no text.
    pub fn verify(&self, compressed: &[u8]) -> Result<VerifiedIndex, IndexError> {
        let found = Digest::of(compressed);
        if found != self.sha256 || u64::try_from(compressed.len()).ok() != Some(self.size.get()) {
            return Err(IndexError::Mismatch {
                path: format!("{}/{}", self.suite, self.path),
                expected: self.sha256,
                expected_size: self.size.get(),
                found,
                found_size: compressed.len(),
            });
        }
        let mut bytes = Vec::new();
        liblzma::bufread::XzDecoder::new(compressed)
            .read_to_end(&mut bytes)
            .map_err(|source| IndexError::Xz {
                path: self.path.clone(),
                source,
            })?;
        let text = String::from_utf8(bytes).map_err(|error| IndexError::Control {
            path: self.path.clone(),
            source: match control::text(error.as_bytes()) {
                Err(source) => source,
                Ok(_) => ControlError::NotUtf8 { line: 0 },
            },
        })?;
        Ok(VerifiedIndex {
            source: self.clone(),
            text,
        })
    }
}

/// The importance of a package (Debian Policy 2.5), the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Needed for a system to work at all.
    Required,
    /// Expected on any Unix-like system.
    Important,
    /// Part of a small but not too limited system.
    Standard,
    /// Everything else.
    Optional,
    /// Deprecated name for optional; also any unknown word.
    Extra,
}

impl Priority {
    fn read(text: &str) -> Self {
        match text {
            "required" => Self::Required,
            "important" => Self::Important,
            "standard" => Self::Standard,
            "optional" => Self::Optional,
            _ => Self::Extra,
        }
    }
}

/// One package of an index. Texts are windows on the index; relations are as written
/// ([`crate::relation::parse_list`] reads them), an absent field is empty.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// `Package`.
    pub name: &'a str,
    /// `Version`.
    pub version: &'a str,
    /// `Architecture`.
    pub architecture: &'a str,
    /// `Depends`.
    pub depends: &'a str,
    /// `Pre-Depends`.
    pub pre_depends: &'a str,
    /// `Provides`.
    pub provides: &'a str,
    /// `Conflicts`.
    pub conflicts: &'a str,
    /// `Breaks`.
    pub breaks: &'a str,
    /// `Essential: yes`.
    pub essential: bool,
    /// `Priority`.
    pub priority: Priority,
    /// `Multi-Arch`.
    pub multi_arch: &'a str,
    /// `Source` without a version in parentheses; the package's own name where absent.
    pub source: &'a str,
    /// `Filename`: path below the archive's root.
    pub filename: &'a str,
    /// `Size` of the .deb.
    pub size: ByteSize,
    /// `SHA256` of the .deb.
    pub sha256: Digest,
}

impl<'a> Record<'a> {
    /// Reads one stanza in one pass over its fields.
    fn read(stanza: StanzaRef<'a>, path: &str) -> Result<Self, IndexError> {
        let mut record = Self {
            name: "",
            version: "",
            architecture: "",
            depends: "",
            pre_depends: "",
            provides: "",
            conflicts: "",
            breaks: "",
            essential: false,
            priority: Priority::Extra,
            multi_arch: "no",
            source: "",
            filename: "",
            size: ByteSize::bytes(0),
            sha256: Digest::from_bytes([0; 32]),
        };
        let bad = |field, value: &str| IndexError::Field {
            path: path.to_owned(),
            line: stanza.line(),
            field,
            value: value.to_owned(),
        };
        let (mut size, mut sha256) = (None, None);
        for (name, value) in stanza.fields() {
            match name {
                "Package" => record.name = value,
                "Version" => record.version = value,
                "Architecture" => record.architecture = value,
                "Depends" => record.depends = value,
                "Pre-Depends" => record.pre_depends = value,
                "Provides" => record.provides = value,
                "Conflicts" => record.conflicts = value,
                "Breaks" => record.breaks = value,
                "Essential" => record.essential = value == "yes",
                "Priority" => record.priority = Priority::read(value),
                "Multi-Arch" => record.multi_arch = value,
                "Source" => record.source = value.split(' ').next().unwrap_or(value),
                "Filename" => record.filename = value,
                "Size" => size = Some(value.parse().map_err(|_| bad("Size", value))?),
                "SHA256" => sha256 = Some(value.parse().map_err(|_| bad("SHA256", value))?),
                _ => {}
            }
        }
        for (field, value) in [
            ("Package", record.name),
            ("Version", record.version),
            ("Architecture", record.architecture),
            ("Filename", record.filename),
        ] {
            if value.is_empty() {
                return Err(bad(field, ""));
            }
        }
        record.size = ByteSize::bytes(size.ok_or_else(|| bad("Size", ""))?);
        record.sha256 = sha256.ok_or_else(|| bad("SHA256", ""))?;
        if record.source.is_empty() {
            record.source = record.name;
        }
        Ok(record)
    }
}

/// All packages of one index.
#[derive(Clone, Debug)]
pub struct Index<'a> {
    /// The suite as it was asked for.
    pub suite: SuiteName,
    /// The component.
    pub component: Component,
    /// Whether its packages are chosen only when nothing else will do, or they are pinned.
    pub not_automatic: bool,
    /// The packages, in the index's order.
    pub records: Vec<Record<'a>>,
}

impl VerifiedIndex {
    /// What it is the content of.
    #[must_use]
    pub const fn source(&self) -> &IndexRef {
        &self.source
    }

    /// Reads every stanza. Nothing is copied: the records borrow from this index.
    ///
    /// # Errors
    /// [`IndexError`] names the line of the first malformed stanza.
    pub fn parse(&self) -> Result<Index<'_>, IndexError> {
        let path = &self.source.path;
        let records = control::stanzas(&self.text)
            .map(|stanza| {
                let stanza = stanza.map_err(|source| IndexError::Control {
                    path: path.clone(),
                    source,
                })?;
                Record::read(stanza, path)
            })
            .collect::<Result<_, _>>()?;
        Ok(Index {
            suite: self.source.suite.clone(),
            component: self.source.component.clone(),
            not_automatic: self.source.not_automatic,
            records,
        })
    }
}
