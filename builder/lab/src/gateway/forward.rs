//! Connections from a loopback port to a node's port.

use super::Forward;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{self, State};
use smoltcp::time::Duration;
use smoltcp::wire::{IpAddress, IpListenEndpoint};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};

/// Bytes that wait in each direction of a connection.
const BUFFER: usize = 64 << 10;
/// Dynamic ports begin here (RFC 6335 6).
const FIRST_PORT: u16 = 49152;
/// A node that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// A loopback port and the connections that came in through it.
pub(super) struct Listening {
    forward: Forward,
    listener: TcpListener,
    port: u16,
    next: u16,
    open: Vec<Connection>,
}

struct Connection {
    here: TcpStream,
    there: SocketHandle,
    /// Everything from here was read.
    said_all: bool,
    /// Here was told that everything from there was written.
    heard_all: bool,
    broken: bool,
}

impl Listening {
    /// Listens on a loopback port that nobody else has.
    pub(super) fn new(forward: Forward) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            forward,
            port: listener.local_addr()?.port(),
            listener,
            next: FIRST_PORT,
            open: Vec::new(),
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes new connections and begins their other halves.
    pub(super) fn accept(&mut self, interface: &mut Interface, sockets: &mut SocketSet<'_>) {
        while let Ok((here, _)) = self.listener.accept() {
            let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
            let mut socket = tcp::Socket::new(buffer(), buffer());
            socket.set_nagle_enabled(false);
            socket.set_timeout(Some(SILENCE));
            let from = IpListenEndpoint {
                addr: self.forward.from.map(IpAddress::from),
                port: self.next_port(),
            };
            let ready = here.set_nonblocking(true).is_ok() && here.set_nodelay(true).is_ok();
            let begun = socket.connect(interface.context(), self.forward.to, from);
            // One that cannot begin is closed by being dropped.
            if ready && begun.is_ok() {
                self.open.push(Connection {
                    here,
                    there: sockets.add(socket),
                    said_all: false,
                    heard_all: false,
                    broken: false,
                });
            }
        }
    }

    /// A port of this way's own: each node is another peer, so that several may use the same.
    fn next_port(&mut self) -> u16 {
        let port = self.next;
        self.next = self.next.checked_add(1).unwrap_or(FIRST_PORT);
        port
    }

    /// Moves what waits in both directions.
    pub(super) fn pump(&mut self, sockets: &mut SocketSet<'_>) {
        self.open.retain_mut(|connection| {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(connection.there);
            connection.pump(socket);
            let over = !socket.is_open() && !socket.can_recv();
            if over || connection.broken {
                sockets.remove(connection.there);
            }
            !over && !connection.broken
        });
    }
}

impl Connection {
    fn pump(&mut self, socket: &mut tcp::Socket<'_>) {
        while socket.can_recv() && !self.broken {
            let mut stuck = false;
            // An error of the socket shows in its state.
            let _ = socket.recv(|bytes| {
                let tried = self.here.write(bytes);
                (moved(tried, &mut stuck, &mut self.broken), ())
            });
            if stuck {
                break;
            }
        }
        while socket.can_send() && !self.said_all && !self.broken {
            let mut stuck = false;
            let _ = socket.send(|room| {
                let tried = self.here.read(room);
                self.said_all = matches!(tried, Ok(0));
                (moved(tried, &mut stuck, &mut self.broken), ())
            });
            if stuck {
                break;
            }
            if self.said_all {
                socket.close();
            }
        }
        let finished = !socket.may_recv() && !matches!(socket.state(), State::SynSent);
        if finished && !socket.can_recv() && !self.heard_all {
            self.heard_all = true;
            // Who is gone need not be told.
            let _ = self.here.shutdown(Shutdown::Write);
        }
        if self.broken {
            socket.abort();
        }
    }
}

/// How many bytes a try that does not wait has moved. Where it would have waited it is `stuck`,
/// and at any other error the connection is `broken`.
fn moved(tried: io::Result<usize>, stuck: &mut bool, broken: &mut bool) -> usize {
    tried.unwrap_or_else(|error| {
        *stuck = true;
        *broken |= error.kind() != ErrorKind::WouldBlock;
        0
    })
}
