//! `[image]`.

use crate::checker::{Found, Reported, Table, mistake};
use crate::error::one_of;
use crate::resolved::{Board, Component, DiskSize, Firmware, Format, Image, Suite};
use crate::values::{MirrorUrl, PackageName};
use imgbuild_base::{Arch, ByteSize, SizeError};
use std::collections::BTreeSet;
use std::str::FromStr;

/// What the boot partition and a first state partition need beside the reserve, at least.
const SMALLEST: ByteSize = ByteSize::mib(192);
const LARGEST: ByteSize = ByteSize::mib(2 << 20);

/// `fit` or a size.
struct SizeText(DiskSize);

impl FromStr for SizeText {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        match text {
            "fit" => Ok(Self(DiskSize::Fit)),
            _ => text.parse().map(|size| Self(DiskSize::Exactly(size))),
        }
    }
}

pub(super) fn read(table: &Table<'_>) -> Result<Image, Reported> {
    let board = table.choice("board", &Board::ALL, Board::as_str);
    let arch = table.given_choice("arch", &Arch::ALL, Arch::debian);
    let suite = table.choice("suite", &Suite::ALL, Suite::as_str);
    let firmware = table.choice("firmware", &Firmware::ALL, Firmware::as_str);
    let components = table.given_choices("components", &Component::ALL, Component::as_str);
    let packages = table.texts::<PackageName>("packages");
    let mirrors = table.texts::<MirrorUrl>("mirrors");
    let size = table.given_text::<SizeText>("size");
    let reserve = table
        .text::<ByteSize>("boot_reserve")
        .and_then(|size| whole_mib(table, "boot_reserve", size));
    let zstd_level = table.number("zstd_level");
    let formats = table.given_choices("formats", &Format::ALL, Format::as_str);

    if let (Ok(Some(size)), Ok(reserve)) = (&size, &reserve) {
        check_size(table, size, *reserve);
    }
    let board = board?;
    let arch = arch.and_then(|arch| match arch {
        Some(arch) => exists(table, &board, &arch),
        None => Ok(default_arch(board.value)),
    });
    let formats = formats.and_then(|given| match (given, &arch) {
        (Some(given), Ok(arch)) => check_formats(table, &board, *arch, given),
        _ => Ok(vec![Format::Img]),
    });
    let firmware = firmware.and_then(|firmware| match &arch {
        Ok(arch) => check_firmware(table, &board, *arch, &firmware),
        Err(_) => Ok(firmware.value),
    });
    let components = components.and_then(|given| match given {
        Some(given) => check_components(table, board.value, &given),
        None => Ok(default_components(board.value)),
    });
    let packages: BTreeSet<PackageName> = packages?.into_iter().map(|found| found.value).collect();
    Ok(Image {
        board: board.value,
        arch: arch?,
        firmware: firmware?,
        suite: suite?.value,
        components: components?.into_iter().collect(),
        mirrors: mirrors?.into_iter().map(|found| found.value).collect(),
        size: match (size?, board.value) {
            (Some(size), _) => size.value.0,
            (None, Board::Vm) => DiskSize::Exactly(ByteSize::mib(384)),
            (None, Board::RaspberryPi) => DiskSize::Fit,
        },
        boot_reserve: reserve?,
        packages: packages.into_iter().collect(),
        zstd_level: zstd_level?.value,
        formats: formats?,
    })
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

/// Only PCs have a BIOS.
fn check_firmware(
    table: &Table<'_>,
    board: &Found<Board>,
    arch: Arch,
    firmware: &Found<Firmware>,
) -> Result<Firmware, Reported> {
    if firmware.value == Firmware::Uefi || (board.value, arch) == (Board::Vm, Arch::Amd64) {
        return Ok(firmware.value);
    }
    let message = format!(
        "`image.firmware`: no `{}` with an {arch} processor has a BIOS",
        board.value
    );
    Err(table.checker().report(
        mistake(firmware.span.clone(), message)
            .label("only for a `vm` with an amd64 processor")
            .also(board.span.clone(), "for this board")
            .help("leave it out: the image starts by the firmware that the board has"),
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

fn whole_mib(table: &Table<'_>, key: &str, size: Found<ByteSize>) -> Result<ByteSize, Reported> {
    let message = if !size.value.get().is_multiple_of(1 << 20) {
        "is not a whole number of MiB"
    } else if size.value > LARGEST {
        "is more than 2 TiB, which no MBR can describe"
    } else {
        return Ok(size.value);
    };
    Err(table.checker().report(
        mistake(
            size.span.clone(),
            format!("`{}`: {} {message}", table.path(key), size.value),
        )
        .label("expected whole MiB, at most 2 TiB")
        .help("for example \"512M\""),
    ))
}

fn check_size(table: &Table<'_>, size: &Found<SizeText>, reserve: ByteSize) {
    let DiskSize::Exactly(bytes) = size.value.0 else {
        return;
    };
    let found = Found {
        value: bytes,
        span: size.span.clone(),
        written: size.written,
    };
    if whole_mib(table, "size", found).is_err() {
        return;
    }
    let smallest = ByteSize::bytes(SMALLEST.get() + reserve.get());
    if bytes < smallest {
        let message = format!("`image.size`: {bytes} is too small for an image");
        table.checker().report(
            mistake(size.span.clone(), message)
                .label(format!("expected at least {smallest}"))
                .help(format!(
                    "that is {SMALLEST} for the system and etcd's first data, and the boot_reserve \
                     of {reserve}; images are sparse, so more costs nothing"
                )),
        );
    }
}
