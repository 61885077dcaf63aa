//! Initramfs archives: cpio in the `newc` form that the Linux kernel unpacks, and their
//! compression.
//!
//! Source: the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`. Each
//! entry is a header of six magic characters and thirteen numbers of eight hexadecimal digits,
//! the name with a NUL, the content; name and content are padded to four bytes.

use imgbuild_base::{Body, Entry, Epoch, Kind, Meta, Tree, TreePath};
use std::io::{self, Write};

const MAGIC: &[u8; 6] = b"070701";
const HEADER: usize = 110;
const TRAILER: &str = "TRAILER!!!";
/// Archives are padded to this, as cpio does.
const RECORD: usize = 512;

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHAR: u32 = 0o020_000;
const FORMAT: u32 = 0o170_000;

/// Why a tree cannot become a cpio archive, or an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CpioError {
    /// A file is too long for the format.
    #[error("/{path} has {length} bytes: a cpio archive holds less than 4 GiB per file")]
    TooLong {
        /// The file.
        path: String,
        /// Its length in bytes.
        length: u64,
    },
    /// A level at which the kernel may not have the memory to decompress.
    #[error("zstd level {0} is not for an initramfs: expected 1 to 19")]
    Level(u8),
    /// The archive breaks off.
    #[error("the cpio archive is cut off at byte {at}: expected an entry or {TRAILER}")]
    Truncated {
        /// Where the entry begins that is not complete.
        at: u64,
    },
    /// A header is not one.
    #[error("the cpio archive is damaged: no newc header at byte {at}")]
    Header {
        /// Where a header should be.
        at: u64,
    },
    /// A name or link target that cannot be one.
    #[error("the cpio archive has a name or a link's target {name:?} that cannot be used")]
    Name {
        /// The name, made readable.
        name: String,
    },
    /// A kind of entry that a tree cannot hold.
    #[error(
        "the cpio archive has /{path} with mode {mode:o}: expected directories, files, \
         symbolic links and character devices"
    )]
    Kind {
        /// The entry.
        path: String,
        /// Its type and permissions.
        mode: u32,
    },
    /// The archive could not be stored.
    #[error("writing the cpio archive: {0}")]
    Io(#[from] io::Error),
}

/// Writes `tree` as a newc archive: entries in path order, a directory before what it holds,
/// inode numbers counted from 1, on device 0:0.
///
/// # Errors
/// [`CpioError::TooLong`], or [`CpioError::Io`] when `out` fails.
pub fn write_newc(tree: &Tree, out: &mut impl Write) -> Result<(), CpioError> {
    let mut written = 0;
    for (number, (path, entry)) in (1..).zip(tree.iter()) {
        let (format, device, content): (u32, [u32; 2], &[u8]) = match &entry.kind {
            Kind::Directory => (DIRECTORY, [0; 2], &[]),
            Kind::File(body) => (FILE, [0; 2], body.bytes()),
            Kind::Symlink(target) => (LINK, [0; 2], target.as_bytes()),
            Kind::CharDevice { major, minor } => (CHAR, [*major, *minor], &[]),
        };
        let length = u32::try_from(content.len()).map_err(|_| CpioError::TooLong {
            path: path.to_string(),
            length: content.len() as u64,
        })?;
        let Meta {
            mode,
            uid,
            gid,
            mtime,
        } = entry.meta;
        let links = if format == DIRECTORY { 2 } else { 1 };
        let mode = format | u32::from(mode);
        let seconds = mtime.seconds_u32();
        let [major, minor] = device;
        let numbers = [
            number, mode, uid, gid, links, seconds, length, 0, 0, major, minor,
        ];
        written += put(out, numbers, path.as_str(), content)?;
    }
    written += put(out, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], TRAILER, &[])?;
    pad(out, written, RECORD as u64)?;
    Ok(())
}

/// Writes one entry: the header's numbers up to the device, the name's length and no checksum.
fn put(out: &mut impl Write, numbers: [u32; 11], name: &str, content: &[u8]) -> io::Result<u64> {
    out.write_all(MAGIC)?;
    for number in numbers {
        write!(out, "{number:08x}")?;
    }
    write!(out, "{:08x}{:08x}{name}\0", name.len() + 1, 0)?;
    let head = (HEADER + name.len() + 1) as u64;
    let head = head + pad(out, head, 4)?;
    out.write_all(content)?;
    let length = content.len() as u64;
    Ok(head + length + pad(out, length, 4)?)
}

/// Zeros after `length` bytes up to a multiple of `unit`, which is at most [`RECORD`].
fn pad(out: &mut impl Write, length: u64, unit: u64) -> io::Result<u64> {
    const ZEROS: [u8; RECORD] = [0; RECORD];
    let gap = length.next_multiple_of(unit) - length;
    let zeros = usize::try_from(gap).ok().and_then(|gap| ZEROS.get(..gap));
    out.write_all(zeros.unwrap_or(&ZEROS))?;
    Ok(gap)
}

/// Reads a newc archive up to its trailer. Hard links, which [`write_newc`] does not make,
/// become files of their own.
///
/// # Errors
/// [`CpioError`] when the archive is damaged or holds what a [`Tree`] cannot.
pub fn read_newc(archive: &[u8]) -> Result<Tree, CpioError> {
    let mut tree = Tree::new();
    let mut at: usize = 0;
    loop {
        let start = at as u64;
        let truncated = || CpioError::Truncated { at: start };
        let mut take = |length: usize, align: bool| {
            let end = at.checked_add(length).ok_or_else(truncated)?;
            let taken = archive.get(at..end).ok_or_else(truncated)?;
            at = if align { end.next_multiple_of(4) } else { end };
            Ok::<_, CpioError>(taken)
        };
        let numbers = header(take(HEADER, false)?).ok_or(CpioError::Header { at: start })?;
        let [
            _,
            mode,
            uid,
            gid,
            _,
            seconds,
            size,
            _,
            _,
            major,
            minor,
            name,
            _,
        ] = numbers;
        let to_usize = |number: u32| usize::try_from(number).map_err(|_| truncated());
        let name = take(to_usize(name)?, true)?;
        let content = take(to_usize(size)?, true)?;

        let name = text(name.strip_suffix(b"\0").unwrap_or(name))?;
        if name == TRAILER {
            return Ok(tree);
        }
        if name == "." {
            continue;
        }
        let path = TreePath::new(name).map_err(|_| CpioError::Name {
            name: name.to_owned(),
        })?;
        let kind = match mode & FORMAT {
            DIRECTORY => Kind::Directory,
            FILE => Kind::File(Body::new(content.to_vec())),
            LINK => Kind::Symlink(text(content)?.to_owned()),
            CHAR => Kind::CharDevice { major, minor },
            _ => {
                return Err(CpioError::Kind {
                    path: path.to_string(),
                    mode,
                });
            }
        };
        let meta = Meta {
            mode: u16::try_from(mode & 0o7777).unwrap_or(0o7777),
            uid,
            gid,
            mtime: Epoch::from_u32(seconds),
        };
        tree.put(path, Entry { meta, kind });
    }
}

fn text(bytes: &[u8]) -> Result<&str, CpioError> {
    std::str::from_utf8(bytes).map_err(|_| CpioError::Name {
        name: String::from_utf8_lossy(bytes).into_owned(),
    })
}

/// The thirteen numbers of a header.
fn header(bytes: &[u8]) -> Option<[u32; 13]> {
    let digits = bytes.strip_prefix(MAGIC)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut numbers = [0; 13];
    for (number, digits) in numbers.iter_mut().zip(digits.chunks_exact(8)) {
        *number = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(numbers)
}

/// Compresses an initramfs into one zstd frame with the content's size. Levels up to 19 use a
/// window of at most 8 MiB, which the kernel accepts.
///
/// # Errors
/// [`CpioError::Level`] for a level outside 1 to 19; [`CpioError::Io`] when zstd fails.
pub fn compress_zstd(archive: &[u8], level: u8) -> Result<Vec<u8>, CpioError> {
    if !(1..=19).contains(&level) {
        return Err(CpioError::Level(level));
    }
    let mut encoder = zstd::Encoder::new(Vec::new(), level.into())?;
    // With workers the output is the same for any number of them, but not the same as with
    // none: one is what every host has.
    encoder.multithread(1)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(archive.len() as u64))?;
    encoder.write_all(archive)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::{Command, Stdio};

    fn sample() -> Tree {
        let path = |text| TreePath::new(text).unwrap();
        let time = Epoch::from_u32(1_600_000_000);
        let meta = Meta::root(0o755, time);
        let mut tree = Tree::new();
        tree.put_file(path("init"), meta, "#!/bin/sh\n");
        tree.put_file(path("etc/empty"), meta.owned_by(1, 2), "");
        tree.put_link(path("bin"), "usr/bin", time);
        let kind = Kind::CharDevice { major: 5, minor: 1 };
        let meta = Meta::root(0o600, time);
        tree.put(path("dev/console"), Entry { meta, kind });
        tree
    }

    fn archive(tree: &Tree) -> Vec<u8> {
        let mut out = Vec::new();
        write_newc(tree, &mut out).unwrap();
        out
    }

    #[test]
    fn a_tree_comes_back() {
        let bytes = archive(&sample());
        assert_eq!(bytes.len() % 512, 0);
        assert_eq!(read_newc(&bytes).unwrap(), sample());
        assert_eq!(read_newc(&archive(&Tree::new())).unwrap(), Tree::new());
    }

    #[test]
    fn cpio_lists_it() {
        let mut cpio = Command::new("cpio")
            .args(["-itv", "--quiet", "--numeric-uid-gid"])
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cpio must be installed");
        let mut input = cpio.stdin.take().unwrap();
        input.write_all(&archive(&sample())).unwrap();
        drop(input);
        let output = cpio.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let list = String::from_utf8(output.stdout).unwrap();
        let squeezed: Vec<String> = list
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            squeezed,
            [
                "lrwxrwxrwx 1 0 0 7 Sep 13 2020 bin -> usr/bin",
                "drwxr-xr-x 2 0 0 0 Sep 13 2020 dev",
                "crw------- 1 0 0 5, 1 Sep 13 2020 dev/console",
                "drwxr-xr-x 2 0 0 0 Sep 13 2020 etc",
                "-rwxr-xr-x 1 1 2 0 Sep 13 2020 etc/empty",
                "-rwxr-xr-x 1 0 0 10 Sep 13 2020 init",
            ]
        );
    }

    #[test]
    fn refusals() {
        let bytes = archive(&sample());
        assert!(matches!(
            read_newc(&bytes[..200]),
            Err(CpioError::Truncated { .. })
        ));
        assert!(matches!(
            read_newc(&[b'x'; 200]),
            Err(CpioError::Header { at: 0 })
        ));
        assert!(matches!(compress_zstd(b"", 20), Err(CpioError::Level(20))));
    }

    #[test]
    fn compression_comes_back_and_states_its_size() {
        let bytes = archive(&sample());
        for level in [1, 19] {
            let frame = compress_zstd(&bytes, level).unwrap();
            let size = zstd::zstd_safe::get_frame_content_size(&frame).unwrap();
            assert_eq!(size, Some(bytes.len() as u64));
            assert_eq!(zstd::decode_all(&frame[..]).unwrap(), bytes);
        }
    }

    proptest! {
        #[test]
        fn damage_is_survived(at in 0..1024_usize, byte: u8, cut in 0..2048_usize) {
            let mut bytes = archive(&sample());
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(cut);
            let _ = read_newc(&bytes);
        }
    }
}
