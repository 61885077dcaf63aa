//! A first start of etcd that power did not let finish: what goes before every start and sees to
//! it, from `overlays/etcd/unborn`.
//!
//! etcd makes its write-ahead log first and writes the first entry, which holds the members of the
//! cluster, some time later. Between the two a power cut leaves a member that knows of no
//! cluster; etcd then waits for ever (seen with 3.4.23). The log's form is that of etcd's package
//! `server/storage/wal`.

use crate::layer::{Layer, Owner};
use crate::{ComposeError, unit};
use imgbuild_recipe::resolved::Etcd;

const UNBORN: &str = include_str!("../../../overlays/etcd/unborn");

/// Where the guard is, below the root.
pub const GUARD: &str = "usr/local/lib/imgbuild/etcd-unborn";

/// Adds the guard to a node's layer.
pub(crate) fn add(layer: &mut Layer) -> Result<(), ComposeError> {
    layer.file(GUARD, 0o755, Owner::ROOT, UNBORN)
}

/// What runs before etcd, as `ExecStartPre=` has it.
pub(crate) fn command(etcd: &Etcd) -> Result<String, ComposeError> {
    let mut words = vec![format!("/{GUARD}"), unit::kept(&etcd.data_dir)?];
    if let Some(wal) = &etcd.wal_dir {
        words.push(unit::kept(wal)?);
    }
    Ok(words.join(" "))
}
