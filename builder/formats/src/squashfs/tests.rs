//! Writer against reader, against itself on other threads, and against squashfs-tools.

use super::*;
use imgbuild_base::{Digest, Kind, Meta, Tree, TreePath};
use proptest::prelude::*;
use std::io::Cursor;
use std::process::Command;

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn options(block_size: u32) -> Options {
    Options {
        block_size: BlockSize::new(block_size).unwrap(),
        level: Level::new(3).unwrap(),
        epoch: Epoch::from_u32(1_700_000_000),
    }
}

fn image(tree: &Tree, options: &Options) -> (Vec<u8>, Summary) {
    let mut out = Cursor::new(Vec::new());
    let summary = write(tree, options, &mut out).unwrap();
    assert_eq!(out.position(), summary.size.get());
    (out.into_inner(), summary)
}

fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
}

/// A tree with every case: empty, small, exactly a block, larger, holes, noise, packed,
/// duplicates, many entries, odd owners, links, a device.
fn sample() -> Tree {
    let time = Epoch::from_u32(1_600_000_000);
    let meta = Meta::root(0o644, time);
    let mut tree = Tree::new();
    let mut holes = noise(3 * 4096, 5);
    holes.extend(vec![0; 8192]);
    holes.extend(b"end");
    let mut packed = b"\xfd7zXZ\0".to_vec();
    packed.extend(noise(5000, 9));
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("small", b"hello\n".to_vec()),
        ("block", vec![7; 4096]),
        ("noise", noise(10_000, 1)),
        ("zeros", vec![0; 3 * 4096]),
        ("holes", holes),
        ("packed.xz", packed.clone()),
        ("again/packed.xz", packed),
        ("again/noise", noise(10_000, 1)),
    ] {
        tree.put_file(path(&format!("files/{name}")), meta, bytes);
    }
    for number in 0..700_u16 {
        let name = path(&format!(
            "many/{number:04}-{}",
            "x".repeat(usize::from(number % 90))
        ));
        tree.put_file(name, meta.owned_by(u32::from(number % 5), 100_000), "same");
    }
    tree.put_file(
        path("suid"),
        Meta::root(0o4755, Epoch::from_u32(u32::MAX)),
        "s",
    );
    tree.put_dir(path("tmp"), Meta::root(0o1777, time));
    tree.put_link(path("bin"), "usr/bin", time);
    let kind = Kind::CharDevice { major: 5, minor: 1 };
    tree.put(path("dev/console"), imgbuild_base::Entry { meta, kind });
    tree
}

#[test]
fn a_tree_comes_back() {
    let tree = sample();
    for block_size in [4096, 262_144] {
        let (image, summary) = image(&tree, &options(block_size));
        assert_eq!(image.len() % 4096, 0);
        assert_eq!(read(&image).unwrap(), tree);
        assert_eq!(summary.inodes as usize, tree.len() + 1);
        assert_eq!(summary.duplicates, 2 + 699);
    }
}

#[test]
fn an_empty_tree_comes_back() {
    let (image, summary) = image(&Tree::new(), &options(4096));
    assert_eq!(read(&image).unwrap(), Tree::new());
    assert_eq!(
        (summary.inodes, summary.fragments, image.len()),
        (1, 0, 4096)
    );
}

/// Changing this digest is a change of every layer: say so in the changelog.
#[test]
fn the_image_is_the_same_for_any_number_of_threads() {
    let mut tree = sample();
    let text: Vec<u8> = noise(3_000_000, 4).iter().map(|byte| byte & 15).collect();
    tree.put_file(path("text"), Meta::root(0o644, Epoch::ZERO), text);
    let digests: Vec<Digest> = [1, 2, 4]
        .into_iter()
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let pool = pool.build().unwrap();
            Digest::of(&pool.install(|| image(&tree, &options(16_384)).0))
        })
        .chain([Digest::of(&image(&tree, &options(16_384)).0)])
        .collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

#[test]
fn an_image_may_start_anywhere_in_the_output() {
    let tree = sample();
    let mut out = Cursor::new(vec![1; 512]);
    out.set_position(512);
    write(&tree, &options(4096), &mut out).unwrap();
    assert_eq!(out.into_inner()[512..], image(&tree, &options(4096)).0);
}

#[test]
fn duplicates_cost_an_inode_only() {
    let meta = Meta::root(0o644, Epoch::ZERO);
    let mut tree = Tree::new();
    tree.put_file(path("a"), meta, noise(200_000, 3));
    let one = image(&tree, &options(4096)).1;
    tree.put_file(path("b"), meta, noise(200_000, 3));
    let two = image(&tree, &options(4096)).1;
    assert!(two.size.get() <= one.size.get() + 4096);
    assert_eq!(two.content.get(), 400_000);
}

#[test]
fn refusals() {
    assert!(matches!(
        BlockSize::new(5000),
        Err(WriteError::BlockSize(5000))
    ));
    assert!(matches!(Level::new(23), Err(WriteError::Level(23))));
    let refuse = |tree: &Tree| {
        let error = write(tree, &options(4096), &mut Cursor::new(Vec::new()));
        error.unwrap_err().to_string()
    };
    let mut tree = Tree::new();
    tree.put_link(path("l"), "", Epoch::ZERO);
    assert_eq!(
        refuse(&tree),
        "/l links to a target of 0 bytes: expected 1 to 4095"
    );
    let mut tree = Tree::new();
    tree.put_file(path("a/b"), Meta::root(0o644, Epoch::ZERO), "x");
    tree.remove(&path("a"));
    assert_eq!(
        refuse(&tree),
        "/a/b has no directory to stand in: put its parent into the tree"
    );
    assert_eq!(
        read(b"PK\x03\x04"),
        Err(ReadError::NotSquashfs { found: 0x0403_4b50 })
    );
}

#[test]
fn limits_hold() {
    let (image, _) = image(&sample(), &options(4096));
    let limits = Limits::default();
    for tight in [
        Limits {
            content: 10_000,
            ..limits
        },
        Limits {
            metadata: 8000,
            ..limits
        },
        Limits {
            entries: 100,
            ..limits
        },
    ] {
        assert!(matches!(
            read_with(&image, &tight),
            Err(ReadError::TooLarge { .. })
        ));
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("squashfs-tools must be installed");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {errors}");
    // It says on stderr what it does not like, and exits with success.
    assert!(
        !errors.contains("FATAL") && !errors.contains("rror"),
        "{errors}"
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn unsquashfs_sees_the_same_tree() {
    let tree = sample();
    let dir = tempfile::tempdir().unwrap();
    for block_size in [4096, 262_144] {
        let file = dir.path().join(format!("{block_size}.squashfs"));
        fs_err::write(&file, image(&tree, &options(block_size)).0).unwrap();

        let facts = run(Command::new("unsquashfs")
            .arg("-s")
            .arg(&file)
            .env("TZ", "UTC"));
        for fact in [
            "SQUASHFS 4:0 superblock",
            "Compression zstd",
            &format!("Block size {block_size}"),
            &format!("Number of inodes {}", tree.len() + 1),
            "Xattrs are not stored",
            "Tue Nov 14 22:13:20 2023",
        ] {
            assert!(facts.contains(fact), "{fact:?} not in {facts}");
        }

        let list = run(Command::new("unsquashfs")
            .arg("-lln")
            .arg(&file)
            .env("TZ", "UTC"));
        let list: Vec<String> = list
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(list.len(), tree.len() + 1);
        for line in [
            "-rwsr-xr-x 0/0 1 2106-02-07 06:28 squashfs-root/suid",
            "drwxrwxrwt 0/0 3 2020-09-13 12:26 squashfs-root/tmp",
            "lrwxrwxrwx 0/0 7 2020-09-13 12:26 squashfs-root/bin -> usr/bin",
            "crw-r--r-- 0/0 5, 1 2020-09-13 12:26 squashfs-root/dev/console",
            "-rw-r--r-- 4/100000 4 2020-09-13 12:26 squashfs-root/many/0004-xxxx",
        ] {
            assert!(list.iter().any(|found| found == line), "no {line:?}");
        }

        for (path, entry) in tree.iter() {
            let Kind::File(body) = &entry.kind else {
                continue;
            };
            if path.is_within("many") && !path.as_str().ends_with("-xxx") {
                continue;
            }
            let mut command = Command::new("unsquashfs");
            let output = command.arg("-cat").arg(&file).arg(path.as_str()).output();
            let found = output.expect("squashfs-tools must be installed").stdout;
            assert!(found == body.bytes()[..], "/{path} differs");
        }
    }
}

/// Names and contents small enough to be many, with repetition so that there are duplicates.
fn trees() -> impl Strategy<Value = Tree> {
    let name = "[a-c]{1,3}|[a-zé~#]{1,40}";
    let place = prop::collection::vec(name, 1..4).prop_map(|parts| path(&parts.join("/")));
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        (any::<u8>(), 0..30_000_usize).prop_map(|(byte, length)| vec![byte; length]),
        (0..20_000_usize, 0..5_u32).prop_map(|(length, seed)| noise(length, seed)),
    ];
    let kind = prop_oneof![
        4 => bytes.prop_map(|bytes| Kind::File(imgbuild_base::Body::new(bytes))),
        1 => "[a-z/.]{1,60}".prop_map(Kind::Symlink),
        1 => Just(Kind::Directory),
        1 => (0..4096_u32, 0..1_048_576_u32)
            .prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
    ];
    let meta = (0..0o10000_u16, any::<u32>(), any::<u32>(), any::<u32>()).prop_map(
        |(mode, uid, gid, mtime)| Meta {
            mode,
            uid,
            gid,
            mtime: Epoch::from_u32(mtime),
        },
    );
    let entry = (meta, kind).prop_map(|(meta, kind)| imgbuild_base::Entry { meta, kind });
    prop::collection::vec((place, entry), 0..60).prop_map(|entries| {
        let mut tree = Tree::new();
        for (path, entry) in entries {
            // Only directories hold something.
            let free = path.ancestors().all(|dir| {
                tree.get(&dir)
                    .is_none_or(|entry| entry.kind == Kind::Directory)
            });
            if free && tree.get(&path).is_none() {
                tree.put(path, entry);
            }
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_tree_comes_back(tree in trees()) {
        let (image, _) = image(&tree, &options(4096));
        prop_assert_eq!(read(&image).unwrap(), tree);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// A damaged image gives a tree or an error, never a panic, and soon.
    #[test]
    fn damage_is_survived(
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        front in prop::collection::vec((0..96_usize, any::<u8>()), 0..3),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut image = DAMAGED.clone();
        for (index, byte) in hits {
            let at = index.index(image.len());
            image[at] = byte;
        }
        for (at, byte) in front {
            image[at] = byte;
        }
        if let Some(cut) = cut {
            image.truncate(cut.index(image.len()));
        }
        let limits = Limits { content: 1 << 24, metadata: 1 << 20, entries: 10_000 };
        let _ = read_with(&image, &limits);
    }
}

/// A small image whose metadata is raw, so that damage reaches behind the compression: names
/// and numbers are noise to zstd.
static DAMAGED: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
    let mut tree = Tree::new();
    for (number, word) in noise(48, 77).chunks(4).enumerate() {
        let number = u32::try_from(number).unwrap();
        let name = path(&format!("d{}/{}", number % 3, Digest::of(word)));
        let [a, b, c, d] = [word[0], word[1], word[2], word[3]];
        let meta = Meta::root(0o644, Epoch::from_u32(u32::from_be_bytes([a, b, c, d])));
        tree.put_file(name, meta, noise(700 * usize::from(a % 16), number));
    }
    image(&tree, &options(4096)).0
});
