//! The way from loopback to the members' client ports, and to their ssh servers.
//!
//! A QEMU without a machine sits on the switch as one more guest: its user-mode network
//! answers on the nodes' subnet and forwards loopback ports to the nodes. It is restricted:
//! guests reach nothing through it.

use crate::machine::Value;
use crate::process::Process;
use ipnet::IpNet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

/// The port etcd serves clients on.
const CLIENT_PORT: u16 = 2379;
/// The port an ssh server listens on.
const SSH_PORT: u16 = 22;

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The subnet has no two addresses left for it.
    #[error("the subnet {0} has no two free addresses left for the way in from this machine")]
    NoRoom(IpNet),
    /// The nodes are on IPv6, which the gateway does not forward.
    #[error("the way in from this machine needs IPv4 node addresses; {0} is none")]
    NotIpv4(IpAddr),
    /// A socket or process could not be made.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The running gateway.
#[derive(Debug)]
pub struct Gateway {
    _process: Process,
    ports: Vec<Ports>,
}

/// The loopback ports that lead to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// To the port etcd serves clients on.
    pub client: u16,
    /// To its ssh server, when it has one.
    pub ssh: Option<u16>,
}

impl Gateway {
    /// Starts it on the switch's socket `network`, for nodes of `subnet`, with a way to their
    /// ssh servers if they have any; what QEMU says goes to the file `log`.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub fn start(
        network: &Path,
        log: &Path,
        subnet: IpNet,
        nodes: &[IpAddr],
        ssh: bool,
    ) -> Result<Self, GatewayError> {
        let mut addresses = Vec::new();
        for node in nodes {
            match node {
                IpAddr::V4(address) => addresses.push(*address),
                IpAddr::V6(_) => return Err(GatewayError::NotIpv4(*node)),
            }
        }
        let (host, dns) = free_pair(subnet, &addresses).ok_or(GatewayError::NoRoom(subnet))?;
        let clients = free_ports(nodes.len() * if ssh { 2 } else { 1 })?;
        let (clients, servers) = clients.split_at(nodes.len());
        let ports: Vec<Ports> = (0..nodes.len())
            .zip(clients)
            .map(|(at, &client)| Ports {
                client,
                ssh: servers.get(at).copied(),
            })
            .collect();
        let mut user = format!(
            "user,id=user0,restrict=on,ipv6=off,net={},host={host},dns={dns}",
            subnet.trunc()
        );
        for (port, address) in ports.iter().zip(&addresses) {
            let Ports { client, ssh } = port;
            user.push_str(&format!(
                ",hostfwd=tcp:127.0.0.1:{client}-{address}:{CLIENT_PORT}"
            ));
            if let Some(ssh) = ssh {
                user.push_str(&format!(
                    ",hostfwd=tcp:127.0.0.1:{ssh}-{address}:{SSH_PORT}"
                ));
            }
        }
        let stream = format!(
            "stream,id=net0,server=off,addr.type=unix,addr.path={}",
            Value(network)
        );
        let log = fs_err::File::create(log)?;
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-machine", "none", "-nodefaults", "-display", "none"])
            .args(["-monitor", "none", "-serial", "none", "-netdev"])
            .arg(user)
            .args(["-netdev", "hubport,id=hub0,hubid=0,netdev=user0", "-netdev"])
            .arg(stream)
            .args(["-netdev", "hubport,id=hub1,hubid=0,netdev=net0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // It warns of hubs without a network card, which is what this is for.
            .stderr(log.into_parts().0);
        Ok(Self {
            _process: Process::start(&mut command)?,
            ports,
        })
    }

    /// The loopback ports of each node, in the order of the nodes.
    #[must_use]
    pub fn ports(&self) -> &[Ports] {
        &self.ports
    }
}

/// Two addresses at the top of the subnet that no node has.
fn free_pair(subnet: IpNet, taken: &[Ipv4Addr]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let IpNet::V4(subnet) = subnet else {
        return None;
    };
    let (first, last) = (
        u32::from(subnet.network()) + 1,
        u32::from(subnet.broadcast()),
    );
    let mut free = (first..last)
        .rev()
        .map(Ipv4Addr::from)
        .filter(|address| !taken.contains(address));
    Some((free.next()?, free.next()?))
}

/// Loopback ports nobody listens on at the moment.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    // All are held until the last is known, so that they differ.
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<io::Result<_>>()?;
    held.iter()
        .map(|listener| listener.local_addr().map(|address| address.port()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_free_addresses_from_the_top() {
        let subnet: IpNet = "192.168.1.0/24".parse().unwrap();
        let taken = ["192.168.1.253".parse().unwrap()];
        let pair = free_pair(subnet, &taken).unwrap();
        assert_eq!(pair.0, "192.168.1.254".parse::<Ipv4Addr>().unwrap());
        assert_eq!(pair.1, "192.168.1.252".parse::<Ipv4Addr>().unwrap());
        assert_eq!(free_pair("10.0.0.0/31".parse().unwrap(), &[]), None);
    }

    #[test]
    fn ports_differ() {
        let mut ports = free_ports(8).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 8);
    }
}
