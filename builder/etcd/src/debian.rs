//! Debian's packages of etcd: `etcd-server` has etcd and (from Debian 13 on) etcdutl,
//! `etcd-client` has etcdctl, all in `/usr/bin` and linked against the system's libc.

use crate::binaries::{BinariesError, EtcdBinaries, Origin, PROGRAMS};
use imgbuild_base::{Arch, Digest, Tree};
use std::collections::BTreeMap;

/// The packages to install.
pub const PACKAGES: [&str; 2] = ["etcd-server", "etcd-client"];

/// The directory of the programs.
pub const DIRECTORY: &str = "usr/bin";

/// Takes the programs from the tree of the unpacked packages. `packages` are their names with
/// `=version`, and the digests of the package files.
///
/// # Errors
/// [`BinariesError`] when one is missing or for another machine.
pub fn binaries(
    tree: &Tree,
    arch: Arch,
    packages: BTreeMap<String, Digest>,
) -> Result<EtcdBinaries, BinariesError> {
    let programs = PROGRAMS
        .into_iter()
        .filter_map(|name| {
            let bytes = tree.file(&format!("{DIRECTORY}/{name}"))?;
            Some((name.to_owned(), bytes.clone()))
        })
        .collect();
    EtcdBinaries::new(arch, programs, Origin::Debian { packages })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::program;
    use imgbuild_base::{Epoch, Meta, TreePath};

    #[test]
    fn programs_are_found_in_usr_bin() {
        let mut tree = Tree::new();
        for name in PROGRAMS {
            let path = TreePath::new(&format!("usr/bin/{name}")).unwrap();
            let bytes = program(Arch::Armhf, false);
            tree.put_file(path, Meta::root(0o755, Epoch::ZERO), bytes);
        }
        assert!(binaries(&tree, Arch::Armhf, BTreeMap::new()).is_ok());
        tree.remove(&TreePath::new("usr/bin/etcdutl").unwrap());
        let error = binaries(&tree, Arch::Armhf, BTreeMap::new())
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error, BinariesError::Missing("etcdutl"));
    }
}
