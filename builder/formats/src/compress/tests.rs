use super::*;
use crate::disk::Extent;
use bytes::Bytes;
use imgbuild_base::ByteSize;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// Noise, so that blocks differ.
fn noise(seed: u32, length: u32) -> Vec<u8> {
    let mix = |n: u32| {
        n.wrapping_add(seed)
            .wrapping_mul(2_654_435_761)
            .to_le_bytes()[3]
    };
    (0..length).map(mix).collect()
}

/// Three disks with a common begin, holes, and an end of their own; the last is shorter.
fn disks() -> Vec<DiskImage> {
    let common = Bytes::from(noise(1, 64 << 10).repeat(14 << 4));
    let disk = |number: u32, mib: u32| {
        let extents = [
            Extent::new(1 << 20, common.clone()),
            Extent::new(27 << 20, noise(number * 1000, 70_000)),
        ];
        DiskImage::new(ByteSize::bytes((u64::from(mib) << 20) + 512), extents).unwrap()
    };
    vec![disk(1, 38), disk(2, 38), disk(3, 30)]
}

fn flat(disk: &DiskImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    disk.reader().read_to_end(&mut bytes).unwrap();
    bytes
}

fn compressed(codec: Codec, disks: &[DiskImage], threads: usize) -> Vec<Vec<u8>> {
    let disks: Vec<&DiskImage> = disks.iter().collect();
    let mut files = vec![Vec::new(); disks.len()];
    let done = AtomicU64::new(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build()
        .unwrap()
        .install(|| {
            write(codec, &disks, &mut files, |count| {
                done.fetch_add(count, Ordering::Relaxed);
            })
        })
        .unwrap();
    let all: u64 = disks.iter().map(|disk| disk.size().get()).sum();
    assert_eq!(done.into_inner(), all);
    files
}

fn piped(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{command:?}");
        output.stdout
    })
}

#[test]
fn foreign_tools_read_what_was_written() {
    let disks = disks();
    for (codec, tool) in [(Codec::Zstd, "zstd"), (Codec::Xz, "xz")] {
        for (disk, file) in disks.iter().zip(compressed(codec, &disks, 2)) {
            piped(Command::new(tool).arg("-tq"), &file);
            let read = piped(Command::new(tool).arg("-dc"), &file);
            assert!(read == flat(disk), "{tool} reads something else");
        }
    }
}

#[test]
fn xz_knows_the_blocks_and_their_sizes() {
    let file = compressed(Codec::Xz, &disks(), 2).remove(0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.xz");
    fs_err::write(&path, &file).unwrap();
    let output = Command::new("xz")
        .args(["--robot", "-lvv"])
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // The columns after the block's place: sizes, ratio, check, its value, header, flags: `c`
    // and `u` are the sizes that a header names.
    let blocks: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("block"))
        .collect();
    assert_eq!(blocks.len(), 4, "{text}");
    assert!(
        blocks
            .iter()
            .all(|line| line.split('\t').any(|word| word == "cu")),
        "{text}"
    );
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_company() {
    let disks = disks();
    for codec in [Codec::Zstd, Codec::Xz] {
        let together = compressed(codec, &disks, 1);
        assert!(together == compressed(codec, &disks, 3), "threads");
        for (disk, file) in disks.iter().zip(&together) {
            let alone = compressed(codec, std::slice::from_ref(disk), 2);
            assert!(alone[0] == *file, "company");
        }
    }
}

#[test]
fn a_writer_that_fails_ends_it() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let disks = disks();
    let failed = write(Codec::Zstd, &[&disks[0]], &mut [Full], |_| {});
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
}
