//! root's etcdctl on a node works without flags: a wrapper that comes first in root's PATH
//! and knows the member's address and a client certificate, from `overlays/etcd/etcdctl`.
//!
//! A wrapper, not variables in a profile: those reach login shells only (neither
//! `ssh root@node etcdctl …` nor a timer), and etcdctl exits when a flag is given while its
//! variable is set.

use crate::ComposeError;
use crate::config::CLIENT_PORT;
use crate::layer::plain;
use crate::layout::Files;
use crate::template::{Template, overlay};
use imgbuild_recipe::resolved::Node;
use minijinja::context;

const TEMPLATE: Template = overlay!("etcd/etcdctl");

/// Where the wrapper is, below the root: first in root's PATH, absent from other users'.
pub const WRAPPER: &str = "usr/local/sbin/etcdctl";

/// The wrapper for `node`.
///
/// # Errors
/// [`ComposeError::BinDirectory`] when the wrapper would take the place of etcdctl itself.
pub fn wrapper(node: &Node, files: &Files) -> Result<String, ComposeError> {
    let program = node.etcd.bin_dir.join("etcdctl")?;
    if program.as_str() == WRAPPER {
        return Err(ComposeError::BinDirectory(node.etcd.bin_dir.clone()));
    }
    TEMPLATE.render(context! {
        endpoint => node.https(CLIENT_PORT),
        cacert => files.ca,
        cert => files.client_cert,
        key => files.client_key,
        program => plain(&program, "the directory of etcd's binaries")?,
    })
}
