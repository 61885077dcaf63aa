//! The base layer holds what the packages hold: files, owners, modes, sizes and link targets as
//! `dpkg-deb -c` lists them, as unsquashfs sees the layer. Whatever differs is named here, with
//! its reason.

use crate::support::inputs::{files_below, object, packages, recipe_copy};
use crate::support::{extract_layer, imgbuild, must, repository, run, scratch, shared_store, tool};
use imgbuild_base::TreePath;
use imgbuild_system::Overlays;
use imgbuild_system::prune::Keep;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// An entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// As `ls` writes kind and permissions.
    mode: String,
    /// User and group as numbers.
    owner: (u32, u32),
    /// In bytes, of files.
    size: u64,
    /// Of symbolic links.
    target: String,
}

impl Entry {
    fn is_dir(&self) -> bool {
        self.mode.starts_with('d')
    }
}

/// Where files of packages are taken out of the tree, because the node finds them elsewhere.
const TAKEN_OUT: [(&str, &str); 5] = [
    (
        "boot/",
        "the kernel is on the boot partition, /boot is a link to it",
    ),
    (
        "usr/lib/linux-image-",
        "device trees are on the boot partition",
    ),
    (
        "usr/lib/raspi-firmware/",
        "firmware is on the boot partition",
    ),
    (
        "usr/lib/systemd/boot/",
        "the EFI stub is part of the unified kernel image",
    ),
    ("usr/bin/busybox", "busybox is in the initramfs"),
];

/// What packages hold and maintainer scripts or a running system would make otherwise.
const REPLACED: [(&str, &str); 5] = [
    ("etc/nsswitch.conf", "as libc-bin's script would copy it"),
    ("etc/mtab", "a link, as systemd-tmpfiles would make it"),
    (
        "var/run",
        "a link to /run, as base-files' script would make it",
    ),
    (
        "var/lock",
        "a link to /run/lock, as base-files' script would make it",
    ),
    ("boot", "a link to the mounted boot partition"),
];

/// Modes that maintainer scripts set by dpkg-statoverride, and mount points that are covered by
/// file systems of the kernel's whose root is 0555.
const OVERRIDDEN: [&str; 4] = [
    "usr/lib/dbus-1.0/dbus-daemon-launch-helper",
    "usr/bin/ssh-agent",
    "proc",
    "sys",
];

/// What the layer has and no package: what maintainer scripts, systemd's tools and depmod make.
const ADDED: [(&str, &str); 13] = [
    (
        "etc/passwd",
        "made by base-passwd's script and systemd-sysusers",
    ),
    ("etc/group", "the same"),
    ("etc/shadow", "the same"),
    ("etc/gshadow", "the same"),
    ("etc/nsswitch.conf", "made by libc-bin's script"),
    ("etc/mtab", "made by systemd-tmpfiles"),
    (
        "etc/.updated",
        "so that systemd does not think it is the first boot",
    ),
    ("var/.updated", "the same"),
    ("var/run", "made by base-files' script"),
    ("var/lock", "made by base-files' script"),
    ("boot", "where the boot partition is mounted"),
    ("var/lib/dpkg/", "dpkg's own database"),
    (
        "etc/systemd/system/",
        "units enabled and masked by units.txt",
    ),
];

/// The lines of `ls`-like listings: tar's of packages and unsquashfs's of layers.
fn parse(line: &str, root: &str) -> Option<(String, String, String, u64, String)> {
    let mut rest = line;
    let mut word = || {
        rest = rest.trim_start();
        let end = rest.find(' ').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        word
    };
    let (mode, owner, size) = (word().to_owned(), word().to_owned(), word().to_owned());
    let (_date, _time) = (word(), word());
    let name = rest.strip_prefix(' ')?;
    let (name, target) = match name
        .split_once(" -> ")
        .or_else(|| name.split_once(" link to "))
    {
        Some((name, target)) => (name, target),
        None => (name, ""),
    };
    let path = name.strip_prefix(root)?.trim_matches('/').to_owned();
    Some((path, mode, owner, size.parse().ok()?, target.to_owned()))
}

/// The listing of a layer by unsquashfs.
fn layer(file: &Path) -> BTreeMap<String, Entry> {
    tool("unsquashfs", &["-lln", file.to_str().unwrap()])
        .lines()
        .filter_map(|line| parse(line, "squashfs-root"))
        .map(|(path, mode, owner, size, target)| {
            let (user, group) = owner.split_once('/').unwrap();
            let owner = (user.parse().unwrap(), group.parse().unwrap());
            let size = if mode.starts_with('-') { size } else { 0 };
            (
                path,
                Entry {
                    mode,
                    owner,
                    size,
                    target,
                },
            )
        })
        .collect()
}

/// Names and ids of passwd or group of a layer.
fn ids(layer: &Path, path: &str) -> BTreeMap<String, u32> {
    let cat = run(Command::new("unsquashfs").args(["-cat", layer.to_str().unwrap(), path]));
    String::from_utf8(cat.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields[0].to_owned(), fields[2].parse().unwrap())
        })
        .collect()
}

/// Debian is merged-/usr: what packages ship below /lib and its kin is below /usr.
fn merged(path: &str) -> String {
    for dir in ["bin", "sbin", "lib", "lib64"] {
        if path.starts_with(&format!("{dir}/")) {
            return format!("usr/{path}");
        }
    }
    path.to_owned()
}

/// All that a package says of a path, by path.
type Shipped = BTreeMap<String, Vec<(String, Entry)>>;

fn shipped(lock: &Path, users: &BTreeMap<String, u32>, groups: &BTreeMap<String, u32>) -> Shipped {
    let mut shipped = Shipped::new();
    for package in packages(lock) {
        let deb = object(&shared_store(), &package.sha256);
        let listing = tool("dpkg-deb", &["-c", deb.to_str().unwrap()]);
        let mut sizes: BTreeMap<String, Entry> = BTreeMap::new();
        for line in listing.lines() {
            let (path, mut mode, owner, mut size, mut target) =
                parse(line, ".").unwrap_or_else(|| panic!("{}: {line}", package.name));
            let (user, group) = owner.split_once('/').unwrap();
            if mode.starts_with('h') {
                // A further name of a file: as that.
                let first = &sizes[&merged(target.trim_start_matches("./"))];
                (mode, size, target) = (first.mode.clone(), first.size, String::new());
            }
            let id = |names: &BTreeMap<String, u32>, name: &str| {
                let known = names.get(name).copied();
                known
                    .or_else(|| name.parse().ok())
                    .unwrap_or_else(|| panic!("nobody is {name}"))
            };
            let size = if mode.starts_with('-') { size } else { 0 };
            let owner = (id(users, user), id(groups, group));
            let entry = Entry {
                mode,
                owner,
                size,
                target,
            };
            let path = merged(&path);
            sizes.insert(path.clone(), entry.clone());
            shipped
                .entry(path)
                .or_default()
                .push((package.name.clone(), entry));
        }
    }
    shipped
}

fn is_any(list: &[(&str, &str)], path: &str) -> bool {
    list.iter()
        .any(|(known, _)| match known.ends_with(['/', '-']) {
            true => path.starts_with(known),
            false => path == *known,
        })
}

/// The files that come from `overlays/base` in the sources.
fn overlay() -> BTreeSet<String> {
    let base = repository().join("overlays/base");
    files_below(&base)
        .iter()
        .map(|file| file.strip_prefix(&base).unwrap().display().to_string())
        .collect()
}

fn compare(recipe: &str) {
    let dir = scratch();
    let recipe = recipe_copy(dir.path(), recipe);
    let out = dir.path().join("out");
    must(imgbuild().arg("build").arg(&recipe).arg("--out").arg(&out));
    let file = extract_layer(&out, "00-base-", dir.path());
    let layer = layer(&file);
    let (users, groups) = (ids(&file, "etc/passwd"), ids(&file, "etc/group"));
    let shipped = shipped(&recipe.with_extension("lock"), &users, &groups);
    let keep = Keep::new(&Overlays::builtin()).unwrap();
    let overlay = overlay();
    let mut wrong = Vec::new();
    let mut same = 0;

    for (path, said) in &shipped {
        let Ok(known) = TreePath::new(path) else {
            continue;
        };
        let by = &said[0].0;
        let dir = said.iter().all(|(_, entry)| entry.is_dir());
        let module = path.starts_with("usr/lib/modules/");
        let expected = match dir {
            _ if is_any(&TAKEN_OUT, path) => false,
            // Directories stay where something is in them, or where a node needs them.
            true => layer.contains_key(path),
            // Of modules, those that modules.txt names and what they need.
            false if module => keep.path(&known) && layer.contains_key(path),
            false => keep.path(&known),
        };
        match layer.get(path) {
            None if expected => wrong.push(format!("{path} of {by} is missing")),
            Some(_) if !expected && !overlay.contains(path) && !is_any(&REPLACED, path) => {
                wrong.push(format!("{path} of {by} should not be there"));
            }
            Some(found) if expected => {
                let fits = |(_, entry): &(String, Entry)| entry == found;
                let excused = overlay.contains(path)
                    || is_any(&REPLACED, path)
                    || OVERRIDDEN.contains(&path.as_str())
                    // depmod's indexes are made anew for the modules that stay.
                    || (module && path.rsplit('/').next().unwrap().starts_with("modules."));
                if said.iter().any(fits) {
                    same += 1;
                } else if !excused {
                    wrong.push(format!(
                        "{path} is {found:?}, but {by} says {:?}",
                        said[0].1
                    ));
                }
            }
            _ => {}
        }
    }
    for (path, entry) in &layer {
        let index = path.starts_with("usr/lib/modules/") && path.contains("/modules.");
        let known = shipped.contains_key(path)
            || overlay.contains(path)
            || is_any(&ADDED, path)
            || index
            || entry.is_dir();
        if !known {
            wrong.push(format!(
                "{path} is in no package and not documented: {entry:?}"
            ));
        }
        let writable = entry.mode.as_bytes()[8] == b'w' && !entry.mode.ends_with(['t', 'T']);
        if writable && !entry.mode.starts_with('l') {
            wrong.push(format!("{path} may be written by everybody: {entry:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(same > 800, "only {same} entries were compared");
}

#[test]
fn of_a_vm() {
    compare("vm-3node");
}

#[test]
fn of_a_raspberry_pi() {
    compare("pi-2node");
}
