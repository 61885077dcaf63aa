use super::*;
use smoltcp::socket::{dhcpv4, tcp};
use smoltcp::wire::Ipv4Cidr;
use std::io::{Read, Write};
use std::net::TcpStream;

const NODE_MAC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];

fn host(address: &str, router: Option<&str>) -> Host {
    Host {
        mac: NODE_MAC,
        address: address.parse().unwrap(),
        router: router.map(|router| router.parse().unwrap()),
    }
}

/// A node of smoltcp's own on the switch: what it does until `done` says so.
fn node(
    switch: &Switch,
    address: Option<IpCidr>,
    sockets: &mut SocketSet<'_>,
    mut done: impl FnMut(&mut Interface, &mut SocketSet<'_>) -> bool,
) {
    let mut cable = Cable::plug_into(switch).unwrap();
    let config = Config::new(HardwareAddress::Ethernet(EthernetAddress(NODE_MAC)));
    let mut interface = Interface::new(config, &mut cable, Instant::now());
    interface.update_ip_addrs(|addresses| {
        if let Some(cidr) = address {
            addresses.push(cidr).unwrap();
            if cidr.address().version() == smoltcp::wire::IpVersion::Ipv6 {
                let own = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 3);
                addresses.push(IpCidr::new(own.into(), 64)).unwrap();
            }
        }
    });
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        cable.wait(Duration::from_millis(2));
        interface.poll(Instant::now(), &mut cable, sockets);
        let over = done(&mut interface, sockets);
        interface.poll(Instant::now(), &mut cable, sockets);
        if over {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "not within 20 s");
    }
}

/// Sends more than the buffers hold through the gateway to a node that sends it back.
fn echo(subnet: &str, address: &str, router: Option<&str>, from: Option<&str>) -> IpAddr {
    let switch = Switch::new();
    let subnet: IpNet = subnet.parse().unwrap();
    let address: IpAddr = address.parse().unwrap();
    let forward = Forward {
        to: SocketAddr::new(address, 2379),
        from: from.map(|from| from.parse().unwrap()),
    };
    let hosts = [host(&address.to_string(), router)];
    let gateway = Gateway::start(&switch, subnet, &hosts, &[forward]).unwrap();
    let port = gateway.ports()[0];
    let sent: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let expected = sent.clone();
    let client = std::thread::spawn(move || {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut reader, mut writer) = (stream.try_clone().unwrap(), stream);
        let writing = std::thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut echoed = Vec::new();
        reader.read_to_end(&mut echoed).unwrap();
        writing.join().unwrap();
        echoed
    });

    let buffer = || tcp::SocketBuffer::new(vec![0; 8192]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.listen(2379).unwrap();
    let mut sockets = SocketSet::new(Vec::new());
    let handle = sockets.add(socket);
    let cidr = IpCidr::new(address.into(), subnet.prefix_len());
    let mut peer = None;
    let mut routed = false;
    node(&switch, Some(cidr), &mut sockets, |interface, sockets| {
        if let (Some(IpAddr::V4(router)), false) = (hosts[0].router, routed) {
            interface
                .routes_mut()
                .add_default_ipv4_route(router)
                .unwrap();
            routed = true;
        }
        let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
        peer = socket.remote_endpoint().map(|end| end.addr.into()).or(peer);
        while socket.can_recv() && socket.can_send() {
            let room = socket.send_capacity() - socket.send_queue();
            let mut bytes = vec![0; room];
            let count = socket.recv_slice(&mut bytes).unwrap();
            socket.send_slice(&bytes[..count]).unwrap();
        }
        // Not yet received and no longer received look alike but for the state.
        if socket.state() == tcp::State::CloseWait && !socket.can_recv() {
            socket.close();
        }
        client.is_finished()
    });
    assert!(
        client.join().unwrap() == expected,
        "not what was sent came back"
    );
    peer.unwrap()
}

#[test]
fn bytes_go_through_over_ipv4_and_ipv6() {
    let peer = echo("10.0.0.0/24", "10.0.0.10", None, None);
    assert_eq!(peer.to_string(), "10.0.0.254");
    let peer = echo("fd00:7::/64", "fd00:7::10", None, None);
    assert_eq!(peer.to_string(), "fd00:7::ffff:ffff:ffff:ffff");
}

#[test]
fn it_comes_as_the_client_that_is_let_in() {
    let peer = echo(
        "10.0.0.0/24",
        "10.0.0.10",
        Some("10.0.0.1"),
        Some("10.9.0.1"),
    );
    assert_eq!(peer.to_string(), "10.9.0.1");
}

#[test]
fn the_reserved_address_is_handed_out() {
    let switch = Switch::new();
    let hosts = [host("192.168.1.20", None)];
    let subnet = "192.168.1.0/24".parse().unwrap();
    let _gateway = Gateway::start(&switch, subnet, &hosts, &[]).unwrap();
    let mut sockets = SocketSet::new(Vec::new());
    let handle = sockets.add(dhcpv4::Socket::new());
    let mut lease = None;
    node(&switch, None, &mut sockets, |_, sockets| {
        let socket = sockets.get_mut::<dhcpv4::Socket<'_>>(handle);
        if let Some(dhcpv4::Event::Configured(config)) = socket.poll() {
            lease = Some((config.address, config.router, config.dns_servers.to_vec()));
        }
        lease.is_some()
    });
    let (address, router, servers) = lease.unwrap();
    assert_eq!(address, Ipv4Cidr::new("192.168.1.20".parse().unwrap(), 24));
    let own: std::net::Ipv4Addr = "192.168.1.254".parse().unwrap();
    assert_eq!((router, servers), (Some(own), vec![own]));
}

#[test]
fn it_takes_a_free_address_from_the_top() {
    let hosts = [
        host("192.168.1.254", Some("192.168.1.253")),
        host("192.168.1.20", None),
    ];
    let free = free_address("192.168.1.0/24".parse().unwrap(), &hosts).unwrap();
    assert_eq!(free.to_string(), "192.168.1.252");
    let full = [host("10.0.0.1", Some("10.0.0.2"))];
    assert_eq!(free_address("10.0.0.0/30".parse().unwrap(), &full), None);
}
