//! smoltcp's network card, plugged into the switch.

use crate::switch::{PortId, Switch};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// The longest frame on an Ethernet without its checksum.
const LONGEST: usize = 1514;

/// A port of the switch, and the frames that came out of it.
pub(super) struct Cable {
    switch: Switch,
    port: PortId,
    frames: Receiver<Arc<[u8]>>,
    inbox: VecDeque<Arc<[u8]>>,
}

impl Cable {
    pub(super) fn plug_into(switch: &Switch) -> io::Result<Self> {
        let (port, frames) = switch.attach();
        Ok(Self {
            switch: switch.clone(),
            port,
            frames,
            inbox: VecDeque::new(),
        })
    }

    /// Waits until a frame is there, so long at most.
    pub(super) fn wait(&mut self, longest: Duration) {
        if self.inbox.is_empty() {
            self.inbox.extend(self.frames.recv_timeout(longest));
        }
        self.inbox.extend(self.frames.try_iter());
    }
}

impl Device for Cable {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming, Outgoing<'_>)> {
        let frame = self.inbox.pop_front()?;
        let answer = Outgoing {
            switch: &self.switch,
            port: self.port,
        };
        Some((Incoming(frame), answer))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing {
            switch: &self.switch,
            port: self.port,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = LONGEST;
        capabilities
    }
}

/// A frame from the switch.
pub(super) struct Incoming(Arc<[u8]>);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

/// Leave to send a frame into the switch.
pub(super) struct Outgoing<'a> {
    switch: &'a Switch,
    port: PortId,
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut frame = vec![0; length];
        let result = write(&mut frame);
        self.switch.inject(self.port, &frame);
        result
    }
}
