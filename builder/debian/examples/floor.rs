//! The least that unpacking packages can cost on this machine: decompress the data member of
//! every `.deb` named on the command line with the liblzma that imgbuild links, on all
//! processors, the longest first, and forget what comes out.
//!
//! `benches/run` measures imgbuild against it. Prints the number of packages, the bytes that
//! went in and came out, and the seconds it took.

use liblzma::bufread::XzDecoder;
use liblzma::stream::{MtStreamBuilder, Stream};
use std::error::Error;
use std::io::{self, BufRead, Read, Write};
use std::sync::Mutex;
use std::time::Instant;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let started = Instant::now();
    let mut packages = Vec::new();
    for path in std::env::args_os().skip(1) {
        packages.push(fs_err::read(std::path::PathBuf::from(path))?);
    }
    let read = packages.len();
    let bytes_in: usize = packages.iter().map(Vec::len).sum();
    // Taken from the end: the longest package first.
    packages.sort_by_key(Vec::len);
    let waiting = Mutex::new(packages);
    let threads = std::thread::available_parallelism()?.get();
    let bytes_out = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| work(&waiting)))
            .collect();
        workers.into_iter().try_fold(0, |sum, worker| {
            let out = worker.join().map_err(|_| "a thread panicked")??;
            Ok::<u64, Failure>(sum + out)
        })
    })?;
    let seconds = started.elapsed().as_secs_f64();
    writeln!(
        io::stdout(),
        "{read} packages, {bytes_in} bytes in, {bytes_out} bytes out, {seconds:.3} s on {threads} threads"
    )?;
    Ok(())
}

/// Decompresses packages until none is left; the bytes that came out.
fn work(waiting: &Mutex<Vec<Vec<u8>>>) -> Result<u64, Failure> {
    let mut out = 0;
    loop {
        let next = waiting.lock().map_err(|_| "a thread panicked")?.pop();
        let Some(package) = next else {
            return Ok(out);
        };
        out += decompress(&package)?;
    }
}

/// Decompresses the data member of a `.deb`, an `ar` archive (deb(5)).
fn decompress(package: &[u8]) -> Result<u64, Failure> {
    let mut rest = package.strip_prefix(b"!<arch>\n").ok_or("not a .deb")?;
    while let Some((header, after)) = rest.split_at_checked(60) {
        let name = std::str::from_utf8(&header[..16])?.trim_end();
        let size: usize = std::str::from_utf8(&header[48..58])?.trim_end().parse()?;
        let member = after.get(..size).ok_or("a .deb is cut short")?;
        match name.trim_end_matches('/') {
            "data.tar.xz" => {
                return drain(XzDecoder::new_stream(member, decoder(member)?));
            }
            "data.tar.zst" => return drain(zstd::stream::read::Decoder::with_buffer(member)?),
            "data.tar.gz" => return drain(flate2::bufread::MultiGzDecoder::new(member)),
            "data.tar" => return Ok(size as u64),
            _ => rest = after.get(size + size % 2..).unwrap_or_default(),
        }
    }
    Err("a .deb without a data member".into())
}

/// A large member in several blocks (the kernel's) keeps all processors busy by itself.
fn decoder(member: &[u8]) -> Result<Stream, Failure> {
    if member.len() < LARGE {
        return Ok(Stream::new_stream_decoder(u64::MAX, 0)?);
    }
    let threads = u32::try_from(std::thread::available_parallelism()?.get())?;
    Ok(MtStreamBuilder::new()
        .threads(threads)
        .memlimit_threading(1 << 30)
        .memlimit_stop(u64::MAX)
        .decoder()?)
}

/// From this size on members are decompressed by several threads, in bytes.
const LARGE: usize = 16 << 20;

fn drain(from: impl Read) -> Result<u64, Failure> {
    let mut from = io::BufReader::with_capacity(256 << 10, from);
    let mut out = 0;
    loop {
        let len = from.fill_buf()?.len();
        if len == 0 {
            return Ok(out);
        }
        out += len as u64;
        from.consume(len);
    }
}
