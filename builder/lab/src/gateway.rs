//! The way from loopback to the members' ports, and what else a network has beside its nodes.
//!
//! A small host of its own (smoltcp's TCP/IP stack, in this process) sits on the switch. It has
//! a free address of the subnet and the addresses of the routers that the nodes expect, so that
//! they find a neighbour there; it forwards loopback ports to the nodes, as whichever client the
//! nodes' firewalls let in; and it answers DHCP (IPv4) with the addresses that the recipe
//! reserves. It passes nothing on: guests reach nothing through it.

mod cable;
mod dhcp;
mod forward;

use crate::switch::Switch;
use cable::Cable;
use dhcp::Server;
use forward::Listening;
use ipnet::IpNet;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Its network card's address, locally administered.
const MAC: EthernetAddress = EthernetAddress([0x52, 0x55, 0x00, 0x00, 0x00, 0x01]);
/// Its link-local address: neighbour discovery has such senders (RFC 4861).
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5055, 0xff, 0xfe00, 1);
/// How long it sleeps at most: a new connection on loopback waits so long.
const IDLE: Duration = Duration::from_millis(10);
/// The same while connections are open.
const BUSY: Duration = Duration::from_millis(1);

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The subnet has no address left for it.
    #[error("the subnet {0} has no free address left for the way in from this machine")]
    NoRoom(IpNet),
    /// More routers and clients than it can be.
    #[error("the nodes name so many routers and clients that the way in cannot play them all")]
    TooMany,
    /// A socket or thread could not be made.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A node as its network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its network card's address.
    pub mac: [u8; 6],
    /// Its address.
    pub address: IpAddr,
    /// The router it expects.
    pub router: Option<IpAddr>,
}

/// A loopback port that is to lead to a node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The node's port.
    pub to: SocketAddr,
    /// The address its connections come from, when not just any of the subnet.
    pub from: Option<IpAddr>,
}

/// The loopback ports that lead to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// To the port etcd serves clients on.
    pub client: u16,
    /// To its ssh server, when it has one.
    pub ssh: Option<u16>,
}

/// The running gateway. Dropping it ends it.
#[derive(Debug)]
pub struct Gateway {
    ports: Vec<u16>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Starts it on a switch, for the hosts of a subnet, with these ways in.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub fn start(
        switch: &Switch,
        subnet: IpNet,
        hosts: &[Host],
        forwards: &[Forward],
    ) -> Result<Self, GatewayError> {
        let own = free_address(subnet, hosts).ok_or(GatewayError::NoRoom(subnet))?;
        let mut cable = Cable::plug_into(switch)?;
        let config = Config::new(HardwareAddress::Ethernet(MAC));
        let mut interface = Interface::new(config, &mut cable, Instant::now());
        let mut full = false;
        interface.update_ip_addrs(|addresses| {
            for cidr in cidrs(own, subnet, hosts, forwards) {
                full |= addresses.push(cidr).is_err();
            }
        });
        if full {
            return Err(GatewayError::TooMany);
        }
        let mut sockets = SocketSet::new(Vec::new());
        let mut listening = forwards
            .iter()
            .map(|forward| Listening::new(*forward))
            .collect::<io::Result<Vec<_>>>()?;
        let ports = listening.iter().map(Listening::port).collect();
        let mut server = Server::new(own, subnet, hosts, &mut sockets);
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::Builder::new()
            .name("gateway".to_owned())
            .spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let busy = listening.iter().any(Listening::is_busy);
                    let longest = if busy { BUSY } else { IDLE };
                    let due = interface.poll_delay(Instant::now(), &sockets);
                    let due = due.map_or(longest, |due| longest.min(due.into()));
                    cable.wait(due);
                    interface.poll(Instant::now(), &mut cable, &mut sockets);
                    if let Some(server) = &mut server {
                        server.answer(&mut sockets);
                    }
                    for one in &mut listening {
                        one.accept(&mut interface, &mut sockets);
                        one.pump(&mut sockets);
                    }
                    interface.poll(Instant::now(), &mut cable, &mut sockets);
                }
            })?;
        Ok(Self {
            ports,
            over,
            thread: Some(thread),
        })
    }

    /// The loopback ports, in the order of the ways in.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked is over too.
            let _ = thread.join();
        }
    }
}

/// The highest address of the subnet that neither a node nor a router has.
fn free_address(subnet: IpNet, hosts: &[Host]) -> Option<IpAddr> {
    let taken = |address: &IpAddr| {
        hosts
            .iter()
            .any(|host| host.address == *address || host.router == Some(*address))
    };
    // Among so many one is free, or none is.
    let candidates = hosts.len() * 2 + 1;
    match subnet {
        IpNet::V4(net) => {
            let last = u32::from(net.broadcast());
            let first = u32::from(net.network()) + 1;
            (first..last)
                .rev()
                .take(candidates)
                .map(|address| IpAddr::V4(address.into()))
                .find(|address| !taken(address))
        }
        IpNet::V6(net) => {
            let last = u128::from(net.broadcast());
            let first = u128::from(net.network()) + 1;
            (first..=last)
                .rev()
                .take(candidates)
                .map(|address| IpAddr::V6(address.into()))
                .find(|address| !taken(address))
        }
    }
}

/// All its addresses, each once.
fn cidrs(own: IpAddr, subnet: IpNet, hosts: &[Host], forwards: &[Forward]) -> Vec<IpCidr> {
    let mut all = vec![own];
    all.extend(hosts.iter().filter_map(|host| host.router));
    all.extend(forwards.iter().filter_map(|forward| forward.from));
    let mut seen: Vec<IpAddr> = Vec::new();
    all.retain(|address| {
        let new = !seen.contains(address);
        seen.push(*address);
        new
    });
    let mut cidrs: Vec<IpCidr> = all
        .into_iter()
        .map(|address| {
            let inside = subnet.contains(&address);
            let whole = if address.is_ipv4() { 32 } else { 128 };
            let prefix = if inside { subnet.prefix_len() } else { whole };
            IpCidr::new(address.into(), prefix)
        })
        .collect();
    if own.is_ipv6() {
        cidrs.push(IpCidr::new(LINK_LOCAL.into(), 64));
    }
    cidrs
}

#[cfg(test)]
mod tests;
