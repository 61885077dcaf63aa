//! `[image]` and `[node.image]`.

use super::super::Absent::{Default, Depends, Mistake};
use super::super::forms::{DISK, MIRROR, PACKAGE, SIZE};
use super::super::{Choice, Key, Section, Shape, choice, key};
use crate::resolved::Format;

const FORMATS: [Choice; Format::ALL.len()] = {
    let mut choices = [const { choice("", "") }; Format::ALL.len()];
    let mut at = 0;
    while at < choices.len() {
        let format = Format::ALL[at];
        choices[at] = choice(format.as_str(), format.about());
        at += 1;
    }
    choices
};

/// `[image]`
pub static IMAGE: Section = Section {
    name: "image",
    doc: "What the images are made of.",
    keys: &[
        key(
            "board",
            Shape::Choice(&[
                choice("vm", "a virtual machine: UEFI, GPT; amd64 or arm64"),
                choice(
                    "raspberry-pi",
                    "a Raspberry Pi: SD card with MBR; armhf (Pi 2, 3, Zero 2 W) or arm64 \
                     (Pi 3, 4, Zero 2 W, CM4)",
                ),
            ]),
            Mistake,
            "The kind of machine.",
        )
        .alone("the base system is made and locked for one kind of machine")
        .aka(&["machine", "platform", "target"]),
        key(
            "arch",
            Shape::Choice(&[
                choice("amd64", "64-bit x86"),
                choice("arm64", "64-bit ARM"),
                choice("armhf", "32-bit ARM, ARMv7 and up"),
            ]),
            Depends("amd64 for `vm`, arm64 for `raspberry-pi`"),
            "The machine's architecture, by Debian's name.",
        )
        .alone("packages and etcd are locked for one architecture")
        .aka(&["architecture", "cpu"]),
        FIRMWARE,
        key(
            "suite",
            Shape::Choice(&[choice("trixie", "Debian 13")]),
            Default("\"trixie\""),
            "Debian's suite.",
        )
        .alone("the lock resolves all packages of one release of Debian together")
        .aka(&["release", "distribution", "codename"]),
        key(
            "components",
            Shape::List(&Shape::Choice(&[
                choice("main", "Debian itself"),
                choice("contrib", "free, but needs what is not"),
                choice("non-free", "not free"),
                choice("non-free-firmware", "firmware that is not free"),
            ])),
            Depends("main; on `raspberry-pi` non-free-firmware too, which holds its firmware"),
            "Components of Debian's archive to take packages from.",
        )
        .alone("all nodes' packages are resolved from the same archive"),
        key(
            "packages",
            Shape::List(&Shape::Text(&PACKAGE)),
            Default("[]"),
            "Further Debian packages for every node, with what they depend on.",
        ),
        key(
            "mirrors",
            Shape::List(&Shape::Text(&MIRROR)),
            Default("[]"),
            "Debian mirrors to try first. Any mirror will do: only hashes are trusted.",
        )
        .alone("the builder fetches, once for all nodes; a node knows no mirror")
        .aka(&["mirror"]),
        SIZE_KEY,
        BOOT_RESERVE,
        key(
            "zstd_level",
            Shape::Integer { min: 1, max: 22 },
            Default("9"),
            "How hard layers are compressed. Above 9 takes far longer for hardly less.",
        )
        .alone("it is about the layers that nodes share")
        .aka(&["compression", "compression_level"]),
        key(
            "formats",
            Shape::List(&Shape::Choice(&FORMATS)),
            Default("[\"img\"]"),
            "What is written; `--format` takes its place.",
        )
        .alone("a build writes all its nodes alike; `--node` and `--format` write some otherwise")
        .aka(&["format", "output", "outputs"]),
    ],
};

const FIRMWARE: Key = key(
    "firmware",
    Shape::Choice(&[
        choice("uefi", "UEFI; the Raspberry Pi's own, on a Raspberry Pi"),
        choice(
            "hybrid",
            "UEFI and a PC's BIOS: one image starts by either; only amd64",
        ),
    ]),
    Default("\"uefi\""),
    "The firmware that starts the images. `hybrid` takes one more package, GRUB, and \
     adds about 130 KiB to an image.",
)
.aka(&["bios", "boot", "bootloader"]);
const SIZE_KEY: Key = key(
    "size",
    Shape::Text(&DISK),
    Depends("384M for `vm`, fit for `raspberry-pi`"),
    "Size of the image file in whole MiB. What the boot partition leaves becomes the \
     state partition on first boot, which also fills any space the medium has beyond \
     the image: enlarge a VM's disk before its first start to give etcd more room. \
     `fit`: only the boot partition, for cards.",
)
.aka(&["disk_size", "disk"]);
const BOOT_RESERVE: Key = key(
    "boot_reserve",
    Shape::Text(&SIZE),
    Default("\"64M\""),
    "Room left free on the boot partition for newer layers, in whole MiB.",
);

/// `[node.image]`
pub static NODE_IMAGE: Section = Section {
    name: "node.image",
    doc: "This node's image, where it differs.",
    keys: &[
        FIRMWARE.of_node(AS_CLUSTER),
        SIZE_KEY.of_node(AS_CLUSTER),
        BOOT_RESERVE.of_node(AS_CLUSTER),
    ],
};

const AS_CLUSTER: &str = "as in `[image]`";
