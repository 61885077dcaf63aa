//! What is found on a disk, as a release's manifest describes it.

use crate::opened::{OpenError, Opened};
use imgbuild_base::Digest;
use imgbuild_formats::source::Source;
use imgbuild_release::manifest::{BootFile, BootRecord, DiskRecord, PartitionRecord};

/// Looks into a disk, whose digest is known.
pub(crate) fn of(disk: &impl Source, sha256: Digest) -> Result<DiskRecord, OpenError> {
    let opened = Opened::new(disk)?;
    let ranges = opened.partitions().ranges();
    let about = opened.volume()?;
    let files = opened.files().map(|(path, content)| {
        let file = BootFile {
            size: content.size().get(),
            sha256: opened.digest(content)?,
        };
        Ok((path.to_string(), file))
    });
    Ok(DiskRecord {
        size: disk.size().get(),
        sha256,
        table: opened.partitions().kind().to_owned(),
        partitions: ranges
            .iter()
            .map(|range| PartitionRecord {
                start: range.start,
                size: range.end - range.start,
            })
            .collect(),
        boot: BootRecord {
            label: about.label,
            volume_id: about.volume_id,
            files: files.collect::<Result<_, OpenError>>()?,
        },
    })
}

/// How a disk differs from what it should be, in words: the outermost thing first.
pub(crate) fn differences(expected: &DiskRecord, found: &DiskRecord) -> Vec<String> {
    let mut lines = Vec::new();
    let mut hold = |what: &str, expected: &str, found: &str| {
        if expected != found {
            lines.push(format!("{what} is {found}, expected {expected}"));
        }
    };
    let size = |bytes: u64| format!("{bytes} bytes");
    hold("the disk", &size(expected.size), &size(found.size));
    hold("the partition table", &expected.table, &found.table);
    let parts = |disk: &DiskRecord| -> String {
        let parts = disk.partitions.iter();
        let parts: Vec<String> = parts
            .map(|part| format!("{} bytes from {} on", part.size, part.start))
            .collect();
        parts.join(", ")
    };
    hold("what is partitioned", &parts(expected), &parts(found));
    let (one, two) = (&expected.boot, &found.boot);
    hold("the boot partition's label", &one.label, &two.label);
    let serial = |boot: &BootRecord| format!("{:08X}", boot.volume_id);
    hold(
        "the boot partition's serial number",
        &serial(one),
        &serial(two),
    );
    let mut paths: Vec<&String> = one.files.keys().chain(two.files.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        let what = match (one.files.get(path), two.files.get(path)) {
            (Some(_), None) => "is missing",
            (None, Some(_)) => "does not belong there",
            (Some(one), Some(two)) if one != two => "is another file",
            _ => continue,
        };
        lines.push(format!("/{path} on the boot partition {what}"));
    }
    if lines.is_empty() && expected.sha256 != found.sha256 {
        lines.push(format!(
            "the disk differs outside any file: its SHA-256 is {}, expected {}",
            found.sha256, expected.sha256
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> DiskRecord {
        let file = BootFile {
            size: 1,
            sha256: Digest::of(b"a"),
        };
        DiskRecord {
            size: 4096,
            sha256: Digest::of(b"disk"),
            table: "GPT".to_owned(),
            partitions: vec![PartitionRecord {
                start: 512,
                size: 1024,
            }],
            boot: BootRecord {
                label: "BOOT".to_owned(),
                volume_id: 7,
                files: [("a".to_owned(), file), ("layers/b".to_owned(), file)].into(),
            },
        }
    }

    /// A change, and what has to be said about it.
    type Case<'a> = (&'a dyn Fn(&mut DiskRecord), &'a str);

    #[test]
    fn every_difference_is_named() {
        assert!(differences(&disk(), &disk()).is_empty());
        let named = |change: &dyn Fn(&mut DiskRecord)| {
            let mut found = disk();
            change(&mut found);
            differences(&disk(), &found).join("; ")
        };
        let cases: [Case<'_>; 9] = [
            (&|disk| disk.size = 1, "the disk is 1 bytes"),
            (&|disk| disk.table = "MBR".to_owned(), "table is MBR"),
            (&|disk| disk.partitions[0].start = 0, "partitioned is 1024"),
            (&|disk| disk.boot.label.clear(), "label"),
            (&|disk| disk.boot.volume_id = 8, "number is 00000008"),
            (
                &|disk| {
                    disk.boot.files.remove("a");
                },
                "/a on the boot partition is missing",
            ),
            (
                &|disk| {
                    let file = disk.boot.files["a"];
                    disk.boot.files.insert("c".to_owned(), file);
                },
                "/c on the boot partition does not belong",
            ),
            (
                &|disk| {
                    let mut file = disk.boot.files["layers/b"];
                    file.sha256 = Digest::of(b"c");
                    disk.boot.files.insert("layers/b".to_owned(), file);
                },
                "/layers/b on the boot partition is another file",
            ),
            (
                &|disk| disk.sha256 = Digest::of(b"c"),
                "differs outside any file",
            ),
        ];
        for (change, says) in cases {
            let named = named(change);
            assert!(named.contains(says), "{says}: {named}");
        }
    }
}
