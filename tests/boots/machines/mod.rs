//! One machine: two such tests run side by side.

mod boards;
mod firmware;
mod networks;
mod overlays;
mod power;
mod renewal;
mod ssh;
mod static_pod;
mod system;
