//! `[etcd]` and `[node.etcd]`: tuning.

use super::listeners::{self, Patterns};
use super::options;
use crate::checker::{Found, Reported, Table, mistake};
use crate::forms::Listen;
use crate::resolved::{Advertised, Board, Etcd, LogLevel, Tuning};
use crate::values::AutoCompaction;
use imgbuild_base::{Arch, ByteSize, HostName, NodeName};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What tuning is when neither the node nor the cluster says, and what it must fit.
pub(super) struct Defaults {
    heartbeat_ms: u32,
    quota: ByteSize,
    arch: Option<Arch>,
    etcd: options::Version,
    plain_local_listener: bool,
}

impl Defaults {
    pub(super) fn of(board: Option<Board>, arch: Option<Arch>, etcd: Option<&Etcd>) -> Self {
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
            etcd: options::Version::of(etcd),
            plain_local_listener: etcd.is_some_and(|etcd| etcd.plain_local_listener),
        }
    }
}

impl Defaults {
    /// The same for a node that runs this etcd.
    pub(super) fn with(&self, etcd: Option<&Etcd>) -> Self {
        Self {
            etcd: options::Version::of(etcd),
            plain_local_listener: etcd.is_some_and(|etcd| etcd.plain_local_listener),
            ..*self
        }
    }
}

/// What nodes inherit of `[etcd]`.
pub(super) struct ClusterTuning {
    tuning: Tuning,
    advertised: Patterns,
}

/// The cluster's tuning.
pub(super) fn read(table: &Table<'_>, defaults: &Defaults) -> Result<ClusterTuning, Reported> {
    let snapshot_count = table.number("snapshot_count");
    let auto_compaction = table.text::<AutoCompaction>("auto_compaction");
    let log_level = table.choice("log_level", &LogLevel::ALL, LogLevel::as_str);
    let metrics = table
        .text::<Listen>("metrics")
        .and_then(|found| check_metrics(table, found));
    let pace = read_pace(table, None, defaults.heartbeat_ms);
    let quota = read_quota(table, defaults.quota, defaults.arch);
    let listeners = listeners::read(table, None, defaults.plain_local_listener);
    let advertised = listeners::read_patterns(table);
    let options = options::read(table, defaults.etcd, BTreeMap::new());
    let environment = options::read_environment(table, BTreeMap::new());
    let (heartbeat_ms, election_ms) = pace?;
    let tuning = Tuning {
        heartbeat_ms,
        election_ms,
        snapshot_count: snapshot_count?.value,
        quota: quota?,
        auto_compaction: auto_compaction?.value,
        log_level: log_level?.value,
        metrics: metrics?.0,
        listeners: listeners?,
        options: options?,
        environment: environment?,
    };
    let advertised = advertised?;
    check_metrics_listeners(table, &tuning)?;
    Ok(ClusterTuning { tuning, advertised })
}

/// Who a node is.
#[derive(Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) name: &'a NodeName,
    pub(super) hostname: &'a HostName,
    pub(super) address: IpAddr,
}

/// A node's tuning: what it says, else the cluster's.
pub(super) fn read_node(
    table: &Table<'_>,
    cluster: Result<&ClusterTuning, Reported>,
    defaults: &Defaults,
    node: Result<Identity<'_>, Reported>,
) -> Result<(Tuning, Advertised), Reported> {
    let advertised = listeners::read_patterns(table);
    let inherited = cluster.map(|cluster| &cluster.tuning);
    let listeners = listeners::read(
        table,
        inherited.ok().map(|tuning| &tuning.listeners),
        defaults.plain_local_listener,
    );
    let shared = inherited.map(|tuning| tuning.options.clone());
    let options = options::read(table, defaults.etcd, shared.unwrap_or_default());
    let options = options.and_then(|all| options::check_inherited(table, defaults.etcd, all));
    let variables = inherited.map(|tuning| tuning.environment.clone());
    let environment = options::read_environment(table, variables.unwrap_or_default());
    let snapshot_count = table.given_number("snapshot_count");
    let auto_compaction = table.given_text::<AutoCompaction>("auto_compaction");
    let log_level = table.given_choice("log_level", &LogLevel::ALL, LogLevel::as_str);
    let metrics = table
        .given_text::<Listen>("metrics")
        .and_then(|found| found.map(|found| check_metrics(table, found)).transpose());
    let pace = read_pace(
        table,
        inherited.ok(),
        inherited.map_or(defaults.heartbeat_ms, |tuning| tuning.heartbeat_ms),
    );
    let quota = read_quota(
        table,
        inherited.map_or(defaults.quota, |tuning| tuning.quota),
        defaults.arch,
    );
    let (patterns, cluster) = (&cluster?.advertised, inherited?);
    let (heartbeat_ms, election_ms) = pace?;
    let tuning = Tuning {
        heartbeat_ms,
        election_ms,
        snapshot_count: snapshot_count?.map_or(cluster.snapshot_count, |found| found.value),
        quota: quota?,
        auto_compaction: auto_compaction?.map_or(cluster.auto_compaction, |found| found.value),
        log_level: log_level?.map_or(cluster.log_level, |found| found.value),
        metrics: metrics?.map_or(cluster.metrics, |listen| listen.0),
        listeners: listeners?,
        options: options?,
        environment: environment?,
    };
    check_metrics_listeners(table, &tuning)?;
    let advertised = advertised?.or(patterns).fill(table, node?)?;
    Ok((tuning, advertised))
}

/// The metrics' usual place is not one of the others.
fn check_metrics_listeners(table: &Table<'_>, tuning: &Tuning) -> Result<(), Reported> {
    let Some(metrics) = tuning.metrics else {
        return Ok(());
    };
    let listeners = &tuning.listeners;
    let all = [&listeners.client, &listeners.peer, &listeners.metrics];
    match all.into_iter().flatten().find(|at| at.clashes(metrics)) {
        None => Ok(()),
        Some(at) => Err(table.checker().report(
            mistake(
                table.span(),
                format!(
                    "`{}`: {at} is where metrics are served ({metrics})",
                    table.path("metrics")
                ),
            )
            .label("twice the same port")
            .help("choose another port, or metrics = \"off\""),
        )),
    }
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
