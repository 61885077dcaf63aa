//! The bodies of files: cut into blocks, compressed side by side, stored in order.
//!
//! The calling thread walks the files and hands out blocks; the threads of the rayon pool
//! compress them; the calling thread stores each when its turn has come. At most
//! [`in_flight`] blocks are between the two, which bounds the memory.

use super::WriteError;
use super::codec::{Block, Codec, Nature};
use super::inode::Tail;
use super::layout::DATA_RAW;
use crate::disk::is_zero;
use imgbuild_base::{Body, Digest};
use rayon::{ScopeFifo, Yield};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::time::Duration;

/// Where one body lies in the image.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Position of the first stored block.
    start: Option<u64>,
    pub(super) size: u64,
    pub(super) sparse: u64,
    pub(super) tail: Option<Tail>,
    /// Stored size of each block, 0 for zeros.
    pub(super) blocks: Vec<u32>,
}

impl Stored {
    pub(super) fn start(&self) -> u64 {
        self.start.unwrap_or(0)
    }
}

/// Where a fragment block lies in the image, and its stored size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fragment {
    pub(super) start: u64,
    pub(super) size: u32,
}

/// Where everything lies.
#[derive(Debug, Default)]
pub(super) struct Data {
    files: Vec<Stored>,
    by_digest: HashMap<Digest, usize>,
    pub(super) fragments: Vec<Fragment>,
    /// Bodies that were stored before.
    pub(super) duplicates: u32,
    /// Bytes of all bodies, duplicates counted each time.
    pub(super) content: u64,
    /// The first byte after the last block.
    pub(super) end: u64,
}

impl Data {
    /// Where a body lies that was stored.
    pub(super) fn of(&self, body: &Body) -> Option<&Stored> {
        self.files.get(*self.by_digest.get(&body.digest())?)
    }
}

/// Stores the bodies from `start` on.
pub(super) fn store<'t>(
    bodies: impl Iterator<Item = &'t Body>,
    block_size: u32,
    codec: &Codec,
    start: u64,
    out: &mut impl Write,
) -> Result<Data, WriteError> {
    rayon::in_place_scope_fifo(|scope| {
        let mut line = Line {
            scope,
            codec,
            out,
            waiting: VecDeque::new(),
            room: in_flight(),
            block_size: usize::try_from(block_size).unwrap_or(usize::MAX),
            tails: [Tails::default(), Tails::default()],
            data: Data {
                end: start,
                ..Data::default()
            },
        };
        for body in bodies {
            line.body(body)?;
        }
        line.finish()
    })
}

/// How many blocks may wait for their turn.
fn in_flight() -> usize {
    (4 * rayon::current_num_threads()).clamp(8, 64)
}

/// What a block belongs to.
#[derive(Clone, Copy)]
enum Owner {
    File { file: usize, block: usize },
    Fragment(usize),
}

/// A fragment block being filled.
#[derive(Default)]
struct Tails {
    number: Option<usize>,
    bytes: Vec<u8>,
}

type Packed<'t> = Result<Block<'t>, WriteError>;

struct Line<'a, 'scope, W> {
    scope: &'a ScopeFifo<'scope>,
    codec: &'scope Codec,
    out: &'a mut W,
    waiting: VecDeque<(Owner, Receiver<Packed<'scope>>)>,
    room: usize,
    block_size: usize,
    /// By [`Nature`]: what is compressed already does not mix with what is not.
    tails: [Tails; 2],
    data: Data,
}

impl<'scope, W: Write> Line<'_, 'scope, W> {
    fn body(&mut self, body: &'scope Body) -> Result<(), WriteError> {
        let bytes: &'scope [u8] = body.bytes();
        self.data.content += bytes.len() as u64;
        let file = self.data.files.len();
        if *self.data.by_digest.entry(body.digest()).or_insert(file) != file {
            self.data.duplicates += 1;
            return Ok(());
        }
        let blocks = bytes.chunks_exact(self.block_size);
        let tail = blocks.remainder();
        self.data.files.push(Stored {
            size: bytes.len() as u64,
            blocks: vec![0; blocks.len()],
            ..Stored::default()
        });
        let nature = Nature::of(bytes);
        for (block, bytes) in blocks.enumerate() {
            if is_zero(bytes) {
                self.data.files[file].sparse += bytes.len() as u64;
            } else {
                self.submit(Owner::File { file, block }, Cow::Borrowed(bytes), nature)?;
            }
        }
        if !tail.is_empty() {
            self.tail(file, tail, nature)?;
        }
        Ok(())
    }

    /// Puts the end of a file into a fragment block; a full one is handed out. Only between
    /// files, because a file's blocks must lie side by side.
    fn tail(&mut self, file: usize, tail: &[u8], nature: Nature) -> Result<(), WriteError> {
        if self.tails[slot(nature)].bytes.len() + tail.len() > self.block_size {
            self.close(nature)?;
        }
        let fragments = &mut self.data.fragments;
        let tails = &mut self.tails[slot(nature)];
        let number = *tails.number.get_or_insert_with(|| {
            fragments.push(Fragment::default());
            fragments.len() - 1
        });
        let narrow = |number: usize| {
            u32::try_from(number).map_err(|_| WriteError::TooMany {
                what: "fragments",
                limit: u32::MAX.into(),
            })
        };
        self.data.files[file].tail = Some(Tail {
            fragment: narrow(number)?,
            offset: narrow(tails.bytes.len())?,
        });
        tails.bytes.reserve(self.block_size - tails.bytes.len());
        tails.bytes.extend_from_slice(tail);
        Ok(())
    }

    fn close(&mut self, nature: Nature) -> Result<(), WriteError> {
        let tails = std::mem::take(&mut self.tails[slot(nature)]);
        match tails.number {
            Some(number) => self.submit(Owner::Fragment(number), Cow::Owned(tails.bytes), nature),
            None => Ok(()),
        }
    }

    fn submit(
        &mut self,
        owner: Owner,
        bytes: Cow<'scope, [u8]>,
        nature: Nature,
    ) -> Result<(), WriteError> {
        while self.waiting.len() >= self.room {
            self.settle()?;
        }
        let (done, result) = sync_channel(1);
        let codec = self.codec;
        self.scope.spawn_fifo(move |_| {
            // Nobody listens any more when storing has failed.
            let _ = done.send(codec.pack(bytes, nature));
        });
        self.waiting.push_back((owner, result));
        Ok(())
    }

    /// Stores the block whose turn it is.
    fn settle(&mut self) -> Result<(), WriteError> {
        let Some((owner, result)) = self.waiting.pop_front() else {
            return Ok(());
        };
        let block = wait(&result)?;
        let bytes = block.bytes();
        self.out.write_all(bytes)?;
        // At most a block: 1 MiB.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let size = if block.is_raw() {
            length | DATA_RAW
        } else {
            length
        };
        let start = self.data.end;
        self.data.end += u64::from(length);
        match owner {
            Owner::File { file, block } => {
                let stored = &mut self.data.files[file];
                stored.start.get_or_insert(start);
                stored.blocks[block] = size;
            }
            Owner::Fragment(number) => self.data.fragments[number] = Fragment { start, size },
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Data, WriteError> {
        self.close(Nature::Plain)?;
        self.close(Nature::Packed)?;
        while !self.waiting.is_empty() {
            self.settle()?;
        }
        Ok(self.data)
    }
}

const fn slot(nature: Nature) -> usize {
    match nature {
        Nature::Plain => 0,
        Nature::Packed => 1,
    }
}

/// Waits for a block. A thread of the pool itself lends a hand meanwhile: in a pool of one
/// thread nobody else would.
fn wait<'t>(result: &Receiver<Packed<'t>>) -> Packed<'t> {
    let lost = || Err(WriteError::Compress("its thread ended early".to_owned()));
    loop {
        match result.try_recv() {
            Ok(packed) => return packed,
            Err(TryRecvError::Disconnected) => return lost(),
            Err(TryRecvError::Empty) => {}
        }
        match rayon::yield_now() {
            Some(Yield::Executed) => {}
            Some(Yield::Idle) => match result.recv_timeout(Duration::from_millis(1)) {
                Ok(packed) => return packed,
                Err(RecvTimeoutError::Disconnected) => return lost(),
                Err(RecvTimeoutError::Timeout) => {}
            },
            None => return result.recv().unwrap_or_else(|_| lost()),
        }
    }
}
