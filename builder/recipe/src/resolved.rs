//! The recipe as resolved: complete, checked, every default filled in.
//!
//! What was optional in the file is settled here, what differs per node stands in the
//! [`Node`], and no combination that cannot be built can be read from a file: [`crate::load`]
//! is the one way in.

mod warning;

pub use warning::{Warning, majority};

use crate::values::{
    AutoCompaction, EtcdVersion, InterfaceName, MirrorUrl, PackageName, San, SshKey, Token,
};
use imgbuild_base::{Arch, ByteSize, ClusterName, NodeName, TreePath};
use ipnet::IpNet;
use serde::Serialize;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A recipe that can be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// The cluster's identity.
    pub cluster: Cluster,
    /// What the images are made of.
    pub image: Image,
    /// What etcd is and how it runs, the same on every node.
    pub etcd: Etcd,
    /// The certificates.
    pub pki: Pki,
    /// The network that all nodes' addresses are in.
    pub subnet: IpNet,
    /// Ways into a node.
    pub access: Access,
    /// The nodes, in the order of the file; at least one, names and addresses distinct.
    pub nodes: Vec<Node>,
    /// What the user should know though it is no mistake.
    pub warnings: Vec<Warning>,
}

/// The cluster's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// Every derived name and key starts from it; also names the secret's file.
    pub name: ClusterName,
    /// etcd's `initial-cluster-token`.
    pub token: Token,
}

/// What the images are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The kind of machine.
    pub board: Board,
    /// Its architecture; the board exists for it.
    pub arch: Arch,
    /// Debian's suite.
    pub suite: Suite,
    /// The archive's components, sorted, without repetition; `main` is among them.
    pub components: Vec<Component>,
    /// Mirrors to try first, in order.
    pub mirrors: Vec<MirrorUrl>,
    /// How large the image file is.
    pub size: DiskSize,
    /// Room left free on the boot partition for layers to come.
    pub boot_reserve: ByteSize,
    /// Further Debian packages, sorted, without repetition.
    pub packages: Vec<PackageName>,
    /// zstd level of the layers: 1 to 22.
    pub zstd_level: u8,
}

/// A kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Board {
    /// A virtual machine with UEFI and a GPT disk: amd64, arm64.
    Vm,
    /// A Raspberry Pi with an MBR card: armhf (Pi 2, 3, Zero 2 W), arm64 (Pi 3, 4, Zero 2 W,
    /// CM4).
    RaspberryPi,
}

impl Board {
    /// Every board.
    pub const ALL: [Self; 2] = [Self::Vm, Self::RaspberryPi];

    /// The name as recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::RaspberryPi => "raspberry-pi",
        }
    }

    /// The architectures it exists for; the first is the default.
    #[must_use]
    pub const fn archs(self) -> &'static [Arch] {
        match self {
            Self::Vm => &[Arch::Amd64, Arch::Arm64],
            Self::RaspberryPi => &[Arch::Arm64, Arch::Armhf],
        }
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A Debian suite the builder knows how to compose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// Debian 13.
    Trixie,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 1] = [Self::Trixie];

    /// The name as in the archive's `dists/`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trixie => "trixie",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A component of Debian's archive (Debian Policy 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// `main`.
    Main,
    /// `contrib`.
    Contrib,
    /// `non-free`.
    NonFree,
    /// `non-free-firmware`: the Raspberry Pi's boot firmware is there.
    NonFreeFirmware,
}

impl Component {
    /// Every component.
    pub const ALL: [Self; 4] = [
        Self::Main,
        Self::Contrib,
        Self::NonFree,
        Self::NonFreeFirmware,
    ];

    /// The name as in the archive.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Contrib => "contrib",
            Self::NonFree => "non-free",
            Self::NonFreeFirmware => "non-free-firmware",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How large an image file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskSize {
    /// No larger than the boot partition needs; the state partition is made on the medium
    /// behind it.
    Fit,
    /// Exactly so much; the state partition fills what the boot partition leaves.
    Exactly(ByteSize),
}

/// What etcd is and how it runs, the same on every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Etcd {
    /// Where the binaries come from.
    pub source: EtcdSource,
    /// The directory of etcd, etcdctl and etcdutl.
    pub bin_dir: TreePath,
    /// The data directory; on the state partition, below /var.
    pub data_dir: TreePath,
    /// How the unit gets its configuration.
    pub config: ConfigStyle,
    /// Also listen for clients on `http://127.0.0.1:2379`, without TLS.
    pub plain_local_listener: bool,
}

impl Etcd {
    /// The version the recipe asks for; `None` where Debian decides it.
    #[must_use]
    pub const fn version(&self) -> Option<EtcdVersion> {
        match self.source {
            EtcdSource::Release { version } | EtcdSource::Build { version } => Some(version),
            EtcdSource::Debian => None,
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
    /// A YAML file, `/etc/etcd/etcd.conf.yml`, through `--config-file`.
    File,
    /// `ETCD_*` variables in `/etc/etcd/etcd.conf`, through `EnvironmentFile=`.
    Environment,
    /// Flags in the unit itself.
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

/// The certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pki {
    /// Which files there are.
    pub layout: PkiLayout,
    /// Days a leaf certificate is valid; at most `ca_days`.
    pub leaf_days: u32,
    /// Days the CA certificate is valid.
    pub ca_days: u32,
    /// Counted up to rotate every leaf key and certificate; starts at 1.
    pub generation: u32,
}

/// Which certificate files a node holds, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "style")]
pub enum PkiLayout {
    /// kubeadm's: separate server, peer, healthcheck-client and apiserver-etcd-client.
    Kubeadm {
        /// `/etc/kubernetes/pki` unless the recipe says otherwise.
        dir: TreePath,
    },
    /// One pair, `kubernetes.pem` and `kubernetes-key.pem`, beside `ca.pem`, for server and
    /// peer, with the names and addresses of every node.
    Shared {
        /// `/etc/etcd` unless the recipe says otherwise.
        dir: TreePath,
    },
}

/// Ways into a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Access {
    /// The ssh server, if there is one.
    pub ssh: Option<Ssh>,
    /// What the console offers.
    pub console: Console,
}

/// An ssh server that takes keys only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ssh {
    /// root's authorized keys; at least one.
    pub keys: Vec<SshKey>,
}

/// What the console (serial and screen) offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Console {
    /// The kernel's and the system's messages; nobody can log in there.
    Log,
    /// A root shell without a password, for machines on a desk and for tests.
    Shell,
}

impl Console {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Log, Self::Shell];

    /// The name as recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Shell => "shell",
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Host name and etcd member name.
    pub name: NodeName,
    /// Its address, in the recipe's subnet.
    pub address: IpAddr,
    /// How that address is set up.
    pub network: Network,
    /// etcd's tuning.
    pub tuning: Tuning,
    /// Further names of its certificates: the cluster's, then its own.
    pub extra_sans: Vec<San>,
}

impl Node {
    /// `https://ADDRESS:PORT`, with brackets where IPv6 needs them (RFC 3986 3.2.2).
    #[must_use]
    pub fn https(&self, port: u16) -> String {
        format!("https://{}", SocketAddr::new(self.address, port))
    }
}

/// How a node's address is set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Network {
    /// The interface.
    pub interface: InterfaceName,
    /// Where the address comes from.
    pub addressing: Addressing,
    /// Name servers, in order. With DHCP they are added to what it says.
    pub dns: Vec<IpAddr>,
    /// Time servers, names or addresses. Empty: those systemd-timesyncd was built with.
    pub ntp: Vec<San>,
}

/// Where an interface's address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "mode")]
pub enum Addressing {
    /// It is set from the recipe.
    Static {
        /// The way out of the subnet, if there is one.
        gateway: Option<IpAddr>,
    },
    /// A DHCP server hands out the very address of the recipe (a reservation).
    Dhcp,
}
