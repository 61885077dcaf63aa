//! `[kernel]` and `[node.kernel]`.

use super::super::Absent::Default;
use super::super::forms::{KERNEL_ARG, MODULE, SYSCTL};
use super::super::{Key, Section, Shape, key};

/// `[kernel]`
pub static KERNEL: Section = Section {
    name: "kernel",
    doc: "What the kernel is told.",
    keys: KEYS,
};

/// `[node.kernel]`
pub static NODE_KERNEL: Section = Section {
    name: "node.kernel",
    doc: "What this node's kernel is told, where it differs: a list takes the place of the \
          cluster's, a setting of `sysctl` that of the same name.",
    keys: KEYS,
};

const KEYS: &[Key] = &[
    key(
        "args",
        Shape::List(&Shape::Text(&KERNEL_ARG)),
        Default("[]"),
        "Further words of the kernel's command line, behind the builder's own. What finds and \
         starts the root file system (`root=`, `init=` and their like) is the builder's. On \
         `raspberry-pi` they are in cmdline.txt, on `vm` in the boot file itself.",
    )
    .aka(&[
        "kernel_args",
        "cmdline",
        "command_line",
        "append",
        "parameters",
    ]),
    key(
        "modules",
        Shape::List(&Shape::Text(&MODULE)),
        Default("[]"),
        "Modules to load at boot. Images hold only the modules that nodes need and these, with \
         what they depend on; the kernel's package must have them.",
    )
    .aka(&["module", "load"]),
    key(
        "blacklist",
        Shape::List(&Shape::Text(&MODULE)),
        Default("[]"),
        "Modules that are never loaded, neither for hardware nor by name. Those that the node \
         starts with cannot be among them.",
    )
    .aka(&["denylist", "blocklist", "blacklisted"]),
    key(
        "sysctl",
        Shape::Pairs(&SYSCTL),
        Default("{}"),
        "Settings below /proc/sys, such as `vm.swappiness = 10`, with or without quotes around \
         the name. They come after the builder's and Debian's own.",
    )
    .aka(&["sysctls"]),
];
