//! `grub-mkimage` is the judge: with the files of the package `grub-pc-bin` that is installed
//! beside it, its core and ours hold the same.

use super::*;
use proptest::prelude::*;
use std::path::Path;
use std::process::Command;

const FOLDER: &str = "/usr/lib/grub/i386-pc";
const MODULES: [&str; 5] = ["biosdisk", "part_gpt", "fat", "loopback", "linux"];
const COMMANDS: &str = "loopback uki /EFI/BOOT/BOOTX64.EFI\nboot\n";
const WISHES: Wishes<'_> = Wishes {
    modules: &MODULES,
    commands: COMMANDS,
    prefix: "(,gpt1)/",
    sector: 34,
};

fn folder() -> BTreeMap<String, Vec<u8>> {
    let entries = fs_err::read_dir(FOLDER).unwrap();
    let files = entries.map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs_err::read(path).unwrap())
    });
    files.collect()
}

fn borrowed(folder: &BTreeMap<String, Vec<u8>>) -> Files<'_> {
    let files = folder.iter();
    files
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect()
}

fn mkimage(dir: &Path) -> Vec<u8> {
    let (config, core) = (dir.join("commands"), dir.join("core.img"));
    fs_err::write(&config, COMMANDS).unwrap();
    let mut command = Command::new("grub-mkimage");
    command.args(["-O", "i386-pc", "-d", FOLDER, "-p", WISHES.prefix]);
    command.arg("-c").arg(config).arg("-o").arg(&core);
    let output = command.args(MODULES).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    fs_err::read(core).unwrap()
}

#[test]
fn the_core_is_grub_mkimages() {
    let folder = folder();
    let loader = assemble(&borrowed(&folder), &WISHES).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let theirs = mkimage(dir.path());

    let stored = Loader::from_bytes(&loader.to_bytes().into()).unwrap();
    assert_eq!(stored, loader);

    // Both unpack to the same; only the compressors differ, and where the core lies, which
    // grub-bios-setup fills in.
    let (our, their) = (inspect(&loader.core).unwrap(), inspect(&theirs).unwrap());
    // Modules that do not depend on each other may come in any order.
    let sorted = |core: &Core| {
        let mut records: Vec<(u32, Bytes)> = core
            .records
            .iter()
            .map(|record| (record.kind.number(), record.bytes.clone()))
            .collect();
        records.sort();
        records
    };
    assert!(our.kernel == their.kernel, "the kernel");
    assert!(sorted(&our) == sorted(&their), "modules, commands, prefix");
    assert_eq!((our.sector, their.sector), (35, 2));
    let bytes = u64::from(our.sectors) * SECTOR + SECTOR;
    assert!(bytes - SECTOR < loader.core.len() as u64 && loader.core.len() as u64 <= bytes);
    let same = |range: std::ops::Range<usize>| loader.core[range.clone()] == theirs[range];
    assert!(same(0..FIRST_ENTRY), "diskboot.img's code");
    let decompressor = folder["lzma_decompress.img"].len();
    assert!(same(512 + 16..512 + decompressor), "the decompressor");

    let text = |kind| {
        let mut records = our.records.iter();
        let record = records.find(|record| record.kind == kind).unwrap();
        String::from_utf8(record.bytes.to_vec()).unwrap()
    };
    assert_eq!(text(RecordKind::Commands).trim_end_matches('\0'), COMMANDS);
    assert_eq!(text(RecordKind::Prefix).trim_end_matches('\0'), "(,gpt1)/");
}

#[test]
fn what_is_not_there_is_named() {
    let folder = folder();
    let mut files = borrowed(&folder);
    let other = Wishes {
        modules: &["nosuchthing"],
        ..WISHES
    };
    let error = assemble(&files, &other).unwrap_err();
    assert!(matches!(&error, GrubError::Missing(what) if what.contains("nosuchthing")));
    files.insert("boot.img", &[0; 512]);
    let error = assemble(&files, &WISHES).unwrap_err();
    assert!(
        matches!(
            error,
            GrubError::Unexpected {
                file: "boot.img",
                ..
            }
        ),
        "{error}"
    );
    files.remove("boot.img");
    let error = assemble(&files, &WISHES).unwrap_err();
    assert!(
        matches!(&error, GrubError::Missing(what) if what == "boot.img"),
        "{error}"
    );
}

#[test]
fn more_than_fits_is_refused() {
    let folder = folder();
    let mut files = borrowed(&folder);
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(LARGEST)
    .collect();
    files.insert("fat.mod", &noise);
    let error = assemble(&files, &WISHES).unwrap_err();
    assert!(
        matches!(error, GrubError::TooLarge { size } if size > LARGEST),
        "{error}"
    );
}

#[test]
fn modules_come_after_those_they_need() {
    let files = Files::from([("moddep.lst", &b"a: b c\nb: d\nc: d b\nd:\ne: a\n"[..])]);
    assert_eq!(
        payload::load_order(&files, &["a", "e"]).unwrap(),
        ["d", "b", "c", "a", "e"]
    );
}

#[test]
fn circles_of_modules_end() {
    let folder = folder();
    let mut files = borrowed(&folder);
    files.insert("moddep.lst", b"fat: boot\nboot: fat\n");
    let wishes = Wishes {
        modules: &["fat"],
        ..WISHES
    };
    let error = assemble(&files, &wishes).unwrap_err();
    assert!(
        matches!(
            error,
            GrubError::Unexpected {
                file: "moddep.lst",
                ..
            }
        ),
        "{error}"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = inspect(&bytes);
        let _ = payload::read(bytes.into());
    }

    #[test]
    fn a_damaged_payload_is_read_or_refused(at in 0_usize..200, value: u8) {
        let mut bytes = b"kernmimg\x0c\0\0\0\x1c\0\0\0\x02\0\0\0\x10\0\0\0boot\n\0\0\0".to_vec();
        let whole = payload::read(bytes.clone().into()).unwrap();
        prop_assert_eq!(whole.1.len(), 1);
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok((kernel, records)) = payload::read(bytes.clone().into()) {
            let all: usize = records.iter().map(|record| record.bytes.len() + 8).sum();
            prop_assert_eq!(kernel.len() + 12 + all, bytes.len());
        }
    }
}
