//! Measures the squashfs writer on a directory:
//!
//! ```text
//! cargo run --release -p imgbuild-formats --example squashfs -- DIRECTORY IMAGE [LEVEL]
//! ```
//!
//! The directory is read into memory and hashed first; what is timed is what the builder does
//! per layer: compress, write, and read back. Compare with
//! `mksquashfs DIRECTORY IMAGE -comp zstd -Xcompression-level LEVEL -b 256K`.
#![allow(clippy::print_stdout)]

use fs_err as fs;
use imgbuild_base::{Epoch, Meta, Tree, TreePath};
use imgbuild_formats::squashfs::{self, Level, Options};
use std::error::Error;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (directory, image, level) = match &arguments[..] {
        [directory, image] => (directory, image, 9),
        [directory, image, level] => (directory, image, level.parse()?),
        _ => return Err("expected: DIRECTORY IMAGE [LEVEL]".into()),
    };
    let mut tree = Tree::new();
    load(&mut tree, Path::new(directory), Path::new(directory))?;

    let options = Options {
        level: Level::new(level)?,
        ..Options::new(Epoch::ZERO)
    };
    let start = Instant::now();
    let mut out = fs::File::create(image)?;
    let summary = squashfs::write(&tree, &options, &mut out)?;
    let wrote = start.elapsed();

    let start = Instant::now();
    let back = squashfs::read(&fs::read(image)?)?;
    println!(
        "{} of content in {} inodes ({} duplicates, {} fragments) -> {} in {:.2} s; \
         read back in {:.2} s, {}",
        summary.content,
        summary.inodes,
        summary.duplicates,
        summary.fragments,
        summary.size,
        wrote.as_secs_f64(),
        start.elapsed().as_secs_f64(),
        if back == tree { "equal" } else { "DIFFERENT" },
    );
    Ok(())
}

fn load(tree: &mut Tree, root: &Path, directory: &Path) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let name = path
            .strip_prefix(root)?
            .to_str()
            .ok_or("a name is not UTF-8")?;
        let name = TreePath::new(name)?;
        let metadata = entry.metadata()?;
        let mode = u16::try_from(metadata.permissions().mode() & 0o7777)?;
        let meta = Meta::root(mode, Epoch::ZERO);
        if metadata.is_symlink() {
            let target = fs::read_link(&path)?;
            tree.put_link(
                name,
                target.to_str().ok_or("a target is not UTF-8")?,
                Epoch::ZERO,
            );
        } else if metadata.is_dir() {
            tree.put_dir(name, meta);
            load(tree, root, &path)?;
        } else if metadata.is_file() {
            tree.put_file(name, meta, fs::read(&path)?);
        }
    }
    Ok(())
}
