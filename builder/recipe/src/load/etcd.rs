//! `[etcd]` and `[node.etcd]`.

use super::default_source;
use super::paths::{fixed, persistent_path};
use crate::checker::{Found, Reported, Table, mistake};
use crate::forms::{AbsolutePath, Listen};
use crate::resolved::{Board, ConfigStyle, Etcd, EtcdSource, LogLevel, Tuning};
use crate::values::{AutoCompaction, EtcdVersion};
use imgbuild_base::{Arch, ByteSize, TreePath};

/// Releases that etcd's maintainers still mend, oldest first.
const SUPPORTED: [(u16, u16); 3] = [(3, 5), (3, 6), (3, 7)];

pub(super) fn read(table: &Table<'_>, arch: Option<Arch>) -> Result<Etcd, Reported> {
    let source = table.given_choice("source", &EtcdSource::NAMES, |word| word);
    let given_version = table.given_text::<EtcdVersion>("version");
    let bin_dir = table.given_text::<AbsolutePath>("bin_dir");
    let data_dir = table
        .text::<AbsolutePath>("data_dir")
        .and_then(|dir| below_var(table, &dir));
    let config = table.choice("config", &ConfigStyle::ALL, ConfigStyle::as_str);
    let plain = table.flag("plain_local_listener");

    let source = source.and_then(|source| {
        if let Some(found) = &source
            && found.value == EtcdSource::RELEASE
            && arch == Some(Arch::Armhf)
        {
            return Err(table.checker().report(
                mistake(
                    found.span.clone(),
                    "`etcd.source`: upstream releases no etcd for armhf",
                )
                .label("there is no such archive")
                .help(
                    "use source = \"build\" to cross-compile it, or source = \"debian\" for \
                     Debian's package",
                ),
            ));
        }
        Ok(source.map_or_else(|| default_source(arch), |found| found.value))
    });
    let debian = matches!(source, Ok(EtcdSource::DEBIAN));
    let version = match (&given_version, debian) {
        (Ok(Some(version)), true) => Err(table.checker().report(
            mistake(
                version.span.clone(),
                "`etcd.version` cannot be chosen with source = \"debian\": the suite has one",
            )
            .label("the suite decides")
            .help("leave it out, or use source = \"build\" or \"release\""),
        )),
        _ => given_version
            .and_then(|_| table.text::<EtcdVersion>("version"))
            .and_then(|version| supported(table, &version)),
    };
    let bin_dir = bin_dir.and_then(|dir| {
        let Some(dir) = dir else {
            return fixed(table, if debian { "/usr/bin" } else { "/usr/local/bin" });
        };
        let path = persistent_path(table, "bin_dir", &dir)?;
        if debian && path.as_str() != "usr/bin" {
            return Err(table.checker().report(
                mistake(
                    dir.span.clone(),
                    "`etcd.bin_dir`: Debian's packages put etcd into /usr/bin",
                )
                .label("expected /usr/bin")
                .help("leave it out"),
            ));
        }
        Ok(path)
    });

    let version = version?;
    Ok(Etcd {
        source: match source? {
            EtcdSource::RELEASE => EtcdSource::Release { version },
            EtcdSource::DEBIAN => EtcdSource::Debian,
            _ => EtcdSource::Build { version },
        },
        bin_dir: bin_dir?,
        data_dir: data_dir?,
        config: config?.value,
        plain_local_listener: plain?.value,
    })
}

fn supported(table: &Table<'_>, version: &Found<EtcdVersion>) -> Result<EtcdVersion, Reported> {
    let EtcdVersion { major, minor, .. } = version.value;
    if SUPPORTED.contains(&(major, minor)) {
        return Ok(version.value);
    }
    let known: Vec<String> = SUPPORTED
        .iter()
        .map(|(major, minor)| format!("{major}.{minor}"))
        .collect();
    let message = format!("`etcd.version`: imgbuild does not know etcd {major}.{minor}");
    Err(table.checker().report(
        mistake(version.span.clone(), message)
            .label(format!("expected a release of {}", known.join(", ")))
            .help("older ones get no security fixes any more; newer ones may have other options"),
    ))
}

fn below_var(table: &Table<'_>, dir: &Found<AbsolutePath>) -> Result<TreePath, Reported> {
    let path = dir.value.tree_path();
    if path.is_within("var") && path.as_str() != "var" {
        return Ok(path.clone());
    }
    let message = format!(
        "`etcd.data_dir`: {} would be lost at every reboot",
        path.absolute()
    );
    Err(table.checker().report(
        mistake(dir.span.clone(), message)
            .label("expected a directory below /var")
            .help("only /var is on the state partition; for example \"/var/lib/etcd\""),
    ))
}

/// What tuning is when neither the node nor the cluster says.
pub(super) struct Defaults {
    heartbeat_ms: u32,
    quota: ByteSize,
    arch: Option<Arch>,
}

impl Defaults {
    pub(super) fn of(board: Option<Board>, arch: Option<Arch>) -> Self {
        Self {
            heartbeat_ms: match board {
                Some(Board::RaspberryPi) => 500,
                Some(Board::Vm) | None => 100,
            },
            quota: match arch {
                Some(Arch::Armhf) => ByteSize::mib(512),
                Some(Arch::Amd64 | Arch::Arm64) | None => ByteSize::mib(2048),
            },
            arch,
        }
    }
}

/// The cluster's tuning.
pub(super) fn read_tuning(table: &Table<'_>, defaults: &Defaults) -> Result<Tuning, Reported> {
    let snapshot_count = table.number("snapshot_count");
    let auto_compaction = table.text::<AutoCompaction>("auto_compaction");
    let log_level = table.choice("log_level", &LogLevel::ALL, LogLevel::as_str);
    let metrics = table
        .text::<Listen>("metrics")
        .and_then(|found| check_metrics(table, found));
    let pace = read_pace(table, None, defaults.heartbeat_ms);
    let quota = read_quota(table, defaults.quota, defaults.arch);
    let (heartbeat_ms, election_ms) = pace?;
    Ok(Tuning {
        heartbeat_ms,
        election_ms,
        snapshot_count: snapshot_count?.value,
        quota: quota?,
        auto_compaction: auto_compaction?.value,
        log_level: log_level?.value,
        metrics: metrics?.0,
    })
}

/// A node's tuning: what it says, else the cluster's.
pub(super) fn read_node_tuning(
    table: &Table<'_>,
    cluster: Result<&Tuning, Reported>,
    defaults: &Defaults,
) -> Result<Tuning, Reported> {
    let snapshot_count = table.given_number("snapshot_count");
    let auto_compaction = table.given_text::<AutoCompaction>("auto_compaction");
    let log_level = table.given_choice("log_level", &LogLevel::ALL, LogLevel::as_str);
    let metrics = table
        .given_text::<Listen>("metrics")
        .and_then(|found| found.map(|found| check_metrics(table, found)).transpose());
    let pace = read_pace(
        table,
        cluster.ok(),
        cluster.map_or(defaults.heartbeat_ms, |tuning| tuning.heartbeat_ms),
    );
    let quota = read_quota(
        table,
        cluster.map_or(defaults.quota, |tuning| tuning.quota),
        defaults.arch,
    );
    let cluster = cluster?;
    let (heartbeat_ms, election_ms) = pace?;
    Ok(Tuning {
        heartbeat_ms,
        election_ms,
        snapshot_count: snapshot_count?.map_or(cluster.snapshot_count, |found| found.value),
        quota: quota?,
        auto_compaction: auto_compaction?.map_or(cluster.auto_compaction, |found| found.value),
        log_level: log_level?.map_or(cluster.log_level, |found| found.value),
        metrics: metrics?.map_or(cluster.metrics, |listen| listen.0),
    })
}

/// Heartbeat and election time. An election time that nobody wrote is ten heartbeats.
fn read_pace(
    table: &Table<'_>,
    cluster: Option<&Tuning>,
    default_heartbeat: u32,
) -> Result<(u32, u32), Reported> {
    let heartbeat = table.given_number::<u32>("heartbeat_ms");
    let election = table.given_number::<u32>("election_ms");
    let (heartbeat, election) = (heartbeat?, election?);
    let pace = heartbeat
        .as_ref()
        .map_or(default_heartbeat, |found| found.value);
    let patience = match (&election, cluster) {
        (Some(found), _) => found.value,
        (None, Some(cluster)) if heartbeat.is_none() => cluster.election_ms,
        (None, _) => (pace * 10).min(50_000),
    };
    let Some(wrong) = election.as_ref().or(heartbeat.as_ref()) else {
        return Ok((pace, patience));
    };
    if patience >= pace * 5 {
        return Ok((pace, patience));
    }
    let message = format!(
        "`{}`: {patience} ms is less than five heartbeats of {pace} ms, with which etcd refuses \
         to start",
        table.path("election_ms")
    );
    Err(table.checker().report(
        mistake(wrong.span.clone(), message)
            .label(format!("expected at least {}", pace * 5))
            .help(format!(
                "ten heartbeats are usual: election_ms = {}",
                pace * 10
            )),
    ))
}

fn read_quota(
    table: &Table<'_>,
    default: ByteSize,
    arch: Option<Arch>,
) -> Result<ByteSize, Reported> {
    const SMALLEST: ByteSize = ByteSize::mib(16);
    const LARGEST_32: ByteSize = ByteSize::mib(1024);
    let Some(quota) = table.given_text::<ByteSize>("quota")? else {
        return Ok(default);
    };
    let (message, help) = if quota.value < SMALLEST {
        ("is too small to be useful", "expected at least 16 MiB")
    } else if arch == Some(Arch::Armhf) && quota.value > LARGEST_32 {
        (
            "is more than a 32-bit etcd can map beside what else it needs",
            "expected at most 1 GiB on armhf",
        )
    } else {
        return Ok(quota.value);
    };
    let message = format!("`{}`: {} {message}", table.path("quota"), quota.value);
    Err(table.checker().report(
        mistake(quota.span.clone(), message)
            .label(help)
            .help("2G is etcd's own default, 512M the one for armhf"),
    ))
}

fn check_metrics(table: &Table<'_>, found: Found<Listen>) -> Result<Listen, Reported> {
    match found.value.0 {
        Some(at) if matches!(at.port(), 0 | 2379 | 2380) => {
            let message = format!(
                "`{}`: port {} is not free",
                table.path("metrics"),
                at.port()
            );
            Err(table.checker().report(
                mistake(found.span.clone(), message)
                    .label("2379 is for clients, 2380 for peers")
                    .help("2381 is usual: \"127.0.0.1:2381\""),
            ))
        }
        _ => Ok(found.value),
    }
}
