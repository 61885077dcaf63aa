use super::*;
use crate::disk::DiskImage;
use imgbuild_base::Digest;
use proptest::prelude::*;
use std::io::Read as _;
use std::process::Command;

const SIZE: ByteSize = ByteSize::mib(8);

fn table() -> Table {
    let guid = |label: &str| Guid::derived(label, Digest::of(b"test"));
    let part = |kind, name: &str, first, last| Partition {
        kind,
        guid: guid(name),
        name: name.to_owned(),
        first,
        last,
        attributes: 0,
    };
    Table {
        disk: guid("disk"),
        partitions: vec![
            part(Guid::EFI_SYSTEM, "boot", 2048, 6143),
            part(Guid::LINUX_VAR, "état", 6144, 16384 - 34),
        ],
    }
}

fn image(table: &Table) -> Vec<u8> {
    let disk = DiskImage::new(SIZE, table.extents(SIZE).unwrap()).unwrap();
    let mut bytes = Vec::new();
    disk.reader().read_to_end(&mut bytes).unwrap();
    bytes
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text + &errors
}

#[test]
fn code_for_a_bios_leaves_the_table_as_it_is() {
    let code = [0xEB; mbr::BOOT_CODE];
    let disk = DiskImage::new(SIZE, table().bootable(SIZE, &code).unwrap()).unwrap();
    let mut bytes = Vec::new();
    disk.reader().read_to_end(&mut bytes).unwrap();
    assert_eq!(Table::read(&bytes), Ok(table()));
    assert_eq!(bytes[..mbr::BOOT_CODE], code);
    assert_eq!(
        bytes[mbr::BOOT_CODE..],
        image(&table())[mbr::BOOT_CODE..],
        "all behind the code"
    );
}

#[test]
fn foreign_tools_agree() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.img");
    fs_err::write(&path, image(&table())).unwrap();
    let text = run(Command::new("sgdisk").arg("-v").arg(&path));
    assert!(text.contains("No problems found"), "{text}");
    let text = run(Command::new("sfdisk").arg("-V").arg(&path));
    assert!(text.contains("No errors detected"), "{text}");
    let json = run(Command::new("sfdisk").arg("-J").arg(&path));
    let table = table();
    let expected = [
        format!("\"id\": \"{:#}\"", table.disk),
        format!("\"uuid\": \"{:#}\"", table.partitions[1].guid),
        format!("\"type\": \"{:#}\"", Guid::EFI_SYSTEM),
        "\"start\": 2048".to_owned(),
        "\"size\": 4096".to_owned(),
        "\"name\": \"boot\"".to_owned(),
        "\"lastlba\": 16350".to_owned(),
    ];
    for part in expected {
        assert!(json.contains(&part), "{part} is missing in {json}");
    }
    let text = run(Command::new("file").arg("-b").arg(&path));
    assert!(text.contains("ID=0xee"), "{text}");
}

#[test]
fn what_was_written_is_read() {
    assert_eq!(Table::read(&image(&table())), Ok(table()));
}

#[test]
fn damage_is_named() {
    let good = image(&table());
    let with = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        Table::read(&bytes)
    };
    let damaged = |copy, what| Err(GptError::Damaged { copy, what });
    assert_eq!(
        with(512 + 40),
        damaged("primary", "its header's checksum is wrong")
    );
    assert_eq!(
        with(1024 + 40),
        damaged("primary", "its entries' checksum is wrong")
    );
    let backup = good.len() - 512;
    assert_eq!(
        with(backup),
        damaged("backup", "no \"EFI PART\" where its header belongs")
    );
    assert_eq!(Table::read(&[]), Err(GptError::DiskSize(0)));
    let mut other = table();
    other.partitions[0].name = "else".to_owned();
    let mut mixed = image(&other);
    let entries = mixed.len() - 33 * 512;
    mixed[entries..].copy_from_slice(&good[entries..]);
    assert_eq!(Table::read(&mixed), Err(GptError::Differ));
}

#[test]
fn what_does_not_fit_is_refused() {
    let with = |change: fn(&mut Table)| {
        let mut table = table();
        change(&mut table);
        table.extents(SIZE).unwrap_err()
    };
    assert_eq!(
        with(|table| table.partitions[1].first = 6143),
        GptError::Overlap(1, 2)
    );
    assert!(matches!(
        with(|table| table.partitions[1].last = 16351),
        GptError::Range {
            number: 2,
            usable_last: 16350,
            ..
        }
    ));
    assert_eq!(
        with(|table| table.partitions[0].name = "x".repeat(37)),
        GptError::Name("x".repeat(37))
    );
    assert_eq!(
        with(|table| table.partitions[0].kind = Guid::ZERO),
        GptError::NoType(1)
    );
    assert_eq!(
        table().extents(ByteSize::bytes(1_000_001)),
        Err(GptError::DiskSize(1_000_001))
    );
}

proptest! {
    #[test]
    fn no_damage_panics_the_reader(changes in proptest::collection::vec((0_usize..1200, any::<u8>()), 1..20), fix in any::<bool>()) {
        let mut bytes = image(&table());
        for (at, value) in changes {
            bytes[512 + at] = value;
        }
        if fix {
            // With sound checksums the reader has to survive the values themselves.
            let start = u64_at(&bytes, 512 + 72);
            if start == 2 {
                let crc = crc32fast::hash(&bytes[1024..1024 + 16384]);
                bytes[512 + 88..512 + 92].copy_from_slice(&crc.to_le_bytes());
            }
            bytes[512 + 16..512 + 20].fill(0);
            let crc = crc32fast::hash(&bytes[512..512 + 92]);
            bytes[512 + 16..512 + 20].copy_from_slice(&crc.to_le_bytes());
        }
        let _ = Table::read(&bytes);
        let _ = read_copy(&bytes[..], "primary", 1).map(|table| table.check(16350));
    }
}
