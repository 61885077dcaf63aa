//! Boots images together in QEMU on a private network and watches them become a cluster.
//!
//! A [`Lab`] holds one QEMU process a node, one [`switch`] in this process that joins them,
//! and on it a small host of this process's own, the [`gateway`], that forwards each member's
//! client port, and its ssh server's, to loopback, plays the router and answers DHCP. [`health`] asks the members over mutual TLS how they are. Nodes can be killed,
//! started again from their disks, cut off and reconnected; dropping the lab ends every
//! process it started, and so does the end of the process that owns it.
//!
//! Nothing listens outside loopback and unix sockets; no packet leaves the machine.

pub mod accel;
pub mod disk;
pub mod gateway;
pub mod health;
mod lab;
pub mod machine;
mod process;
pub mod switch;
mod watch;

pub use accel::Accelerator;
pub use health::{Health, Probe};
pub use lab::{Lab, LabError, LabNode, LabSpec, NodeStatus, Phase, mac_of};
pub use machine::{Emulation, Machine, MachineKind};
