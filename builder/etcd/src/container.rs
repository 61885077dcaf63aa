//! etcd's programs as a container image, with the small image that holds a pod together.
//!
//! Both are made here, so that a node asks no registry. The programs need nothing but the
//! kernel, so that the image has nothing but them; Debian's, which need Debian's libraries,
//! cannot be in it.

use crate::binaries::EtcdBinaries;
use crate::elf::{self, ElfError};
use bytes::Bytes;
use imgbuild_base::{Arch, Epoch, Meta, PathError, Tree, TreePath};
use imgbuild_formats::oci::{self, Image, OciError, Reference, ReferenceError};

/// The directory of images that come with the system, as distributions have it; storage.conf
/// names it.
pub const STORE: &str = "usr/lib/containers/storage";

/// The directory above [`STORE`], in which there is nothing else.
pub const STORE_HOME: &str = "usr/lib/containers";

/// The image that holds a pod together; containers.conf names it.
pub const PAUSE: &str = "localhost/pause:1";

/// The Debian package whose program does nothing but wait and reap, and where it is.
pub const PAUSE_PACKAGE: &str = "catatonit";
/// The program of [`PAUSE_PACKAGE`].
pub const PAUSE_PROGRAM: &str = "usr/bin/catatonit";

/// Where the programs are in etcd's image.
const BIN: &str = "usr/local/bin";

/// Why there are no images.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// A program needs libraries that the image has not got.
    #[error(
        "{0} is not statically linked: a container of etcd needs source = \"build\" or \"release\""
    )]
    Dynamic(String),
    /// It is no program.
    #[error("{0}: {1}")]
    Elf(String, ElfError),
    /// It is for another machine.
    #[error("{program} is for {found}, expected {expected}")]
    Arch {
        /// Which.
        program: String,
        /// What it should be for.
        expected: Arch,
        /// What it is for.
        found: Arch,
    },
    /// A path that cannot exist.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A name that cannot be.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// An image cannot be made.
    #[error(transparent)]
    Image(#[from] OciError),
}

/// The store with etcd's image, called `name`, and the one around `pause`, the program that
/// waits.
///
/// # Errors
/// [`ContainerError`].
pub fn store(
    binaries: &EtcdBinaries,
    pause: &Bytes,
    name: Reference,
    epoch: Epoch,
) -> Result<Tree, ContainerError> {
    let arch = binaries.arch();
    let mut root = Tree::new();
    for (program, bytes) in binaries.iter() {
        standalone(program, bytes, arch)?;
        let path = TreePath::new(BIN)?.join(program)?;
        root.put_file(path, Meta::root(0o755, epoch), bytes.clone());
    }
    standalone(PAUSE_PACKAGE, pause, arch)?;
    let mut waiting = Tree::new();
    let path = TreePath::new("pause")?;
    waiting.put_file(path, Meta::root(0o755, epoch), pause.clone());
    let image = |name, root, entrypoint: &[&str]| Image {
        name,
        arch,
        created: epoch,
        root,
        entrypoint: entrypoint.iter().map(|&word| word.to_owned()).collect(),
        environment: vec![format!("PATH=/{BIN}")],
    };
    let images = [
        image(name, root, &["/usr/local/bin/etcd"]),
        // catatonit -P only waits, and reaps what it is left with.
        image(PAUSE.parse()?, waiting, &["/pause", "-P"]),
    ];
    Ok(oci::store(&images, &TreePath::new(STORE)?, epoch)?)
}

fn standalone(program: &str, bytes: &Bytes, expected: Arch) -> Result<(), ContainerError> {
    let name = || program.to_owned();
    let found = elf::inspect(bytes).map_err(|error| ContainerError::Elf(name(), error))?;
    if !found.is_static {
        return Err(ContainerError::Dynamic(name()));
    }
    if found.arch != expected {
        return Err(ContainerError::Arch {
            program: name(),
            expected,
            found: found.arch,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binaries::{Origin, PROGRAMS};
    use crate::elf::tests::program;
    use std::collections::BTreeMap;

    fn binaries(is_static: bool) -> EtcdBinaries {
        let programs = PROGRAMS
            .into_iter()
            .map(|name| (name.to_owned(), program(Arch::Arm64, is_static).into()))
            .collect();
        let packages = BTreeMap::new();
        EtcdBinaries::new(Arch::Arm64, programs, Origin::Debian { packages }).unwrap()
    }

    fn made(is_static: bool, pause: Arch) -> Result<Tree, ContainerError> {
        let pause = program(pause, true).into();
        let name = "localhost/etcd:3.6.16".parse().unwrap();
        store(&binaries(is_static), &pause, name, Epoch::ZERO)
    }

    #[test]
    fn both_images_are_in_the_store() {
        let tree = made(true, Arch::Arm64).unwrap();
        let index = tree.file(&format!("{STORE}/overlay-images/images.json"));
        let index: serde_json::Value = serde_json::from_slice(index.unwrap()).unwrap();
        assert_eq!(index[0]["names"][0], "localhost/etcd:3.6.16");
        assert_eq!(index[1]["names"][0], PAUSE);
        let files = |name: &str| tree.iter().filter(|(path, _)| path.name() == name).count();
        assert_eq!((files("etcd"), files("etcdutl"), files("pause")), (1, 1, 1));
    }

    #[test]
    fn programs_must_stand_alone() {
        let error = made(false, Arch::Arm64).unwrap_err();
        assert!(matches!(error, ContainerError::Dynamic(_)), "{error}");
        let error = made(true, Arch::Amd64).unwrap_err();
        assert!(matches!(error, ContainerError::Arch { .. }), "{error}");
    }

    /// What podman is configured with on a node, and what is made here, have the same names.
    #[test]
    fn configuration_names_what_is_made() {
        let containers = include_str!("../../../overlays/etcd/containers.conf");
        assert!(containers.contains(&format!("infra_image = \"{PAUSE}\"")));
        let storage = include_str!("../../../overlays/etcd/storage.conf");
        assert!(storage.contains(&format!("additionalimagestores = [\"/{STORE}\"]")));
    }
}
