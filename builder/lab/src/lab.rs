//! The lab itself: nodes, switch and gateway together.

use crate::accel::{self, Accelerator};
use crate::disk::working_copy;
use crate::gateway::{Forward, Gateway, GatewayError, Host, Ports};
use crate::health::{Credentials, Health, Probe, ProbeError};
use crate::machine::{Machine, MachineError, MachineKind};
use crate::process::Process;
use crate::switch::{MAX_SOCKET_PATH, PortId, Switch, socket_path};
use crate::watch::Watch;
use bytes::Bytes;
use imgbuild_base::{Digest, NodeName, Tree};
use imgbuild_formats::disk::SECTOR;
use imgbuild_formats::{fat, mbr};
use ipnet::IpNet;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One node of the lab.
#[derive(Clone, Debug)]
pub struct LabNode {
    /// Its name.
    pub name: NodeName,
    /// Its address, as the image has it.
    pub address: IpAddr,
    /// The address of its network card, when the image looks for that one.
    pub mac: Option<[u8; 6]>,
    /// The VLAN that its address is on.
    pub vlan: Option<u16>,
    /// The router it expects.
    pub router: Option<IpAddr>,
    /// The client that its firewall lets in, when it does not let in any of the subnet.
    pub client: Option<IpAddr>,
    /// Its image; never written to.
    pub image: PathBuf,
}

/// The port etcd serves clients on.
const CLIENT_PORT: u16 = 2379;
/// The port an ssh server listens on.
const SSH_PORT: u16 = 22;

impl LabNode {
    /// Its network card's address: the one that the image looks for, or one of its name's.
    fn mac(&self) -> [u8; 6] {
        self.mac.unwrap_or_else(|| mac_of(&self.name))
    }

    fn host(&self) -> Host {
        Host {
            mac: self.mac(),
            address: self.address,
            router: self.router,
        }
    }

    fn way_to(&self, port: u16) -> Forward {
        Forward {
            to: SocketAddr::new(self.address, port),
            from: self.client,
        }
    }
}

/// What a lab is made of.
pub struct LabSpec {
    /// The nodes.
    pub nodes: Vec<LabNode>,
    /// The machine they run in.
    pub machine: MachineKind,
    /// The network they are on.
    pub subnet: IpNet,
    /// Whether the nodes have an ssh server.
    pub ssh: bool,
    /// How the members are asked.
    pub credentials: Credentials,
    /// Memory of each node in MiB, when not the machine's default.
    pub memory: Option<u32>,
    /// What the clocks say at power-on, when not the host's time.
    pub clock: Option<String>,
    /// Size of each disk in bytes, when not the machine's default.
    pub disk_size: Option<u64>,
    /// The directory for disks, consoles and sockets. Its path must be short: unix sockets
    /// allow 107 bytes.
    pub work: PathBuf,
}

/// Why a lab cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// There is no node of that name.
    #[error("the lab has no node {0:?}")]
    NoNode(String),
    /// The node's machine.
    #[error("preparing the machine of {node}")]
    Machine {
        /// The node.
        node: NodeName,
        /// What is wrong.
        source: MachineError,
    },
    /// QEMU is not installed.
    #[error("{program} cannot be started: install the package {package}")]
    NoQemu {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The boot partition of an image.
    #[error("reading the boot partition of {path}: {reason}")]
    Boot {
        /// The disk.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A socket's path is too long.
    #[error(
        "the path of the socket {path} has {length} bytes and unix sockets allow \
         {MAX_SOCKET_PATH}: give --work (or TMPDIR) a shorter directory"
    )]
    LongPath {
        /// The socket.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// Another lab uses the directory.
    #[error("another run has its nodes in {0}: end it first, or give --work another directory")]
    InUse(PathBuf),
    /// The way in.
    #[error("making the way in from this machine")]
    Gateway(#[from] GatewayError),
    /// The credentials.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A file or socket.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How far a node has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not running.
    Off,
    /// Running; nothing from the kernel yet.
    Firmware,
    /// The kernel speaks.
    Kernel,
    /// The system's own services start.
    System,
    /// etcd answers, but has no quorum.
    Unhealthy(String),
    /// The member is healthy.
    Healthy {
        /// Whether it leads.
        leader: bool,
        /// etcd's version.
        version: String,
    },
}

/// A node as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// The node.
    pub name: NodeName,
    /// How far it has come.
    pub phase: Phase,
    /// Whether it is cut off from the network.
    pub cut: bool,
    /// The loopback ports that lead to it.
    pub ports: Ports,
    /// The last line of its own report on the console, if there was one.
    pub report: Option<String>,
}

struct Running {
    node: LabNode,
    machine: Machine,
    port: PortId,
    ports: Ports,
    process: Option<Process>,
    watch: Watch,
}

/// Running nodes, their network and the way in. Dropping it ends everything.
pub struct Lab {
    nodes: Vec<Running>,
    switch: Switch,
    accelerator: Accelerator,
    _gateway: Gateway,
    /// Held as long as the lab lives.
    _lock: Flock<std::fs::File>,
}

impl Lab {
    /// Makes disks, network and gateway. No node is started yet.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn prepare(spec: LabSpec) -> Result<Self, LabError> {
        fs_err::create_dir_all(&spec.work)?;
        let lock = lock(&spec.work)?;
        let probe = Probe::new(&spec.credentials)?;
        let accelerator = accel::choose(spec.machine.arch(), &spec.work);
        let switch = Switch::new();
        let hosts: Vec<Host> = spec.nodes.iter().map(LabNode::host).collect();
        let ways = |port: u16| spec.nodes.iter().map(move |node| node.way_to(port));
        let servers = ways(SSH_PORT).filter(|_| spec.ssh);
        let forwards: Vec<Forward> = ways(CLIENT_PORT).chain(servers).collect();
        let gateway = Gateway::start(&switch, spec.subnet, &hosts, &forwards)?;
        let (clients, servers) = gateway.ports().split_at(spec.nodes.len());
        let ports: Vec<Ports> = (0..)
            .zip(clients)
            .map(|(at, &client)| Ports {
                client,
                ssh: servers.get::<usize>(at).copied(),
            })
            .collect();
        let mut nodes = Vec::new();
        for (node, ports) in spec.nodes.into_iter().zip(ports) {
            let scratch = spec.work.join(node.name.as_str());
            fs_err::create_dir_all(&scratch)?;
            let network = fresh_socket(socket_path(&spec.work, node.name.as_str()))?;
            let port = switch.listen(&network)?;
            switch.set_vlan(port, node.vlan);
            let machine = Machine {
                kind: spec.machine,
                accelerator,
                disk: scratch.join("disk.img"),
                memory: spec.memory.unwrap_or(spec.machine.memory()),
                mac: node.mac(),
                network,
                console: scratch.join("console.log"),
                console_socket: fresh_socket(scratch.join("console"))?,
                scratch,
                clock: spec.clock.clone(),
            };
            let size = spec.disk_size.unwrap_or(spec.machine.disk_size());
            if !machine.disk.exists() {
                working_copy(&node.image, &machine.disk, size)?;
            }
            nodes.push(Running {
                node,
                machine,
                port,
                ports,
                process: None,
                watch: Watch::start(probe.clone(), ports.client),
            });
        }
        Ok(Self {
            nodes,
            switch,
            accelerator,
            _gateway: gateway,
            _lock: lock,
        })
    }

    /// How the nodes are executed.
    #[must_use]
    pub fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// The names of the nodes.
    pub fn names(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.iter().map(|node| &node.node.name)
    }

    /// Where a node's console is written to.
    ///
    /// # Errors
    /// [`LabError::NoNode`].
    pub fn console(&self, name: &str) -> Result<&Path, LabError> {
        let at = self.find(name)?;
        Ok(&self.nodes[at].machine.console)
    }

    /// Switches a node on; one that runs is left alone.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn start(&mut self, name: &str) -> Result<(), LabError> {
        let at = self.find(name)?;
        let running = &mut self.nodes[at];
        if running.process.as_mut().is_some_and(Process::is_running) {
            return Ok(());
        }
        let boot = boot_partition(&running.machine, &running.node.image)?;
        let arguments =
            running
                .machine
                .arguments(boot.as_ref())
                .map_err(|source| LabError::Machine {
                    node: running.node.name.clone(),
                    source,
                })?;
        let (program, package) = running.machine.kind.program();
        let log = fs_err::File::create(running.machine.scratch.join("qemu.log"))?;
        fresh_socket(running.machine.console_socket.clone())?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.into_parts().0);
        let process = Process::start(&mut command).map_err(|source| LabError::NoQemu {
            program,
            package,
            source,
        })?;
        running.process = Some(process);
        running.watch.set_on(true);
        Ok(())
    }

    /// Takes a node's power away.
    ///
    /// # Errors
    /// [`LabError::NoNode`].
    pub fn kill(&mut self, name: &str) -> Result<(), LabError> {
        let at = self.find(name)?;
        self.nodes[at].watch.set_on(false);
        self.nodes[at].process = None;
        Ok(())
    }

    /// Cuts a node off from the network, or reconnects it.
    ///
    /// # Errors
    /// [`LabError::NoNode`].
    pub fn set_cut(&mut self, name: &str, cut: bool) -> Result<(), LabError> {
        let at = self.find(name)?;
        self.switch.set_cut(self.nodes[at].port, cut);
        Ok(())
    }

    /// Every node as it is now, at once: members are asked all the time, side by side.
    pub fn status(&mut self) -> Vec<NodeStatus> {
        self.nodes
            .iter_mut()
            .map(|node| {
                let on = node.process.as_mut().is_some_and(Process::is_running);
                let console = Console::read(&node.machine.console);
                NodeStatus {
                    name: node.node.name.clone(),
                    phase: phase(on.then(|| node.watch.last()), &console),
                    cut: self.switch.is_cut(node.port),
                    ports: node.ports,
                    report: console.report,
                }
            })
            .collect()
    }

    /// Whether every node's QEMU still runs that was started; the first that ended by itself.
    pub fn fallen(&mut self) -> Option<(NodeName, PathBuf)> {
        self.nodes.iter_mut().find_map(|node| {
            let ended = node.process.as_mut().is_some_and(|p| !p.is_running());
            ended.then(|| {
                (
                    node.node.name.clone(),
                    node.machine.scratch.join("qemu.log"),
                )
            })
        })
    }

    fn find(&self, name: &str) -> Result<usize, LabError> {
        self.nodes
            .iter()
            .position(|node| node.node.name.as_str() == name)
            .ok_or_else(|| LabError::NoNode(name.to_owned()))
    }
}

/// Takes the directory for this lab until the lab ends, however that happens.
fn lock(work: &Path) -> Result<Flock<std::fs::File>, LabError> {
    let file = fs_err::File::create(work.join("lock"))?;
    match Flock::lock(file.into_parts().0, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => Err(LabError::InUse(work.to_owned())),
        Err((_, error)) => Err(LabError::Io(error.into())),
    }
}

/// The path of a socket that is about to be made, with what an earlier lab left there removed.
fn fresh_socket(path: PathBuf) -> Result<PathBuf, LabError> {
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        return Err(LabError::LongPath { path, length });
    }
    match fs_err::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(path),
    }
}

fn phase(health: Option<Health>, console: &Console) -> Phase {
    match health {
        None => Phase::Off,
        Some(Health::Healthy { leader, version }) => Phase::Healthy { leader, version },
        Some(Health::Unhealthy(reason)) => Phase::Unhealthy(reason),
        Some(Health::Silent(_)) if console.system => Phase::System,
        Some(Health::Silent(_)) if console.kernel => Phase::Kernel,
        Some(Health::Silent(_)) => Phase::Firmware,
    }
}

/// What the console shows so far.
#[derive(Default)]
struct Console {
    kernel: bool,
    system: bool,
    report: Option<String>,
}

impl Console {
    /// How much of the end is looked at.
    const TAIL: u64 = 64 << 10;

    fn read(path: &Path) -> Self {
        let Ok(text) = Self::tail(path) else {
            return Self::default();
        };
        let report = text.lines().rev().find_map(|line| {
            line.find("imgbuild: node=")
                .map(|at| line[at..].trim().to_owned())
        });
        Self {
            kernel: !text.is_empty() && text.contains("Linux version") || text.contains("] "),
            system: report.is_some() || text.contains("systemd["),
            report,
        }
    }

    fn tail(path: &Path) -> io::Result<String> {
        let mut file = fs_err::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(Self::TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A locally administered address that follows from the node's name. QEMU's USB card forces
/// the first byte, so the others carry the difference.
#[must_use]
pub fn mac_of(name: &NodeName) -> [u8; 6] {
    let digest = Digest::of(name.as_str().as_bytes());
    let [a, b, c, ..] = *digest.as_bytes();
    [0x52, 0x54, 0x00, a, b, c]
}

/// The files of a Pi image's boot partition; nothing for machines that boot by themselves.
fn boot_partition(machine: &Machine, image: &Path) -> Result<Option<Tree>, LabError> {
    match machine.kind {
        MachineKind::PcUefi | MachineKind::PcBios | MachineKind::ArmUefi => return Ok(None),
        MachineKind::PiOnVirt(_) | MachineKind::Raspi2b | MachineKind::Raspi3b => {}
    }
    let bad = |error: &dyn std::error::Error| LabError::Boot {
        path: image.to_owned(),
        reason: error.to_string(),
    };
    let disk = Bytes::from(fs_err::read(image)?);
    let table = mbr::Table::read(&disk).map_err(|e| bad(&e))?;
    let volume = table.partitions.first().and_then(|first| {
        let start = usize::try_from(u64::from(first.first) * SECTOR).ok()?;
        let length = usize::try_from(u64::from(first.sectors) * SECTOR).ok()?;
        let end = start.checked_add(length)?;
        (end <= disk.len()).then(|| disk.slice(start..end))
    });
    let volume = volume.ok_or_else(|| LabError::Boot {
        path: image.to_owned(),
        reason: "its partition table names no partition within it".to_owned(),
    })?;
    fat::read(&volume).map(Some).map_err(|e| bad(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lab_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        let second = lock(dir.path()).unwrap_err();
        assert!(matches!(second, LabError::InUse(_)), "{second}");
        drop(first);
        lock(dir.path()).unwrap();
    }

    #[test]
    fn sockets_are_made_anew_where_they_fit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs_err::write(&path, "left behind").unwrap();
        assert_eq!(fresh_socket(path.clone()).unwrap(), path);
        assert!(!path.exists());
        let room = MAX_SOCKET_PATH - dir.path().as_os_str().len() - 1;
        fresh_socket(dir.path().join("a".repeat(room))).unwrap();
        let error = fresh_socket(dir.path().join("a".repeat(room + 1))).unwrap_err();
        assert!(error.to_string().contains("107"), "{error}");
    }
}
