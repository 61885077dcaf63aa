//! An unpacked package as bytes: a manifest of its entries, and behind it the pack of their
//! bodies.
//!
//! # Format
//! All numbers are unsigned LEB128 in their shortest form; a *text* is its length in bytes,
//! then UTF-8.
//!
//! ```text
//! package   = manifest pack
//! manifest  = "IMGDEB\x00\x02" control conffiles pack-length entries
//! control   = text                      the control stanza
//! conffiles = count text*               normalised paths
//! entries   = count entry*              in path order, no path twice
//! entry     = text mode uid gid mtime kind
//! kind      = "d"
//!           | "f" offset length digest  32 bytes; the body is pack[offset .. offset + length]
//!           | "l" text                  the target as written
//!           | "c" major minor
//! ```
//!
//! One package has exactly one encoding, and what does not follow these rules is refused, so
//! decoding and encoding again gives the same bytes. Changing the format changes the magic.

use super::{DebError, Row, RowKind, UnpackedDeb, Window, unpack::check_parents};
use crate::control::{ControlError, Stanza};
use bytes::Bytes;
use imgbuild_base::{Digest, Epoch, Meta, TreePath};

const MAGIC: &[u8; 8] = b"IMGDEB\x00\x02";

/// Why bytes are not a manifest, or not that of this pack.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It begins otherwise: another kind of object, or another version.
    #[error("not a package manifest of this version of the format")]
    Magic,
    /// It ends early.
    #[error("the manifest ends at byte {0}, within a value")]
    Truncated(usize),
    /// A value that the format does not allow.
    #[error("the manifest has {what} at byte {offset}")]
    Value {
        /// What was found.
        what: &'static str,
        /// Just after it.
        offset: usize,
    },
    /// The control stanza is malformed.
    #[error("the manifest's control stanza: {0}")]
    Control(#[from] ControlError),
    /// What follows the manifest is shorter or longer than the pack it describes.
    #[error("the manifest describes a pack of {expected} bytes, but {found} follow it")]
    Pack {
        /// The pack's size according to the manifest.
        expected: u64,
        /// How many bytes follow.
        found: usize,
    },
    /// The entries contradict each other.
    #[error("the manifest's entries: {0}")]
    Entries(Box<DebError>),
}

impl UnpackedDeb {
    /// Everything but the bodies, in the format described in this module; [`Self::pack`] is
    /// what follows it.
    #[must_use]
    pub fn encode_manifest(&self) -> Vec<u8> {
        let mut to = MAGIC.to_vec();
        put_text(&mut to, self.control.as_str());
        put_len(&mut to, self.conffiles.len());
        for path in &self.conffiles {
            put_text(&mut to, path.as_str());
        }
        put_len(&mut to, self.pack.len());
        put_len(&mut to, self.rows.len());
        for Row { path, meta, kind } in &self.rows {
            put_text(&mut to, path.as_str());
            put(&mut to, meta.mode.into());
            put(&mut to, meta.uid.into());
            put(&mut to, meta.gid.into());
            put(&mut to, meta.mtime.seconds());
            match kind {
                RowKind::Directory => to.push(b'd'),
                RowKind::File(window) => {
                    to.push(b'f');
                    put_len(&mut to, window.offset);
                    put_len(&mut to, window.len);
                    to.extend_from_slice(window.digest.as_bytes());
                }
                RowKind::Symlink(target) => {
                    to.push(b'l');
                    put_text(&mut to, target);
                }
                RowKind::CharDevice { major, minor } => {
                    to.push(b'c');
                    put(&mut to, u64::from(*major));
                    put(&mut to, u64::from(*minor));
                }
            }
        }
        to
    }

    /// Puts a package together again from its manifest and the pack behind it. Bodies become
    /// windows on `package`; their digests are taken from the manifest, so it must come from
    /// a store that vouches for its objects.
    ///
    /// # Errors
    /// [`ManifestError`] when the bytes do not follow the format, or a body would lie outside
    /// the pack.
    pub fn decode(package: &Bytes) -> Result<Self, ManifestError> {
        let mut from = Reader {
            bytes: package,
            at: 0,
        };
        if from.take(MAGIC.len()).ok() != Some(MAGIC.as_slice()) {
            return Err(ManifestError::Magic);
        }
        let text = from.text()?;
        let control = Stanza::parse(text.as_bytes())?;
        if control.as_str() != text {
            return Err(from.bad("a control stanza with blank lines around it"));
        }
        let mut conffiles = Vec::new();
        for _ in 0..from.number()? {
            conffiles.push(from.path()?);
        }
        let expected = from.number()?;
        let mut rows: Vec<Row> = Vec::new();
        for _ in 0..from.number()? {
            let path = from.path()?;
            if rows.last().is_some_and(|last| last.path >= path) {
                return Err(from.bad("a path out of order"));
            }
            let meta = from.meta()?;
            let kind = from.kind(expected)?;
            rows.push(Row { path, meta, kind });
        }
        let pack = package.slice(from.at..);
        if u64::try_from(pack.len()).ok() != Some(expected) {
            return Err(ManifestError::Pack {
                expected,
                found: pack.len(),
            });
        }
        check_parents(rows.iter().map(|row| (&row.path, row.kind.describe())))
            .map_err(|error| ManifestError::Entries(Box::new(error)))?;
        Ok(Self {
            control,
            conffiles,
            rows,
            pack,
        })
    }
}

fn put(to: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = (number & 0x7f).to_le_bytes()[0];
        number >>= 7;
        if number == 0 {
            to.push(low);
            return;
        }
        to.push(low | 0x80);
    }
}

fn put_len(to: &mut Vec<u8>, len: usize) {
    put(to, len as u64);
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    put_len(to, text.len());
    to.extend_from_slice(text.as_bytes());
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    const fn bad(&self, what: &'static str) -> ManifestError {
        ManifestError::Value {
            what,
            offset: self.at,
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ManifestError> {
        let end = self.at.checked_add(len);
        let taken = end
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or(ManifestError::Truncated(self.bytes.len()))?;
        self.at += len;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, ManifestError> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u64, ManifestError> {
        let mut number = 0_u64;
        for place in 0..10_u32 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if place == 9 && bits > 1 {
                break;
            }
            number |= bits << (7 * place);
            if byte & 0x80 == 0 {
                if byte == 0 && place > 0 {
                    return Err(self.bad("a number that is not in its shortest form"));
                }
                return Ok(number);
            }
        }
        Err(self.bad("a number of more than 64 bits"))
    }

    fn narrow<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, ManifestError> {
        let number = self.number()?;
        T::try_from(number).map_err(|_| self.bad(what))
    }

    fn text(&mut self) -> Result<&'a str, ManifestError> {
        let len = self.narrow("a length out of range")?;
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).map_err(|_| self.bad("a text that is not UTF-8"))
    }

    fn path(&mut self) -> Result<TreePath, ManifestError> {
        let text = self.text()?;
        TreePath::new(text)
            .ok()
            .filter(|path| path.as_str() == text)
            .ok_or_else(|| self.bad("a path that is not normalised"))
    }

    fn meta(&mut self) -> Result<Meta, ManifestError> {
        let mode: u16 = self.narrow("a mode out of range")?;
        if mode > 0o7777 {
            return Err(self.bad("a mode out of range"));
        }
        Ok(Meta {
            mode,
            uid: self.narrow("an owner out of range")?,
            gid: self.narrow("a group out of range")?,
            mtime: Epoch::from_u32(self.narrow("a time out of range")?),
        })
    }

    fn kind(&mut self, pack: u64) -> Result<RowKind, ManifestError> {
        Ok(match self.byte()? {
            b'd' => RowKind::Directory,
            b'f' => {
                let offset: usize = self.narrow("an offset out of range")?;
                let len: usize = self.narrow("a length out of range")?;
                let end = offset.checked_add(len).map(|end| end as u64);
                if end.is_none_or(|end| end > pack) {
                    return Err(self.bad("a body that lies outside the pack"));
                }
                let digest: [u8; 32] = self
                    .take(32)?
                    .try_into()
                    .map_err(|_| self.bad("half a digest"))?;
                RowKind::File(Window {
                    offset,
                    len,
                    digest: Digest::from_bytes(digest),
                })
            }
            b'l' => match self.text()? {
                "" => return Err(self.bad("a symbolic link without a target")),
                target => RowKind::Symlink(target.to_owned()),
            },
            b'c' => RowKind::CharDevice {
                major: self.narrow("a device number out of range")?,
                minor: self.narrow("a device number out of range")?,
            },
            _ => return Err(self.bad("an unknown kind of entry")),
        })
    }
}
