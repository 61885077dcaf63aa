//! `[[unit]]` and `[[node.unit]]`.

use super::super::Absent::{Default, Depends, Mistake};
use super::super::forms::{CONTENT, DROP_IN, SOURCE, UNIT as UNIT_NAME};
use super::super::{Key, Section, Shape, key};

/// `[[unit]]`
pub static UNIT: Section = Section {
    name: "unit",
    doc: "A systemd unit of every node: with `content` or `source` it is written, with `drop_in` \
          besides that text is added to a unit that is there, with `mask` a unit that is there \
          is hidden, and with nothing but `enable` it is started.",
    keys: KEYS,
};

/// `[[node.unit]]`
pub static NODE_UNIT: Section = Section {
    name: "node.unit",
    doc: "A systemd unit of this node. It takes the place of the cluster's of the same name, or \
          of the same name and drop-in.",
    keys: KEYS,
};

const KEYS: &[Key] = &[
    key(
        "name",
        Shape::Text(&UNIT_NAME),
        Mistake,
        "The unit, with its type.",
    )
    .aka(&["unit", "id"]),
    key(
        "content",
        Shape::Text(&CONTENT),
        Depends("none"),
        "The unit's or the drop-in's text.",
    )
    .aka(&["text", "contents"]),
    key(
        "source",
        Shape::Text(&SOURCE),
        Depends("none"),
        "The file with that text, beside the recipe or in a directory there.",
    )
    .aka(&["src", "from", "file"]),
    key(
        "drop_in",
        Shape::Text(&DROP_IN),
        Depends("none"),
        "The text is a drop-in of this name for the unit, /etc/systemd/system/UNIT.d/NAME.conf.",
    )
    .aka(&["dropin", "override", "drop-in"]),
    key(
        "enable",
        Shape::Flag,
        Depends("true with `wanted_by`, else false"),
        "Start it with the system, as its own [Install] section says.",
    )
    .aka(&["enabled", "start"]),
    key(
        "wanted_by",
        Shape::List(&Shape::Text(&UNIT_NAME)),
        Depends("what its [Install] section says"),
        "The units that start it, in place of those that its [Install] section names.",
    )
    .aka(&["wantedby", "wanted-by"]),
    key(
        "mask",
        Shape::Flag,
        Default("false"),
        "Hide it: nothing can start it.",
    )
    .aka(&["masked", "disable"]),
    key(
        "replace",
        Shape::Flag,
        Default("false"),
        "Take the place of a unit of that name that a Debian package has.",
    )
    .aka(&["overwrite", "force"]),
];
