//! The built program, its commands and what they write, judged by foreign tools; nothing boots
//! here.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

#[path = "../support/mod.rs"]
mod support;

mod architectures;
mod base_layer;
mod completions;
mod dist;
mod docs;
mod etcd_tls;
mod first_start;
mod flash;
mod formats;
mod init;
mod interruptions;
mod judges;
mod overrides;
mod pipelines;
mod publishing;
mod refusals;
mod releases;
mod reproduce;
mod reproducible;
mod secrets;
mod store;
mod wifi;
