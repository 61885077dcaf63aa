//! What nodes have beyond the base: read once for the cluster, and again with what each node
//! says for itself.

use super::{access, files, kernel, units};
use crate::checker::{Reported, Table};
use crate::resolved::{Access, File, Kernel, System, Unit};
use crate::values::PackageName;
use std::collections::BTreeSet;

/// What all nodes inherit; not what had mistakes.
pub(super) struct ClusterSystem {
    packages: Result<Vec<PackageName>, Reported>,
    kernel: Result<Kernel, Reported>,
    files: Result<Vec<File>, Reported>,
    units: Result<Vec<Unit>, Reported>,
    access: Result<Access, Reported>,
}

impl ClusterSystem {
    /// The cluster's own; `packages` is what `[image]` names.
    pub(super) fn read(root: &Table<'_>, packages: Result<Vec<PackageName>, Reported>) -> Self {
        Self {
            packages,
            kernel: root.table("kernel").and_then(|table| kernel::read(&table)),
            files: root.tables("file").and_then(|tables| files::read(&tables)),
            units: root.tables("unit").and_then(|tables| units::read(&tables)),
            access: root.table("access").and_then(|table| access::read(&table)),
        }
    }

    /// A node's: the cluster's, with what the node's sections say.
    pub(super) fn node(&self, table: &Table<'_>) -> Result<(System, Access), Reported> {
        let packages = table.texts::<PackageName>("packages");
        let kernel = table
            .table("kernel")
            .and_then(|own| kernel::read_node(&own, inherited(&self.kernel)));
        let files = table.tables("file").and_then(|own| files::read(&own));
        let units = table.tables("unit").and_then(|own| units::read(&own));
        let access = table
            .table("access")
            .and_then(|own| access::read_node(&own, inherited(&self.access)));

        let own = packages?.into_iter().map(|found| found.value);
        let shared = inherited(&self.packages)?.iter().cloned();
        let packages: BTreeSet<PackageName> = shared.chain(own).collect();
        let system = System {
            packages: packages.into_iter().collect(),
            kernel: kernel?,
            files: over(inherited(&self.files)?, files?, |one, other| {
                one.path == other.path
            }),
            units: over(inherited(&self.units)?, units?, units::same),
        };
        Ok((system, access?))
    }
}

fn inherited<T>(found: &Result<T, Reported>) -> Result<&T, Reported> {
    found.as_ref().map_err(|&reported| reported)
}

/// The cluster's things with the node's own: one that is `same` takes the other's place.
fn over<T: Clone>(cluster: &[T], own: Vec<T>, same: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let kept = cluster
        .iter()
        .filter(|shared| !own.iter().any(|own| same(own, shared)));
    let mut all: Vec<T> = kept.cloned().collect();
    all.extend(own);
    all
}
