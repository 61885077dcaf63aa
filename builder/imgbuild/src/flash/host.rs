//! This machine's disks, as the kernel tells of them below /sys and /proc.

use imgbuild_base::ByteSize;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where the kernel tells: `/`, or a copy in tests.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    root: PathBuf,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Its device.
    pub(crate) path: PathBuf,
    /// What its maker calls it.
    pub(crate) model: String,
    /// Its size in bytes; zero for a reader without a card.
    pub(crate) size: u64,
    /// Whether it is a card or stick that is taken out.
    pub(crate) removable: bool,
    /// Whether it cannot be written to.
    pub(crate) read_only: bool,
    /// Its partitions' names.
    pub(crate) partitions: Vec<String>,
    /// What it is used for.
    pub(crate) uses: Vec<String>,
}

/// What a path is, as far as a flash is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole disk.
    Disk(Disk),
    /// A partition of the disk named.
    Partition(PathBuf),
    /// A file that serves loop devices.
    Backing(String),
    /// A plain file of that size.
    File(ByteSize),
    /// Something else, such as a directory.
    Neither,
}

/// Why a disk is not written to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is in use.
    #[error("it is in use: {}", .0.join(", "))]
    InUse(Vec<String>),
    /// Its switch, or the kernel, forbids writing.
    #[error("it is write-protected")]
    ReadOnly,
    /// There is no card.
    #[error("there is no medium in it")]
    Empty,
    /// It has too little room.
    #[error("it has {has}, but the image needs {needed}")]
    TooSmall {
        /// Its size.
        has: ByteSize,
        /// The image's.
        needed: ByteSize,
    },
    /// It stays in its machine.
    #[error("it is not removable: a fixed disk is written to with --allow-fixed only")]
    Fixed,
}

impl Disk {
    /// Why an image of `needed` bytes must not be written to it, if so.
    pub(crate) fn refusal(&self, needed: ByteSize, allow_fixed: bool) -> Option<Refusal> {
        if !self.uses.is_empty() {
            return Some(Refusal::InUse(self.uses.clone()));
        }
        let has = ByteSize::bytes(self.size);
        match self {
            Self { size: 0, .. } => Some(Refusal::Empty),
            Self {
                read_only: true, ..
            } => Some(Refusal::ReadOnly),
            _ if has < needed => Some(Refusal::TooSmall { has, needed }),
            _ if !self.removable && !allow_fixed => Some(Refusal::Fixed),
            _ => None,
        }
    }
}

impl Host {
    /// The machine this runs on.
    pub(crate) fn this() -> Self {
        Self { root: "/".into() }
    }

    /// The disks that are made of something, in the order of their names: no loop devices, no
    /// memory, no optical drives, nothing that is made from other disks.
    pub(crate) fn disks(&self) -> Vec<Disk> {
        let entries = fs_err::read_dir(self.root.join("sys/block")).into_iter();
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| self.block(name).join("device").exists())
            .filter(|name| !name.starts_with("sr") && !name.starts_with("fd"))
            .collect();
        names.sort();
        names.iter().map(|name| self.disk(name)).collect()
    }

    /// What the device or file at a path is. Links are followed.
    pub(crate) fn find(&self, path: &Path) -> std::io::Result<Found> {
        let path = fs_err::canonicalize(path)?;
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if path.starts_with("/dev") {
            if self.block(name).exists() {
                return Ok(Found::Disk(self.disk(name)));
            }
            let entry = self.root.join("sys/class/block").join(name);
            if let Ok(real) = fs_err::canonicalize(entry)
                && let Some(disk) = real.parent().and_then(Path::file_name)
            {
                return Ok(Found::Partition(Path::new("/dev").join(disk)));
            }
        }
        let loops = fs_err::read_dir(self.root.join("sys/block")).into_iter();
        let mut loops = loops
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let backed = loops.find(|name| {
            let file = self.text(&self.block(name).join("loop/backing_file"));
            file.is_some_and(|file| Path::new(&file) == path)
        });
        let about = fs_err::metadata(&path)?;
        Ok(match backed {
            Some(device) => Found::Backing(device),
            None if about.is_file() => Found::File(ByteSize::bytes(about.len())),
            None => Found::Neither,
        })
    }

    fn block(&self, name: &str) -> PathBuf {
        self.root.join("sys/block").join(name)
    }

    fn text(&self, path: &Path) -> Option<String> {
        let text = fs_err::read_to_string(path).ok()?;
        Some(text.trim().to_owned())
    }

    fn disk(&self, name: &str) -> Disk {
        let dir = self.block(name);
        let text = |file: &str| self.text(&dir.join(file)).unwrap_or_default();
        let mut partitions: Vec<String> = fs_err::read_dir(&dir)
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let is_one = entry.path().join("partition").exists();
                is_one.then(|| entry.file_name().into_string().ok())?
            })
            .collect();
        partitions.sort();
        let words = [
            text("device/vendor"),
            text("device/model"),
            text("device/name"),
        ];
        let model: Vec<&str> = words.iter().map(String::as_str).collect();
        // An SD card in a reader of the board's own says nothing of being removable.
        let card = text("device/type") == "SD";
        let sectors: u64 = text("size").parse().unwrap_or(0);
        Disk {
            path: Path::new("/dev").join(name),
            model: model.join(" ").trim().to_owned(),
            // The kernel counts sectors of 512 bytes here, whatever the device has.
            size: sectors.saturating_mul(512),
            removable: card || text("removable") == "1",
            read_only: text("ro") == "1",
            uses: self.uses(name, &partitions),
            partitions,
        }
    }

    /// What a disk and its partitions are used for.
    fn uses(&self, name: &str, partitions: &[String]) -> Vec<String> {
        let mut uses = Vec::new();
        let disk = self.block(name);
        let mounts = self.text(&self.root.join("proc/self/mountinfo"));
        let swaps = self.text(&self.root.join("proc/swaps"));
        let whole = [name.to_owned()];
        for part in whole.iter().chain(partitions) {
            let dir = match part == name {
                true => disk.clone(),
                false => disk.join(part),
            };
            let number = self.text(&dir.join("dev")).unwrap_or_default();
            let device = format!("/dev/{part}");
            for line in mounts.iter().flat_map(|text| text.lines()) {
                if let Some(place) = mounted(line, &number, &device) {
                    uses.push(match place {
                        "/" => format!("{part} holds this system"),
                        place => format!("{part} is mounted at {place}"),
                    });
                }
            }
            let mut swaps = swaps.iter().flat_map(|text| text.lines());
            if swaps.any(|line| line.split_whitespace().next() == Some(&device)) {
                uses.push(format!("{part} is swap"));
            }
            let holders = fs_err::read_dir(dir.join("holders")).into_iter();
            for holder in holders.flatten().flatten() {
                let holder = holder.file_name();
                uses.push(format!("{part} is a part of {}", holder.to_string_lossy()));
            }
        }
        uses
    }
}

/// Where a line of mountinfo (proc_pid_mountinfo(5)) mounts the device with this number, or, for
/// file systems that span several devices, of this name.
fn mounted<'a>(line: &'a str, number: &str, device: &str) -> Option<&'a str> {
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ');
    let (of, place) = (front.nth(2)?, front.nth(1)?);
    let source = back.split(' ').nth(1);
    (of == number || source == Some(device)).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
    }

    fn host(root: &Path) -> Host {
        put(
            root,
            &[
                ("sys/block/sda/size", "1000000\n"),
                ("sys/block/sda/removable", "0\n"),
                ("sys/block/sda/dev", "8:0\n"),
                ("sys/block/sda/device/model", "INTERNAL  \n"),
                ("sys/block/sda/sda1/partition", "1\n"),
                ("sys/block/sda/sda1/dev", "8:1\n"),
                ("sys/block/sda/sda2/partition", "2\n"),
                ("sys/block/sda/sda2/dev", "8:2\n"),
                ("sys/block/sda/sda3/partition", "3\n"),
                ("sys/block/sda/sda3/holders/dm-0", ""),
                ("sys/block/sdb/size", "62333952\n"),
                ("sys/block/sdb/removable", "1\n"),
                ("sys/block/sdb/ro", "0\n"),
                ("sys/block/sdb/device/vendor", "Generic \n"),
                ("sys/block/sdb/device/model", "SD/MMC\n"),
                ("sys/block/mmcblk0/size", "8\n"),
                ("sys/block/mmcblk0/removable", "0\n"),
                ("sys/block/mmcblk0/ro", "1\n"),
                ("sys/block/mmcblk0/device/type", "SD\n"),
                ("sys/block/loop0/size", "8\n"),
                ("sys/block/sr0/device/model", "DVD\n"),
                (
                    "proc/self/mountinfo",
                    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                     23 22 0:44 / /home rw - btrfs /dev/sda1 rw\n",
                ),
                (
                    "proc/swaps",
                    "Filename Type Size\n/dev/sda2 partition 99 0 -2\n",
                ),
            ],
        );
        Host {
            root: root.to_owned(),
        }
    }

    #[test]
    fn disks_are_found_with_what_they_are_used_for() {
        let dir = tempfile::tempdir().unwrap();
        let disks = host(dir.path()).disks();
        let names: Vec<_> = disks.iter().map(|disk| disk.path.to_str()).collect();
        assert_eq!(
            names,
            [Some("/dev/mmcblk0"), Some("/dev/sda"), Some("/dev/sdb")]
        );
        assert_eq!(
            disks[1].uses,
            [
                "sda1 holds this system",
                "sda1 is mounted at /home",
                "sda2 is swap",
                "sda3 is a part of dm-0"
            ]
        );
        assert_eq!(disks[1].model, "INTERNAL");
        assert_eq!(disks[2].model, "Generic SD/MMC");
        assert_eq!(disks[2].size, 62_333_952 * 512);
        assert!(disks[0].removable && !disks[1].removable);
    }

    #[test]
    fn what_must_not_be_written_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let disks = host(dir.path()).disks();
        let need = ByteSize::mib(60);
        let refusal = |at: usize| disks[at].refusal(need, false);
        assert_eq!(refusal(0), Some(Refusal::ReadOnly));
        assert!(matches!(refusal(1), Some(Refusal::InUse(_))));
        assert!(disks[1].refusal(need, true).is_some());
        assert_eq!(refusal(2), None);
        let small = Disk {
            size: 4096,
            ..disks[2].clone()
        };
        assert!(matches!(
            small.refusal(need, false),
            Some(Refusal::TooSmall { .. })
        ));
        let none = Disk {
            size: 0,
            ..disks[2].clone()
        };
        assert_eq!(none.refusal(need, false), Some(Refusal::Empty));
        let fixed = Disk {
            removable: false,
            ..disks[2].clone()
        };
        assert_eq!(fixed.refusal(need, false), Some(Refusal::Fixed));
        assert_eq!(fixed.refusal(need, true), None);
    }
}
