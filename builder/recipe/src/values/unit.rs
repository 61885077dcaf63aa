//! Names of systemd's units and of what changes them.

use super::{ValueError, serialize_as_text, wrong};
use std::fmt;
use std::str::FromStr;

serialize_as_text!(UnitName, DropInName);

/// The name of a unit with its type (systemd.unit(5)). A name with `@` directly before the
/// type is a template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(String);

impl UnitName {
    /// The types of units that a file can define.
    pub const TYPES: [&str; 10] = [
        "service",
        "socket",
        "timer",
        "path",
        "mount",
        "automount",
        "swap",
        "target",
        "slice",
        "device",
    ];

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The type: `service`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or_default()
    }

    /// Whether it stands for any number of instances.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.0
            .rsplit_once('.')
            .is_some_and(|(stem, _)| stem.ends_with('@'))
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for UnitName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.' | b'\\' | b'@')
        };
        let whole = text.rsplit_once('.').is_some_and(|(stem, kind)| {
            !stem.is_empty()
                && !stem.starts_with('@')
                && stem.matches('@').count() <= 1
                && Self::TYPES.contains(&kind)
        });
        if whole && text.len() <= 255 && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "the name of a unit with its type, such as backup.service or backup.timer",
            ))
        }
    }
}

/// The name of a drop-in, without the `.conf` that its file gets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DropInName(String);

impl DropInName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DropInName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for DropInName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "the name of a drop-in: up to 64 letters, digits, '-' and '_', without .conf",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::testing::{bad, good};

    #[test]
    fn units_have_a_type() {
        assert!(good::<UnitName>(&[
            "a.service",
            "getty@tty1.service",
            "b@.timer",
            "dev-disk-by\\x2dlabel-x.mount"
        ]));
        assert!(bad::<UnitName>(&[
            "",
            "a",
            ".service",
            "a.scope",
            "@.service",
            "a@b@c.service",
            "x/a.service",
            "a b.service"
        ]));
        let name: UnitName = "b@.timer".parse().unwrap();
        assert_eq!((name.kind(), name.is_template()), ("timer", true));
        assert!(!"b@c.timer".parse::<UnitName>().unwrap().is_template());
    }

    #[test]
    fn drop_ins() {
        assert!(good::<DropInName>(&["limits", "10-more_memory"]));
        assert!(bad::<DropInName>(&["", "a.conf", "a/b", "a b"]));
    }
}
