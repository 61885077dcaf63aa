//! Several machines at once: each test has the processors for itself.

mod formats;
mod networks;
mod published;
mod raspberry_pis;
mod virtual_machines;
mod walkthroughs;
