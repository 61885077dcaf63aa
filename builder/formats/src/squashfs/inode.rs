//! Inodes: what an entry is, who owns it, and where its content or listing lies.

use super::error::ReadError;
use super::layout::{Fields, NONE_32, Place};
use std::borrow::Cow;

/// Where the end of a file lies: the fragment block's number and the byte in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tail {
    pub(super) fragment: u32,
    pub(super) offset: u32,
}

/// What an inode is, by its basic type's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node<'a> {
    /// 1 or 8.
    Directory {
        /// Where its listing starts.
        listing: Place,
        /// Bytes of the listing and [`super::layout::DOTS`].
        size: u32,
        links: u32,
        /// Inode number of the directory above.
        parent: u32,
    },
    /// 2 or 9.
    File {
        /// Where the first block lies in the image.
        start: u64,
        size: u64,
        /// Bytes in blocks that are all zero and therefore not stored.
        sparse: u64,
        tail: Option<Tail>,
        /// The stored sizes of its blocks with [`super::layout::DATA_RAW`]; 0 for a block of zeros.
        blocks: Cow<'a, [u32]>,
    },
    /// 3.
    Symlink { target: &'a [u8] },
    /// 5.
    CharDevice { device: u32 },
}

impl Node<'_> {
    /// The type as directories store it.
    pub(super) const fn basic_type(&self) -> u16 {
        match self {
            Self::Directory { .. } => 1,
            Self::File { .. } => 2,
            Self::Symlink { .. } => 3,
            Self::CharDevice { .. } => 5,
        }
    }
}

/// An inode; owners are places in the id table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inode<'a> {
    pub(super) mode: u16,
    pub(super) uid: u16,
    pub(super) gid: u16,
    pub(super) mtime: u32,
    pub(super) number: u32,
    pub(super) node: Node<'a>,
}

impl Inode<'_> {
    /// Appends the inode, in its basic form where that is wide enough.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        let mut put = |numbers: &[u32]| {
            for number in numbers {
                body.extend(number.to_le_bytes());
            }
        };
        let kind = match &self.node {
            Node::Directory {
                listing,
                size,
                links,
                parent,
            } => match u16::try_from(*size) {
                Ok(size) => {
                    put(&[listing.block, *links]);
                    put(&[u32::from(listing.offset) << 16 | u32::from(size), *parent]);
                    1
                }
                Err(_) => {
                    put(&[*links, *size, listing.block, *parent]);
                    // No index entries; then the offset.
                    put(&[u32::from(listing.offset) << 16, NONE_32]);
                    8
                }
            },
            Node::File {
                start,
                size,
                sparse,
                tail,
                blocks,
            } => {
                let tail = tail.map_or([NONE_32, 0], |tail| [tail.fragment, tail.offset]);
                let kind = match (u32::try_from(*start), u32::try_from(*size)) {
                    (Ok(start), Ok(size)) if *sparse == 0 => {
                        put(&[start, tail[0], tail[1], size]);
                        2
                    }
                    _ => {
                        for number in [start, size, sparse] {
                            let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
                            put(&[
                                u32::from_le_bytes([a, b, c, d]),
                                u32::from_le_bytes([e, f, g, h]),
                            ]);
                        }
                        put(&[1, tail[0], tail[1], NONE_32]);
                        9
                    }
                };
                put(blocks);
                kind
            }
            Node::Symlink { target } => {
                put(&[1, u32::try_from(target.len()).unwrap_or(NONE_32)]);
                body.extend(*target);
                3
            }
            Node::CharDevice { device } => {
                put(&[1, *device]);
                5
            }
        };
        for number in [kind, self.mode, self.uid, self.gid] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.mtime.to_le_bytes());
        out.extend(self.number.to_le_bytes());
        out.extend(body);
    }
}

impl<'a> Inode<'a> {
    /// Reads an inode; files of up to `largest` bytes.
    pub(super) fn decode(bytes: &'a [u8], block_log: u8, largest: u64) -> Result<Self, ReadError> {
        let f = &mut Fields::new(bytes, "an inode");
        let [kind, mode, uid, gid] = [f.u16()?, f.u16()?, f.u16()?, f.u16()?];
        let (mtime, number) = (f.u32()?, f.u32()?);
        let node = match kind {
            1 => {
                let (block, links) = (f.u32()?, f.u32()?);
                let (size, offset) = (f.u16()?, f.u16()?);
                Node::Directory {
                    listing: Place { block, offset },
                    size: size.into(),
                    links,
                    parent: f.u32()?,
                }
            }
            8 => {
                let [links, size, block, parent] = [f.u32()?, f.u32()?, f.u32()?, f.u32()?];
                let _index_entries = f.u16()?;
                let offset = f.u16()?;
                no_attributes(f.u32()?)?;
                Node::Directory {
                    listing: Place { block, offset },
                    size,
                    links,
                    parent,
                }
            }
            2 => {
                let start = u64::from(f.u32()?);
                let tail = tail(f.u32()?, f.u32()?);
                let size = u64::from(f.u32()?);
                file(f, block_log, largest, [start, size, 0], tail)?
            }
            9 => {
                let numbers = [f.u64()?, f.u64()?, f.u64()?];
                let _links = f.u32()?;
                let tail = tail(f.u32()?, f.u32()?);
                no_attributes(f.u32()?)?;
                file(f, block_log, largest, numbers, tail)?
            }
            3 => {
                let _links = f.u32()?;
                let length = usize::try_from(f.u32()?).unwrap_or(usize::MAX);
                Node::Symlink {
                    target: f.bytes(length)?,
                }
            }
            5 => {
                let _links = f.u32()?;
                Node::CharDevice { device: f.u32()? }
            }
            kind => return Err(ReadError::Kind { kind }),
        };
        Ok(Self {
            mode,
            uid,
            gid,
            mtime,
            number,
            node,
        })
    }
}

fn no_attributes(index: u32) -> Result<(), ReadError> {
    if index == NONE_32 {
        return Ok(());
    }
    Err(ReadError::Unsupported {
        what: "an inode's extended attributes",
        found: index.into(),
        expected: NONE_32.into(),
    })
}

const fn tail(fragment: u32, offset: u32) -> Option<Tail> {
    if fragment == NONE_32 {
        return None;
    }
    Some(Tail { fragment, offset })
}

/// The list of blocks ends a file's inode: as many as are full, and one more if the rest is
/// not in a fragment.
fn file<'a>(
    fields: &mut Fields<'a>,
    block_log: u8,
    largest: u64,
    [start, size, sparse]: [u64; 3],
    tail: Option<Tail>,
) -> Result<Node<'a>, ReadError> {
    if size > largest {
        return Err(ReadError::TooLarge {
            what: "content",
            limit: largest,
        });
    }
    let full = size >> block_log;
    let rest = u64::from(tail.is_none() && size & ((1 << block_log) - 1) != 0);
    let count = usize::try_from(full + rest).unwrap_or(usize::MAX);
    let list = fields.bytes(count.saturating_mul(4))?;
    let blocks = list
        .chunks_exact(4)
        .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        .collect();
    Ok(Node::File {
        start,
        size,
        sparse,
        tail,
        blocks: Cow::Owned(blocks),
    })
}

/// A device's number as Linux encodes it: twelve bits of major amid twenty of minor.
pub(super) fn device(major: u32, minor: u32) -> Option<u32> {
    (major <= 0xfff && minor <= 0xf_ffff)
        .then_some((minor & 0xff) | major << 8 | (minor & 0xf_ff00) << 12)
}

/// The major and minor number of a device.
pub(super) const fn major_minor(device: u32) -> (u32, u32) {
    (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00)
}

#[cfg(test)]
mod tests {
    use super::super::layout::DATA_RAW;
    use super::*;

    fn round_trip(node: Node<'_>) {
        let inode = Inode {
            mode: 0o644,
            uid: 1,
            gid: 2,
            mtime: 3,
            number: 4,
            node,
        };
        let mut bytes = Vec::new();
        inode.encode(&mut bytes);
        assert_eq!(Inode::decode(&bytes, 12, u64::MAX).unwrap(), inode);
        for length in 0..bytes.len() {
            assert!(Inode::decode(&bytes[..length], 12, u64::MAX).is_err());
        }
    }

    #[test]
    fn inodes_come_back() {
        let listing = Place {
            block: 70_000,
            offset: 8191,
        };
        for size in [3, 65_535, 65_536] {
            round_trip(Node::Directory {
                listing,
                size,
                links: 2,
                parent: 9,
            });
        }
        for (start, sparse) in [(96, 0), (1 << 33, 0), (96, 4096)] {
            round_trip(Node::File {
                start,
                size: 8192 + 7,
                sparse,
                tail: None,
                blocks: Cow::Owned(vec![1, 0, 3]),
            });
            round_trip(Node::File {
                start,
                size: 4096 + 7,
                sparse,
                tail: Some(Tail {
                    fragment: 5,
                    offset: 6,
                }),
                blocks: Cow::Owned(vec![DATA_RAW | 4096]),
            });
        }
        round_trip(Node::Symlink { target: b"../x" });
        round_trip(Node::CharDevice { device: 0x501 });
    }

    #[test]
    fn device_numbers() {
        for (major, minor) in [(5, 1), (4095, 1_048_575), (0, 256)] {
            assert_eq!(major_minor(device(major, minor).unwrap()), (major, minor));
        }
        assert_eq!(device(5, 1), Some(0x501));
        assert_eq!(device(4096, 0), None);
        assert_eq!(device(0, 1 << 20), None);
    }
}
