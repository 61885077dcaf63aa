//! `[kernel]` and `[node.kernel]`.

use crate::checker::{Found, Pair, Reported, Table, mistake};
use crate::error::nearest;
use crate::resolved::Kernel;
use crate::values::{KernelArg, ModuleName, SysctlName, SysctlValue};
use std::collections::BTreeMap;

/// Parameters that the builder owns, and why.
const OWNED: [(&[&str], &str); 5] = [
    (
        &[
            "root",
            "rootfstype",
            "rootflags",
            "rootdelay",
            "ro",
            "rw",
            "nfsroot",
        ],
        "the initramfs puts / together from the layers of the boot partition",
    ),
    (
        &["init", "rdinit", "initrd", "noinitrd"],
        "the builder's initramfs hands over to systemd",
    ),
    (
        &["net.ifnames", "biosdevname"],
        "interfaces are called eth0, eth1, ...: say which with `network.interface`",
    ),
    (
        &["systemd.machine_id", "systemd.hostname"],
        "a node's identity follows from `cluster.name` and `node.name`",
    ),
    (&["--"], "nothing behind it would reach the kernel"),
];

/// What the initramfs understands (overlays/initramfs/init).
const INITRAMFS: [&str; 5] = [
    "imgbuild.boot",
    "imgbuild.state",
    "imgbuild.memory",
    "imgbuild.wait",
    "imgbuild.shell",
];

/// What stands behind the common beginning of these words.
fn bare(word: &str) -> &str {
    word.split_once('.').map_or(word, |(_, bare)| bare)
}

/// Room for a recipe's words: 32-bit ARM's line holds 1024 bytes (COMMAND_LINE_SIZE).
const ROOM: usize = 768;

/// What a section gives, as written.
struct Given {
    args: Option<Vec<Found<KernelArg>>>,
    modules: Option<Vec<Found<ModuleName>>>,
    blacklist: Option<Vec<Found<ModuleName>>>,
    sysctl: Vec<(Found<SysctlName>, Found<SysctlValue>)>,
}

fn given(table: &Table<'_>) -> Result<Given, Reported> {
    let args = table
        .given_texts::<KernelArg>("args")
        .and_then(|found| check_args(table, found));
    let modules = table.given_texts::<ModuleName>("modules");
    let blacklist = table.given_texts::<ModuleName>("blacklist");
    let sysctl = table.pairs::<SysctlName, SysctlValue>("sysctl");
    let sysctl = sysctl.and_then(|found| check_sysctl(table, found));
    Ok(Given {
        args: args?,
        modules: modules?.map(|found| found.value),
        blacklist: blacklist?.map(|found| found.value),
        sysctl: sysctl?,
    })
}

/// The cluster's.
pub(super) fn read(table: &Table<'_>) -> Result<Kernel, Reported> {
    read_node(table, Ok(&Kernel::default()))
}

/// A node's: the cluster's where it says nothing.
pub(super) fn read_node(
    table: &Table<'_>,
    cluster: Result<&Kernel, Reported>,
) -> Result<Kernel, Reported> {
    let given = given(table);
    let cluster = cluster?;
    let given = given?;
    let mut sysctl: BTreeMap<SysctlName, SysctlValue> = cluster.sysctl.clone();
    sysctl.extend(
        given
            .sysctl
            .iter()
            .map(|(name, value)| (name.value.clone(), value.value.clone())),
    );
    let kernel = Kernel {
        args: values(given.args.as_deref()).unwrap_or_else(|| cluster.args.clone()),
        modules: values(given.modules.as_deref()).unwrap_or_else(|| cluster.modules.clone()),
        blacklist: values(given.blacklist.as_deref()).unwrap_or_else(|| cluster.blacklist.clone()),
        sysctl,
    };
    check_blacklist(table, &given, &kernel)?;
    Ok(kernel)
}

fn values<T: Clone + PartialEq>(found: Option<&[Found<T>]>) -> Option<Vec<T>> {
    let mut values = Vec::new();
    for found in found? {
        if !values.contains(&found.value) {
            values.push(found.value.clone());
        }
    }
    Some(values)
}

fn check_args(
    table: &Table<'_>,
    found: Option<Found<Vec<Found<KernelArg>>>>,
) -> Result<Option<Vec<Found<KernelArg>>>, Reported> {
    let Some(all) = found else {
        return Ok(None);
    };
    let path = table.path("args");
    let mut wrong = None;
    for arg in &all.value {
        let key = arg.value.key();
        let report = |message: String, label: &str, help: String| {
            let found = mistake(arg.span.clone(), message).label(label).help(help);
            table.checker().report(found)
        };
        if let Some((_, why)) = OWNED.iter().find(|(keys, _)| keys.contains(&key)) {
            wrong = Some(report(
                format!("`{path}`: {key} is the builder's to set"),
                "not a recipe's",
                (*why).to_owned(),
            ));
        } else if key.starts_with("imgbuild.") && !INITRAMFS.contains(&key) {
            let known = INITRAMFS.join(", ");
            wrong = Some(report(
                format!("`{path}`: the initramfs knows no {key}"),
                "unknown",
                match nearest(bare(key), INITRAMFS.map(bare)) {
                    Some(near) => format!("did you mean imgbuild.{near}?"),
                    None => format!("it knows {known}"),
                },
            ));
        }
    }
    let length: usize = all
        .value
        .iter()
        .map(|arg| arg.value.as_str().len() + 1)
        .sum();
    if length > ROOM {
        wrong = Some(
            table.checker().report(
                mistake(
                    all.span.clone(),
                    format!("`{path}`: {length} bytes are too many"),
                )
                .label(format!("expected at most {ROOM} bytes in all"))
                .help("the kernel cuts its command line off where its room ends"),
            ),
        );
    }
    wrong.map_or(Ok(Some(all.value)), Err)
}

fn check_sysctl(
    table: &Table<'_>,
    found: Vec<Pair<SysctlName, SysctlValue>>,
) -> Result<Vec<Pair<SysctlName, SysctlValue>>, Reported> {
    let mut wrong = None;
    for (at, (name, _)) in found.iter().enumerate() {
        let path = format!("{}.{}", table.path("sysctl"), name.value);
        if matches!(name.value.as_str(), "kernel.hostname" | "kernel.domainname") {
            wrong = Some(
                table.checker().report(
                    mistake(
                        name.span.clone(),
                        format!("`{path}` is the builder's to set"),
                    )
                    .label("not a recipe's")
                    .help("the host name is `node.name`"),
                ),
            );
        }
        let first = found
            .iter()
            .take(at)
            .find(|(first, _)| first.value == name.value);
        if let Some((first, _)) = first {
            wrong = Some(
                table.checker().report(
                    mistake(name.span.clone(), format!("`{path}` is set twice"))
                        .label("again")
                        .also(first.span.clone(), "first here")
                        .help("leave one of them out"),
                ),
            );
        }
    }
    wrong.map_or(Ok(found), Err)
}

/// No module is both loaded and never loaded; what this section says of it is underlined.
fn check_blacklist(table: &Table<'_>, given: &Given, kernel: &Kernel) -> Result<(), Reported> {
    let written = given.blacklist.iter().chain(&given.modules).flatten();
    for found in written {
        if kernel.modules.contains(&found.value) && kernel.blacklist.contains(&found.value) {
            let message = format!(
                "`{}`: {} is among the modules to load",
                table.path("blacklist"),
                found.value
            );
            return Err(table.checker().report(
                mistake(found.span.clone(), message)
                    .label("loaded, and never loaded")
                    .help("leave it out of `modules` or of `blacklist`"),
            ));
        }
    }
    Ok(())
}
