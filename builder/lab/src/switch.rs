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
        let (sender, receiver) = sync_channel(QUEUE);
        let cut = Arc::new(AtomicBool::new(false));
        let id = {
            let mut fabric = self.lock();
            fabric.ports.push(Port {
                sender,
                cut: Arc::clone(&cut),
            });
            PortId(fabric.ports.len() - 1)
        };
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
                    let _ = switch.read_frames(id, stream, &cut);
                    *current.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
            }
        })?;
        Ok(id)
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

    fn read_frames(
        &self,
        from: PortId,
        mut stream: UnixStream,
        cut: &AtomicBool,
    ) -> io::Result<()> {
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length);
            if length > MAX_FRAME {
                return Err(io::Error::other("a frame longer than any QEMU sends"));
            }
            let mut frame = vec![0; length as usize];
            stream.read_exact(&mut frame)?;
            if !cut.load(Ordering::Relaxed) {
                self.forward(from, &frame);
            }
        }
    }

    fn forward(&self, from: PortId, frame: &[u8]) {
        let (Some(to), Some(source)) = (mac(frame, 0), mac(frame, 6)) else {
            return;
        };
        let mut fabric = self.lock();
        fabric.learned.insert(source, from.0);
        let known = fabric.learned.get(&to).copied().filter(|_| to[0] & 1 == 0);
        let shared: Arc<[u8]> = frame.into();
        for (number, port) in fabric.ports.iter().enumerate() {
            let wanted = known.is_none_or(|known| known == number) && number != from.0;
            if wanted && !port.cut.load(Ordering::Relaxed) {
                match port.sender.try_send(Arc::clone(&shared)) {
                    Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
                }
            }
        }
    }
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
