//! A DHCP server (RFC 2131) that knows each node by its network card and has one address for
//! it: the recipe's.

use super::Host;
use ipnet::IpNet;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::wire::{
    DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress, IpEndpoint,
};
use std::net::{IpAddr, Ipv4Addr};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// The option that names name servers (RFC 2132 3.8).
const NAME_SERVERS: u8 = 6;
/// How long an address is lent, in seconds.
const LEASE: u32 = 24 * 3600;

/// The server.
pub(super) struct Server {
    own: Ipv4Addr,
    mask: Ipv4Addr,
    leases: Vec<(EthernetAddress, Ipv4Addr, Ipv4Addr)>,
    socket: SocketHandle,
}

impl Server {
    /// A server for an IPv4 subnet.
    pub(super) fn new(
        own: IpAddr,
        subnet: IpNet,
        hosts: &[Host],
        sockets: &mut SocketSet<'_>,
    ) -> Option<Self> {
        let (IpAddr::V4(own), IpNet::V4(subnet)) = (own, subnet) else {
            return None;
        };
        let leases = hosts
            .iter()
            .filter_map(|host| match (host.address, host.router) {
                (IpAddr::V4(address), Some(IpAddr::V4(router))) => {
                    Some((EthernetAddress(host.mac), address, router))
                }
                (IpAddr::V4(address), _) => Some((EthernetAddress(host.mac), address, own)),
                _ => None,
            });
        let buffer =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; 16 << 10]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(SERVER_PORT).ok()?;
        Some(Self {
            own,
            mask: subnet.netmask(),
            leases: leases.collect(),
            socket: sockets.add(socket),
        })
    }

    /// Answers what was asked.
    pub(super) fn answer(&mut self, sockets: &mut SocketSet<'_>) {
        let socket = sockets.get_mut::<udp::Socket<'_>>(self.socket);
        while let Ok((question, _)) = socket.recv() {
            let Some(answer) = self.answer_to(question) else {
                continue;
            };
            // Who has no address yet hears broadcasts. A full queue loses the answer, as a wire
            // may; the client asks again.
            let everybody = IpEndpoint::new(Ipv4Addr::BROADCAST.into(), CLIENT_PORT);
            let _ = socket.send_slice(&answer, everybody);
        }
    }

    /// The answer to a packet; none to what is no question or of a stranger.
    fn answer_to(&self, question: &[u8]) -> Option<Vec<u8>> {
        let packet = DhcpPacket::new_checked(question).ok()?;
        let asked = DhcpRepr::parse(&packet).ok()?;
        let (_, address, router) = self
            .leases
            .iter()
            .find(|(mac, ..)| *mac == asked.client_hardware_address)?;
        let other = |asked: Option<Ipv4Addr>| asked.is_some_and(|asked| asked != *address);
        let message_type = match asked.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request
                if other(asked.server_identifier.filter(|id| *id != self.own)) =>
            {
                return None;
            }
            DhcpMessageType::Request if other(asked.requested_ip) => DhcpMessageType::Nak,
            DhcpMessageType::Request => DhcpMessageType::Ack,
            _ => return None,
        };
        let refused = message_type == DhcpMessageType::Nak;
        let servers = [DhcpOption {
            kind: NAME_SERVERS,
            data: &self.own.octets(),
        }];
        let answer = DhcpRepr {
            message_type,
            transaction_id: asked.transaction_id,
            secs: 0,
            client_hardware_address: asked.client_hardware_address,
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip: if refused {
                Ipv4Addr::UNSPECIFIED
            } else {
                *address
            },
            server_ip: self.own,
            router: (!refused).then_some(*router),
            subnet_mask: (!refused).then_some(self.mask),
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: true,
            requested_ip: None,
            client_identifier: asked.client_identifier,
            server_identifier: Some(self.own),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: (!refused).then_some(LEASE),
            renew_duration: None,
            rebind_duration: None,
            additional_options: if refused { &[] } else { &servers },
        };
        let mut bytes = vec![0; answer.buffer_len()];
        let mut packet = DhcpPacket::new_unchecked(&mut bytes);
        answer.emit(&mut packet).ok()?;
        Some(bytes)
    }
}
