//! A learning Ethernet switch over unix stream sockets.
//!
//! Each port is a listening unix socket to which one QEMU connects (`-netdev stream`). A frame
//! on the wire is its length as four big-endian bytes, then the frame. A port has a reader
//! thread, which forwards, and a writer thread with a bounded queue: a guest that stops
//! reading loses frames, as on a real wire, and holds up nobody. A port can be cut off and
//! reconnected while everything runs.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// How many bytes a unix socket's path may have (sun_path of unix(7), without its end).
pub const MAX_SOCKET_PATH: usize = 107;
/// The longest frame QEMU sends (64 KiB with offloads, plus headers).
const MAX_FRAME: u32 = 1 << 17;
/// How many frames wait for a slow port before frames are lost.
const QUEUE: usize = 1024;

type Mac = [u8; 6];

struct Port {
    sender: SyncSender<Arc<[u8]>>,
    cut: Arc<AtomicBool>,
    /// The VLAN under which the guest here talks, when it does; the others hear no tag.
    vlan: Option<u16>,
}

#[derive(Default)]
struct Fabric {
    ports: Vec<Port>,
    learned: HashMap<Mac, usize>,
}

/// The switch. Ports stay open until the process ends; closing is the guests' business.
#[derive(Clone, Default)]
pub struct Switch {
    fabric: Arc<Mutex<Fabric>>,
}

/// The number of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortId(usize);

impl Switch {
    /// A switch without ports.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a port that listens at `path`; a guest may connect, leave and connect again.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn listen(&self, path: &Path) -> io::Result<PortId> {
        let listener = UnixListener::bind(path).map_err(|e| {
            io::Error::new(e.kind(), format!("listening at {}: {e}", path.display()))
        })?;
        let (id, receiver) = self.attach();
        let current: Arc<Mutex<Option<UnixStream>>> = Arc::default();
        let writer_stream = Arc::clone(&current);
        spawn(path, "writer", move || {
            write_frames(&receiver, &writer_stream)
        })?;
        let switch = self.clone();
        spawn(path, "reader", move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Ok(writer) = stream.try_clone() {
                    *current.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
                    // An error here is the guest going away; the next one may come.
                    let _ = switch.read_frames(id, stream);
                    *current.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
            }
        })?;
        Ok(id)
    }

    /// Opens a port for this process itself: frames come out of the receiver, and go in with
    /// [`Switch::inject`].
    #[must_use]
    pub fn attach(&self) -> (PortId, Receiver<Arc<[u8]>>) {
        let (sender, receiver) = sync_channel(QUEUE);
        let mut fabric = self.lock();
        fabric.ports.push(Port {
            sender,
            cut: Arc::default(),
            vlan: None,
        });
        (PortId(fabric.ports.len() - 1), receiver)
    }

    /// Takes a frame from the guest at a port.
    pub fn inject(&self, from: PortId, frame: &[u8]) {
        let mut fabric = self.lock();
        let port = &fabric.ports[from.0];
        if port.cut.load(Ordering::Relaxed) {
            return;
        }
        match port.vlan {
            None => fabric.forward(from, frame),
            Some(vlan) => {
                if let Some(frame) = untagged(frame, vlan) {
                    fabric.forward(from, &frame);
                }
            }
        }
    }

    /// The guest at a port talks under a VLAN's tag (IEEE 802.1Q), which the switch takes off
    /// and puts on; what else it says is not for the others.
    pub fn set_vlan(&self, port: PortId, vlan: Option<u16>) {
        self.lock().ports[port.0].vlan = vlan;
    }

    /// Cuts a port off, or reconnects it.
    pub fn set_cut(&self, port: PortId, cut: bool) {
        self.lock().ports[port.0].cut.store(cut, Ordering::Relaxed);
    }

    /// Whether a port is cut off.
    #[must_use]
    pub fn is_cut(&self, port: PortId) -> bool {
        self.lock().ports[port.0].cut.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Fabric> {
        self.fabric.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_frames(&self, from: PortId, mut stream: UnixStream) -> io::Result<()> {
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length);
            if length > MAX_FRAME {
                return Err(io::Error::other("a frame longer than any QEMU sends"));
            }
            let mut frame = vec![0; length as usize];
            stream.read_exact(&mut frame)?;
            self.inject(from, &frame);
        }
    }
}

impl Fabric {
    fn forward(&mut self, from: PortId, frame: &[u8]) {
        let (Some(to), Some(source)) = (mac(frame, 0), mac(frame, 6)) else {
            return;
        };
        self.learned.insert(source, from.0);
        let known = self.learned.get(&to).copied().filter(|_| to[0] & 1 == 0);
        let shared: Arc<[u8]> = frame.into();
        for (number, port) in self.ports.iter().enumerate() {
            let wanted = known.is_none_or(|known| known == number) && number != from.0;
            if wanted && !port.cut.load(Ordering::Relaxed) {
                let frame = match port.vlan {
                    None => Arc::clone(&shared),
                    Some(vlan) => tagged(frame, vlan),
                };
                match port.sender.try_send(frame) {
                    Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
                }
            }
        }
    }
}

/// Where a frame's type or tag is: behind both addresses.
const TYPE: usize = 12;
/// The type that says that a tag follows (IEEE 802.1Q).
const TAG: [u8; 2] = [0x81, 0x00];

/// The frame without the tag of this VLAN; none when it has another or none.
fn untagged(frame: &[u8], vlan: u16) -> Option<Vec<u8>> {
    let (addresses, rest) = frame.split_at_checked(TYPE)?;
    let (tag, rest) = rest.split_at_checked(4)?;
    let [a, b, high, low] = tag.try_into().ok()?;
    // The upper bits are the frame's priority.
    let number = u16::from_be_bytes([high, low]) & 0x0fff;
    ([a, b] == TAG && number == vlan).then(|| [addresses, rest].concat())
}

/// The frame with the tag of this VLAN.
fn tagged(frame: &[u8], vlan: u16) -> Arc<[u8]> {
    let (addresses, rest) = frame.split_at(TYPE.min(frame.len()));
    [addresses, &TAG, &vlan.to_be_bytes(), rest].concat().into()
}

fn mac(frame: &[u8], at: usize) -> Option<Mac> {
    frame.get(at..at + 6)?.try_into().ok()
}

fn spawn(path: &Path, role: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let port = path.file_stem().unwrap_or_default().to_string_lossy();
    std::thread::Builder::new()
        .name(format!("{role} {port}"))
        .spawn(body)
        .map(drop)
}

fn write_frames(frames: &Receiver<Arc<[u8]>>, stream: &Mutex<Option<UnixStream>>) {
    let mut wire = Vec::new();
    for frame in frames {
        let Ok(length) = u32::try_from(frame.len()) else {
            continue;
        };
        wire.clear();
        wire.extend_from_slice(&length.to_be_bytes());
        wire.extend_from_slice(&frame);
        let target = stream
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .and_then(|stream| stream.try_clone().ok());
        if let Some(mut target) = target {
            // A guest that left loses the frame.
            let _ = target.write_all(&wire);
        }
    }
}

/// The socket of a port, below the lab's directory of sockets.
#[must_use]
pub fn socket_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.net"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn frame(to: u8, from: u8, body: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from];
        frame.extend_from_slice(body);
        frame
    }

    fn send(stream: &mut UnixStream, frame: &[u8]) {
        let length = u32::try_from(frame.len()).unwrap();
        stream.write_all(&length.to_be_bytes()).unwrap();
        stream.write_all(frame).unwrap();
    }

    fn receive(stream: &mut UnixStream) -> Option<Vec<u8>> {
        stream
            .set_read_timeout(Some(Duration::from_millis(400)))
            .unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).ok()?;
        Some(frame)
    }

    #[test]
    fn floods_learns_and_cuts() {
        let dir = tempfile::tempdir().unwrap();
        let switch = Switch::new();
        let mut ports = Vec::new();
        let mut guests = Vec::new();
        for name in ["a", "b", "c"] {
            let path = socket_path(dir.path(), name);
            ports.push(switch.listen(&path).unwrap());
            guests.push(UnixStream::connect(&path).unwrap());
        }
        std::thread::sleep(Duration::from_millis(100));
        // Unknown target: everybody else gets it.
        let hello = frame(2, 1, b"hello");
        send(&mut guests[0], &hello);
        assert_eq!(receive(&mut guests[1]), Some(hello.clone()));
        assert_eq!(receive(&mut guests[2]), Some(hello));
        // Learned target: only it does.
        let answer = frame(1, 2, b"answer");
        send(&mut guests[1], &answer);
        assert_eq!(receive(&mut guests[0]), Some(answer.clone()));
        assert_eq!(receive(&mut guests[2]), None);
        // Cut off: nothing goes in or out, until it is reconnected.
        switch.set_cut(ports[0], true);
        send(&mut guests[1], &answer);
        assert_eq!(receive(&mut guests[0]), None);
        send(&mut guests[0], &frame(2, 1, b"lost"));
        assert_eq!(receive(&mut guests[1]), None);
        switch.set_cut(ports[0], false);
        send(&mut guests[1], &answer);
        assert_eq!(receive(&mut guests[0]), Some(answer));
    }

    #[test]
    fn a_tag_is_between_a_guest_and_the_switch_only() {
        let switch = Switch::new();
        let (tagging, seen) = switch.attach();
        let (plain, others) = switch.attach();
        switch.set_vlan(tagging, Some(40));
        let hello = frame(9, 1, b"\x08\x00hello");
        let with_tag = tagged(&hello, 40);
        assert_eq!(with_tag[TYPE..TYPE + 4], [0x81, 0x00, 0, 40]);
        switch.inject(tagging, &with_tag);
        assert_eq!(others.try_recv().unwrap().to_vec(), hello);
        // Without the tag, or with another, it is of another network.
        switch.inject(tagging, &hello);
        switch.inject(tagging, &tagged(&hello, 41));
        assert!(others.try_recv().is_err());
        let answer = frame(1, 9, b"\x08\x00answer");
        switch.inject(plain, &answer);
        assert_eq!(seen.try_recv().unwrap(), tagged(&answer, 40));
    }

    #[test]
    fn a_guest_may_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let switch = Switch::new();
        let (a, b) = (socket_path(dir.path(), "a"), socket_path(dir.path(), "b"));
        switch.listen(&a).unwrap();
        switch.listen(&b).unwrap();
        let mut peer = UnixStream::connect(&b).unwrap();
        drop(UnixStream::connect(&a).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        let mut again = UnixStream::connect(&a).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let hello = frame(9, 1, b"hello");
        send(&mut again, &hello);
        assert_eq!(receive(&mut peer), Some(hello));
    }
}
