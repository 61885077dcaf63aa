//! A device or file that is open for a flash: the only place that asks the kernel for more than
//! plain reading and writing.

use super::target::Target;
use rustix::fs::{Advice, FallocateFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// What reading past the page cache is aligned to: no medium has larger blocks.
const ALIGNED: usize = 4096;
/// udev holds a device's lock for moments only; a flash holds it to its end.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a device cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    /// The kernel or another program has it.
    #[error("it is in use: it is mounted, or another program has it")]
    Busy,
    /// Another flash has it.
    #[error("another flash is writing to it")]
    Locked,
    /// Whatever else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A device or file that nobody else may write to meanwhile.
#[derive(Debug)]
pub(crate) struct Device {
    file: File,
    /// The same, without the page cache; nothing where its file system cannot do that.
    direct: Option<File>,
    buffer: Vec<u8>,
    size: u64,
}

impl Device {
    /// Opens a device or an existing file for this process alone.
    pub(crate) fn open(path: &Path) -> Result<Self, DeviceError> {
        let mut flags = OFlags::RDWR | OFlags::CLOEXEC;
        if fs_err::metadata(path)?.file_type().is_block_device() {
            // To a device this means: only if no file system and no other device has it.
            flags |= OFlags::EXCL;
        }
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let mut file = File::from(opened.map_err(|error| match error {
            Errno::BUSY => DeviceError::Busy,
            error => DeviceError::Io(error.into()),
        })?);
        lock(&file)?;
        let size = file.seek(SeekFrom::End(0))?;
        let again = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECT;
        let direct = rustix::fs::open(again, flags, Mode::empty()).ok();
        Ok(Self {
            direct: direct.map(File::from),
            buffer: Vec::new(),
            file,
            size,
        })
    }
}

/// Takes the lock by which udev, too, knows that a device is being written.
fn lock(file: &File) -> Result<(), DeviceError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(Errno::WOULDBLOCK) => return Err(DeviceError::Locked),
            Err(error) => return Err(DeviceError::Io(error.into())),
        }
    }
}

impl Target for Device {
    fn size(&self) -> u64 {
        self.size
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        // A file would grow where a device ends.
        if at.saturating_add(bytes.len() as u64) > self.size {
            return Err(Errno::NOSPC.into());
        }
        self.file.write_all_at(bytes, at)
    }

    fn zero(&mut self, range: Range<u64>) -> io::Result<()> {
        let length = range.end - range.start;
        let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, range.start, length) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
                let zeros = vec![0; usize::try_from(length).map_err(io::Error::other)?];
                self.write_at(range.start, &zeros)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn settle(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn read_back(&mut self, at: u64, to: &mut [u8]) -> io::Result<()> {
        if let Some(direct) = &self.direct {
            match read_direct(direct, &mut self.buffer, at, to) {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                    self.direct = None;
                }
                done => return done,
            }
        }
        // Pages that are on the medium are forgotten, so that they are read anew.
        let length = std::num::NonZeroU64::new(to.len() as u64);
        rustix::fs::fadvise(&self.file, at, length, Advice::DontNeed)?;
        self.file.read_exact_at(to, at)
    }
}

/// Reads past the page cache, which takes whole blocks to aligned memory.
fn read_direct(file: &File, buffer: &mut Vec<u8>, at: u64, to: &mut [u8]) -> io::Result<()> {
    let start = at / ALIGNED as u64 * ALIGNED as u64;
    let lead = usize::try_from(at - start).map_err(io::Error::other)?;
    let needed = lead + to.len();
    let length = needed.next_multiple_of(ALIGNED);
    buffer.resize(length + ALIGNED, 0);
    let shift = buffer.as_ptr().align_offset(ALIGNED);
    let blocks = &mut buffer[shift..shift + length];
    let mut done = 0;
    while done < needed {
        // At the end of the medium there may be less than a block.
        let count = file.read_at(&mut blocks[done..], start + done as u64)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        done += count;
    }
    to.copy_from_slice(&blocks[lead..needed]);
    Ok(())
}
