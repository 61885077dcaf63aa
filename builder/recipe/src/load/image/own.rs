//! What may differ between the images of nodes: `[image]` and `[node.image]`.

use super::Machine;
use crate::checker::{Found, Given, Reported, Table, mistake};
use crate::load::or;
use crate::resolved::{Board, DiskSize, Firmware, NodeImage};
use imgbuild_base::{Arch, ByteSize, SizeError};
use std::str::FromStr;

/// What the boot partition and a first state partition need beside the reserve, at least.
const SMALLEST: ByteSize = ByteSize::mib(192);
const LARGEST: ByteSize = ByteSize::mib(2 << 20);

/// `fit` or a size.
#[derive(Clone, Copy)]
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

/// The keys as written; those of a node over the cluster's, those of the cluster over defaults.
#[derive(Clone)]
pub(super) struct Written {
    firmware: Given<Firmware>,
    size: Given<SizeText>,
    reserve: Given<ByteSize>,
}

impl Written {
    /// Those of `[image]`.
    pub(super) fn of_cluster(table: &Table<'_>) -> Self {
        let firmware = table.choice("firmware", &Firmware::ALL, Firmware::as_str);
        let reserve = table.text::<ByteSize>("boot_reserve").map(Some);
        Self {
            firmware: firmware.map(Some),
            size: table.given_text("size"),
            reserve: reserve.and_then(|reserve| whole_reserve(table, reserve)),
        }
    }

    /// Those of a node.
    pub(super) fn of_node(table: &Table<'_>) -> Self {
        let reserve = table.given_text::<ByteSize>("boot_reserve");
        Self {
            firmware: table.given_choice("firmware", &Firmware::ALL, Firmware::as_str),
            size: table.given_text("size"),
            reserve: reserve.and_then(|reserve| whole_reserve(table, reserve)),
        }
    }

    /// These, and what they leave out as in `cluster`.
    pub(super) fn over(self, cluster: &Self) -> Self {
        Self {
            firmware: or(self.firmware, &cluster.firmware),
            size: or(self.size, &cluster.size),
            reserve: or(self.reserve, &cluster.reserve),
        }
    }

    /// What they come to on this kind of machine.
    pub(super) fn settle(
        &self,
        table: &Table<'_>,
        machine: &Machine,
    ) -> Result<NodeImage, Reported> {
        self.check_size(table);
        let firmware = self.firmware.clone().and_then(|firmware| match firmware {
            Some(firmware) => check_firmware(table, machine, &firmware),
            None => Ok(Firmware::Uefi),
        });
        let (size, reserve) = (self.size.clone()?, self.reserve.clone()?);
        Ok(NodeImage {
            firmware: firmware?,
            size: match (size, machine.board.value) {
                (Some(size), _) => size.value.0,
                (None, Board::Vm) => DiskSize::Exactly(ByteSize::mib(384)),
                (None, Board::RaspberryPi) => DiskSize::Fit,
            },
            boot_reserve: reserve.map(|found| found.value).unwrap_or_default(),
        })
    }

    /// Complains about a size that has no room for what must be there.
    pub(super) fn check_size(&self, table: &Table<'_>) {
        let (Ok(Some(size)), Ok(Some(reserve))) = (&self.size, &self.reserve) else {
            return;
        };
        let DiskSize::Exactly(bytes) = size.value.0 else {
            return;
        };
        // A node may have the cluster's size, which was looked at there, and a larger reserve.
        let span = table
            .written_at("size")
            .or_else(|| table.written_at("boot_reserve"));
        let Some(span) = span else {
            return;
        };
        let found = Found {
            value: bytes,
            span: span.clone(),
            written: true,
        };
        if whole_mib(table, "size", found).is_err() {
            return;
        }
        let reserve = reserve.value;
        let smallest = ByteSize::bytes(SMALLEST.get() + reserve.get());
        if bytes < smallest {
            let message = format!(
                "`{}`: {bytes} is too small for an image",
                table.path("size")
            );
            table.checker().report(
                mistake(span, message)
                    .label(format!("expected at least {smallest}"))
                    .help(format!(
                        "that is {SMALLEST} for the system and etcd's first data, and the \
                         boot_reserve of {reserve}; images are sparse, so more costs nothing"
                    )),
            );
        }
    }
}

/// Only PCs have a BIOS.
fn check_firmware(
    table: &Table<'_>,
    machine: &Machine,
    firmware: &Found<Firmware>,
) -> Result<Firmware, Reported> {
    let Machine { board, arch } = machine;
    if firmware.value == Firmware::Uefi || (board.value, *arch) == (Board::Vm, Arch::Amd64) {
        return Ok(firmware.value);
    }
    let message = format!(
        "`{}`: no `{}` with an {arch} processor has a BIOS",
        table.path("firmware"),
        board.value
    );
    Err(table.checker().report(
        mistake(firmware.span.clone(), message)
            .label("only for a `vm` with an amd64 processor")
            .also(board.span.clone(), "for this board")
            .help("leave it out: the image starts by the firmware that the board has"),
    ))
}

fn whole_reserve(table: &Table<'_>, reserve: Option<Found<ByteSize>>) -> Given<ByteSize> {
    reserve
        .map(|found| whole_mib(table, "boot_reserve", found))
        .transpose()
}

fn whole_mib(
    table: &Table<'_>,
    key: &str,
    size: Found<ByteSize>,
) -> Result<Found<ByteSize>, Reported> {
    let message = if !size.value.get().is_multiple_of(1 << 20) {
        "is not a whole number of MiB"
    } else if size.value > LARGEST {
        "is more than 2 TiB, which no MBR can describe"
    } else {
        return Ok(size);
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
