//! `[image]` and `[node.image]`.

mod own;

use crate::checker::{Found, Reported, Table, mistake};
use crate::error::one_of;
use crate::resolved::{Board, Component, Format, Image, NodeImage, Suite};
use crate::values::{MirrorUrl, PackageName};
use imgbuild_base::Arch;
use std::collections::BTreeSet;

/// `[image]`: what is the same for all nodes, and what they inherit.
pub(super) struct ClusterImage {
    pub(super) image: Image,
    own: own::Written,
    machine: Machine,
}

/// What decides which firmware and sizes there are.
struct Machine {
    board: Found<Board>,
    arch: Arch,
}

pub(super) fn read(table: &Table<'_>) -> Result<ClusterImage, Reported> {
    let board = table.choice("board", &Board::ALL, Board::as_str);
    let arch = table.given_choice("arch", &Arch::ALL, Arch::debian);
    let suite = table.choice("suite", &Suite::ALL, Suite::as_str);
    let components = table.given_choices("components", &Component::ALL, Component::as_str);
    let packages = table.texts::<PackageName>("packages");
    let mirrors = table.texts::<MirrorUrl>("mirrors");
    let own = own::Written::of_cluster(table);
    let zstd_level = table.number("zstd_level");
    let formats = table.given_choices("formats", &Format::ALL, Format::as_str);

    let board = match board {
        Ok(board) => board,
        Err(reported) => {
            own.check_size(table);
            return Err(reported);
        }
    };
    let kind = board.value;
    let arch = arch.and_then(|arch| match arch {
        Some(arch) => exists(table, &board, &arch),
        None => Ok(default_arch(board.value)),
    });
    let formats = formats.and_then(|given| match (given, &arch) {
        (Some(given), Ok(arch)) => check_formats(table, &board, *arch, given),
        _ => Ok(vec![Format::Img]),
    });
    let machine = arch.map(|arch| Machine { board, arch });
    // Every node's is settled again with its own; what is wrong for all is told here.
    let shared = match &machine {
        Ok(machine) => own.settle(table, machine),
        Err(reported) => {
            own.check_size(table);
            Err(*reported)
        }
    };
    let components = components.and_then(|given| match given {
        Some(given) => check_components(table, kind, &given),
        None => Ok(default_components(kind)),
    });
    let packages: BTreeSet<PackageName> = packages?.into_iter().map(|found| found.value).collect();
    let machine = machine?;
    shared?;
    let image = Image {
        board: machine.board.value,
        arch: machine.arch,
        suite: suite?.value,
        components: components?.into_iter().collect(),
        mirrors: mirrors?.into_iter().map(|found| found.value).collect(),
        packages: packages.into_iter().collect(),
        zstd_level: zstd_level?.value,
        formats: formats?,
    };
    Ok(ClusterImage {
        image,
        own,
        machine,
    })
}

/// A node's image: what it says, else as `[image]`.
pub(super) fn read_node(
    table: &Table<'_>,
    cluster: Result<&ClusterImage, Reported>,
) -> Result<NodeImage, Reported> {
    let own = own::Written::of_node(table);
    let cluster = cluster?;
    own.over(&cluster.own).settle(table, &cluster.machine)
}

fn default_arch(board: Board) -> Arch {
    match board {
        Board::Vm => Arch::Amd64,
        Board::RaspberryPi => Arch::Arm64,
    }
}

fn default_components(board: Board) -> BTreeSet<Component> {
    match board {
        Board::Vm => [Component::Main].into(),
        Board::RaspberryPi => [Component::Main, Component::NonFreeFirmware].into(),
    }
}

fn exists(table: &Table<'_>, board: &Found<Board>, arch: &Found<Arch>) -> Result<Arch, Reported> {
    let archs = board.value.archs();
    if archs.contains(&arch.value) {
        return Ok(arch.value);
    }
    let message = format!(
        "`image.arch`: there is no `{}` with an {} processor",
        board.value, arch.value
    );
    Err(table.checker().report(
        mistake(arch.span.clone(), message)
            .label(format!(
                "expected {}",
                one_of(archs.iter().map(|arch| arch.debian()))
            ))
            .also(board.span.clone(), "for this board")
            .help(match arch.value {
                Arch::Armhf => "armhf is for 32-bit boards: board = \"raspberry-pi\"",
                Arch::Amd64 => "amd64 is for virtual machines: board = \"vm\"",
                Arch::Arm64 => "both boards can be arm64",
            }),
    ))
}

/// Each format once, in order; without any there would be nothing to build.
fn check_formats(
    table: &Table<'_>,
    board: &Found<Board>,
    arch: Arch,
    given: Found<Vec<Found<Format>>>,
) -> Result<Vec<Format>, Reported> {
    let is_for = |format: &Format| format.is_for(board.value, arch);
    if let Some(other) = given.value.iter().find(|found| !is_for(&found.value)) {
        let message = format!(
            "`image.formats`: {} is not for the board {} with {arch}",
            other.value, board.value
        );
        let words = Format::ALL.into_iter().filter(is_for);
        let help = match board.value {
            Board::Vm => "os-list is for Raspberry Pis, ova for amd64",
            Board::RaspberryPi => {
                "a card is written from the raw image; hypervisors cannot start one"
            }
        };
        return Err(table.checker().report(
            mistake(other.span.clone(), message)
                .label(format!("expected {}", one_of(words.map(Format::as_str))))
                .also(board.span.clone(), "for this board")
                .help(help),
        ));
    }
    let set: BTreeSet<Format> = given.value.iter().map(|found| found.value).collect();
    if set.is_empty() {
        return Err(table.checker().report(
            mistake(
                given.span,
                "`image.formats` is empty: nothing would be built",
            )
            .label("expected at least one format")
            .help(format!(
                "leave it out for [\"img\"], or name {}",
                one_of(Format::ALL.map(Format::as_str).into_iter())
            )),
        ));
    }
    Ok(set.into_iter().collect())
}

fn check_components(
    table: &Table<'_>,
    board: Board,
    given: &Found<Vec<Found<Component>>>,
) -> Result<BTreeSet<Component>, Reported> {
    let set: BTreeSet<Component> = given.value.iter().map(|found| found.value).collect();
    for needed in default_components(board) {
        if !set.contains(&needed) {
            let message =
                format!("`image.components` must have {needed}: the images of `{board}` need it");
            return Err(table.checker().report(
                mistake(given.span.clone(), message)
                    .label(format!("without {needed}"))
                    .help(format!("add \"{needed}\"")),
            ));
        }
    }
    Ok(set)
}
