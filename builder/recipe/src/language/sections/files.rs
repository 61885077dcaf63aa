//! `[[file]]` and `[[node.file]]`.

use super::super::Absent::{Default, Depends, Mistake};
use super::super::forms::{ACCOUNT, CONTENT, FILE_PATH, MODE, SOURCE};
use super::super::{Key, Section, Shape, key};

/// `[[file]]`
pub static FILE: Section = Section {
    name: "file",
    doc: "A file of every node: `content` or `source`, one of them. It is part of the node's \
          layer, so it is as written here again after every reboot. /var, /run, /tmp and /boot \
          cannot hold such files: on a running node other file systems are mounted there.",
    keys: KEYS,
};

/// `[[node.file]]`
pub static NODE_FILE: Section = Section {
    name: "node.file",
    doc: "A file of this node. It takes the place of the cluster's at the same path.",
    keys: KEYS,
};

const KEYS: &[Key] = &[
    key(
        "path",
        Shape::Text(&FILE_PATH),
        Mistake,
        "Where it is on the node. Missing directories are made, root's with mode 0755.",
    )
    .aka(&["name", "dest", "destination", "target", "to"]),
    key(
        "content",
        Shape::Text(&CONTENT),
        Depends("none"),
        "What is in it.",
    )
    .aka(&["text", "contents", "data"]),
    key(
        "source",
        Shape::Text(&SOURCE),
        Depends("none"),
        "The file that it is a copy of, beside the recipe or in a directory there; read at every \
         build, at most 64 MiB. Built-in recipes have none.",
    )
    .aka(&["src", "from", "file"]),
    key(
        "mode",
        Shape::Text(&MODE),
        Default("\"0644\""),
        "Its permissions, in octal digits.",
    )
    .aka(&["permissions", "chmod"]),
    key(
        "user",
        Shape::Text(&ACCOUNT),
        Default("\"root\""),
        "Whose it is: a user of the base system or of a package.",
    )
    .aka(&["owner", "uid"]),
    key(
        "group",
        Shape::Text(&ACCOUNT),
        Default("\"root\""),
        "Which group's it is.",
    )
    .aka(&["gid"]),
    key(
        "replace",
        Shape::Flag,
        Default("false"),
        "Take the place of a file that a Debian package has at this path. Without it such a file \
         is a mistake, found when building.",
    )
    .aka(&["overwrite", "force"]),
];
