//! One machine, or hardly more: two such tests run side by side.

mod boards;
mod firmware;
mod latecomer;
mod networks;
mod overlays;
mod pod;
mod power;
mod renewal;
mod ssh;
mod system;
