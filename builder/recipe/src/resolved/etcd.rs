//! What etcd is, where it comes from, and its tuning.

use crate::etcd_options::{OptionValue, Series};
use crate::values::{
    AdvertisedUrl, AutoCompaction, EtcdVersion, ListenAddress, VariableName, VariableValue,
};
use imgbuild_base::{ByteSize, TreePath};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What etcd is and how it runs on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Etcd {
    /// Where the binaries come from.
    pub source: EtcdSource,
    /// The directory of etcd, etcdctl and etcdutl.
    pub bin_dir: TreePath,
    /// The data directory; on the state partition, below /var.
    pub data_dir: TreePath,
    /// The directory of the write-ahead log, if it is not in the data directory; below /var.
    pub wal_dir: Option<TreePath>,
    /// What runs it.
    pub run: Run,
    /// How the unit gets its configuration.
    pub config: ConfigStyle,
    /// The file with the configuration; `None` for flags.
    pub config_path: Option<TreePath>,
    /// Also listen for clients on `http://127.0.0.1:2379`, without TLS.
    pub plain_local_listener: bool,
}

impl Etcd {
    /// The version the recipe asks for; `None` where Debian decides it.
    #[must_use]
    pub const fn version(&self) -> Option<EtcdVersion> {
        self.source.version()
    }

    /// The series of releases that the version belongs to, which decides what options there
    /// are. Debian trixie has 3.5.
    #[must_use]
    pub fn series(&self) -> Option<Series> {
        match self.version() {
            Some(version) => Series::of(version),
            None => Some(Series::V3_5),
        }
    }

    /// The name of the container image in which etcd runs, if it does; with its tag.
    #[must_use]
    pub fn container_image(&self) -> Option<String> {
        match (self.run, self.version()) {
            (Run::StaticPod, Some(version)) => Some(format!("localhost/etcd:{version}")),
            (Run::StaticPod, None) | (Run::Service, _) => None,
        }
    }
}

/// What runs etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Run {
    /// A systemd unit.
    Service,
    /// A container, from a pod's manifest that podman plays. Never with Debian's programs,
    /// which need more than themselves.
    StaticPod,
}

impl Run {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Service, Self::StaticPod];

    /// The name as recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::StaticPod => "static-pod",
        }
    }
}

/// Where etcd's binaries come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum EtcdSource {
    /// Upstream's release archive; never on armhf, for which there is none.
    Release {
        /// Which.
        version: EtcdVersion,
    },
    /// Cross-compiled from the Go modules of a release.
    Build {
        /// Which.
        version: EtcdVersion,
    },
    /// Debian's etcd-server and etcd-client packages.
    Debian,
}

impl EtcdSource {
    pub(crate) const RELEASE: &'static str = "release";
    pub(crate) const BUILD: &'static str = "build";
    pub(crate) const DEBIAN: &'static str = "debian";
    pub(crate) const NAMES: [&'static str; 3] = [Self::RELEASE, Self::BUILD, Self::DEBIAN];

    /// The version the recipe asks for; `None` where Debian decides it.
    #[must_use]
    pub const fn version(&self) -> Option<EtcdVersion> {
        match self {
            Self::Release { version } | Self::Build { version } => Some(*version),
            Self::Debian => None,
        }
    }

    /// The name as recipes write it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Release { .. } => Self::RELEASE,
            Self::Build { .. } => Self::BUILD,
            Self::Debian => Self::DEBIAN,
        }
    }
}

/// How the etcd unit gets its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigStyle {
    /// A YAML file, through `--config-file`.
    File,
    /// A file of `ETCD_*` variables, through `EnvironmentFile=`.
    Environment,
    /// Flags in the unit itself, or in the pod's manifest.
    Flags,
}

impl ConfigStyle {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::File, Self::Environment, Self::Flags];

    /// The name as recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flags => "flags",
        }
    }

    /// Where the configuration is unless the recipe says otherwise, below the root.
    #[must_use]
    pub const fn default_path(self) -> Option<&'static str> {
        match self {
            Self::File => Some("etc/etcd/etcd.conf.yml"),
            Self::Environment => Some("etc/etcd/etcd.conf"),
            Self::Flags => None,
        }
    }
}

/// etcd's tuning on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tuning {
    /// Milliseconds between a leader's heartbeats.
    pub heartbeat_ms: u32,
    /// Milliseconds without one after which a follower stands for election: at least five
    /// heartbeats and at most 50,000 (etcd refuses to start otherwise).
    pub election_ms: u32,
    /// Committed transactions between snapshots to disk.
    pub snapshot_count: u64,
    /// Size of the database at which etcd stops accepting writes.
    pub quota: ByteSize,
    /// When old revisions are forgotten.
    pub auto_compaction: AutoCompaction,
    /// etcd's `log-level`.
    pub log_level: LogLevel,
    /// Where metrics and health are served over plain HTTP, if at all.
    pub metrics: Option<SocketAddr>,
    /// Where else it listens.
    pub listeners: Listeners,
    /// Further options, by the names of etcd's flags.
    pub options: BTreeMap<&'static str, OptionValue>,
    /// Environment variables of etcd's process.
    pub environment: BTreeMap<VariableName, VariableValue>,
}

/// Where etcd listens besides its usual addresses; no two of all lists clash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listeners {
    /// For clients, over TLS.
    pub client: Vec<ListenAddress>,
    /// For members, over TLS.
    pub peer: Vec<ListenAddress>,
    /// For metrics and health, over plain HTTP.
    pub metrics: Vec<ListenAddress>,
}

/// What a member tells others to use instead of its address; empty where that will do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Advertised {
    /// Clients.
    pub client: Vec<AdvertisedUrl>,
    /// Members.
    pub peer: Vec<AdvertisedUrl>,
}

/// etcd's `log-level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What happens.
    Info,
    /// What is odd.
    Warn,
    /// What fails.
    Error,
}

impl LogLevel {
    /// Every level.
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// The name as etcd takes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
