//! Which packages a node is made of: `overlays/base/packages.toml`.

use crate::{Board, OverlayError, Overlays};
use imgbuild_base::Arch;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

const FILE: &str = "base/packages.toml";

/// Something a recipe may wish for that takes further packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// A secure shell server.
    Ssh,
    /// etcd in a container, from a pod's manifest.
    StaticPod,
    /// Wi-Fi.
    Wifi,
    /// A firewall.
    Firewall,
    /// A login prompt on the console.
    Login,
    /// A start by a PC's BIOS.
    Bios,
}

impl Feature {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Ssh, Self::Wifi, Self::Firewall, Self::StaticPod];

    /// The name in the overlays' files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::StaticPod => "static-pod",
            Self::Wifi => "wifi",
            Self::Firewall => "firewall",
            Self::Login => "login",
            Self::Bios => "bios",
        }
    }
}

/// Packages to install and packages to leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// What is asked for by name; what those depend on comes with them.
    pub roots: BTreeSet<String>,
    /// What is left out though others depend on it. A name that is also a root stays.
    pub exclude: BTreeSet<String>,
}

/// Why there is no selection.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The overlay is missing or no text.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// It is not the TOML expected.
    #[error("overlays/{FILE}: {0}")]
    Syntax(#[from] toml::de::Error),
    /// The board is not made with that architecture.
    #[error("overlays/{FILE} has no packages for board {board} with architecture {arch}")]
    Board {
        /// The board.
        board: &'static str,
        /// The architecture.
        arch: Arch,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    all: List,
    vm: BTreeMap<Arch, List>,
    raspberry_pi: BTreeMap<Arch, List>,
    feature: BTreeMap<String, List>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    packages: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
}

/// The packages for a board, an architecture and what a recipe wishes for.
///
/// # Errors
/// [`PackagesError`].
pub fn select(
    overlays: &Overlays,
    board: Board,
    arch: Arch,
    features: &BTreeSet<Feature>,
) -> Result<Selection, PackagesError> {
    let file: File = toml::from_str(overlays.text(FILE)?)?;
    let (boards, name) = match board {
        Board::Vm => (&file.vm, "vm"),
        Board::RaspberryPi => (&file.raspberry_pi, "raspberry-pi"),
    };
    let own = boards
        .get(&arch)
        .ok_or(PackagesError::Board { board: name, arch })?;
    let wished = features
        .iter()
        .filter_map(|feature| file.feature.get(feature.key()));
    let mut selection = Selection {
        roots: BTreeSet::new(),
        exclude: BTreeSet::new(),
    };
    for list in [&file.all, own].into_iter().chain(wished) {
        selection.roots.extend(list.packages.iter().cloned());
        selection.exclude.extend(list.exclude.iter().cloned());
    }
    let roots = &selection.roots;
    selection.exclude.retain(|name| !roots.contains(name));
    Ok(selection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_adds_packages_and_lifts_their_cut() {
        let overlays = Overlays::builtin();
        let plain = select(&overlays, Board::Vm, Arch::Amd64, &BTreeSet::new()).unwrap();
        assert!(plain.roots.contains("linux-image-cloud-amd64"));
        assert!(plain.exclude.contains("libsqlite3-0"));
        let ssh = BTreeSet::from([Feature::Ssh]);
        let with = select(&overlays, Board::Vm, Arch::Amd64, &ssh).unwrap();
        assert!(with.roots.contains("openssh-server"));
        assert!(!with.exclude.contains("libsqlite3-0"));
    }

    #[test]
    fn each_board_has_its_architectures() {
        let overlays = Overlays::builtin();
        let found = |board, arch| select(&overlays, board, arch, &BTreeSet::new()).is_ok();
        assert!(found(Board::RaspberryPi, Arch::Armhf));
        assert!(found(Board::RaspberryPi, Arch::Arm64));
        assert!(found(Board::Vm, Arch::Arm64));
        assert!(!found(Board::RaspberryPi, Arch::Amd64));
        assert!(!found(Board::Vm, Arch::Armhf));
    }
}
