//! What the kernel is told: parameters, modules, settings.

use super::{ValueError, serialize_as_text, wrong};
use std::fmt;
use std::str::FromStr;

serialize_as_text!(KernelArg, ModuleName, SysctlName, SysctlValue);

/// A word of the kernel's command line: visible ASCII without quotes, at most 256 bytes. The
/// whole line holds 2048 on every architecture here (COMMAND_LINE_SIZE).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelArg(String);

impl KernelArg {
    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first `=`.
    #[must_use]
    pub fn key(&self) -> &str {
        self.0.split('=').next().unwrap_or_default()
    }
}

impl fmt::Display for KernelArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for KernelArg {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'');
        if (1..=256).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "one kernel parameter: visible ASCII without blanks and quotes, such as \
                 \"mitigations=auto\"",
            ))
        }
    }
}

/// The name of a kernel module. Hyphens and underscores are the same to the kernel; the name
/// has underscores, however it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleName(String);

impl ModuleName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ModuleName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if (1..=56).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.replace('-', "_")))
        } else {
            Err(wrong(
                text,
                "the name of a kernel module: letters, digits, '_' and '-', without .ko",
            ))
        }
    }
}

/// The name of a kernel setting, a path below /proc/sys (sysctl.d(5)). Separators are dots; a
/// slash stands for a dot inside a component, as in `net.ipv4.conf.eth0/100.forwarding`. A
/// name written with slashes between its components is turned into that form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SysctlName(String);

impl SysctlName {
    /// The directories of /proc/sys on Debian's kernels.
    pub const ROOTS: [&str; 10] = [
        "abi", "crypto", "debug", "dev", "fs", "kernel", "net", "sunrpc", "user", "vm",
    ];

    /// The name as sysctl.d(5) has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SysctlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for SysctlName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let slashes = text
            .find(['.', '/'])
            .is_some_and(|at| text[at..].starts_with('/'));
        let swapped: String = match slashes {
            true => text
                .chars()
                .map(|c| match c {
                    '/' => '.',
                    '.' => '/',
                    c => c,
                })
                .collect(),
            false => text.to_owned(),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/');
        let mut parts = swapped.split('.');
        let known = parts.next().is_some_and(|root| Self::ROOTS.contains(&root));
        let rest: Vec<&str> = parts.collect();
        let whole = rest
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(plain));
        if known && whole && !rest.is_empty() && text.len() <= 256 {
            Ok(Self(swapped))
        } else {
            Err(wrong(
                text,
                "a kernel setting: expected a name below /proc/sys that begins with one of abi, \
                 crypto, debug, dev, fs, kernel, net, sunrpc, user and vm, such as vm.swappiness",
            ))
        }
    }
}

/// What a kernel setting is set to: one line of 1 to 1024 visible characters and blanks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SysctlValue(String);

impl SysctlValue {
    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SysctlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for SysctlValue {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |c: char| c == ' ' || c == '\t' || c.is_ascii_graphic();
        let value = text.trim();
        if (1..=1024).contains(&value.len()) && text.chars().all(plain) {
            Ok(Self(value.to_owned()))
        } else {
            Err(wrong(text, "a setting's value: one line of visible ASCII"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::testing::{bad, good};

    #[test]
    fn kernel_parameters() {
        assert!(good::<KernelArg>(&[
            "nosmt",
            "mitigations=auto,nosmt",
            "a.b=c=d"
        ]));
        assert!(bad::<KernelArg>(&[
            "",
            "a b",
            "a=\"b\"",
            "ä",
            &"x".repeat(257)
        ]));
        assert_eq!("a=b=c".parse::<KernelArg>().unwrap().key(), "a");
    }

    #[test]
    fn modules_are_compared_with_underscores() {
        let name: ModuleName = "hid-generic".parse().unwrap();
        assert_eq!(name.as_str(), "hid_generic");
        assert!(bad::<ModuleName>(&["", "a.ko", "a b", "drivers/a"]));
    }

    #[test]
    fn settings() {
        let name = |text: &str| text.parse::<SysctlName>().map(|name| name.to_string());
        assert_eq!(name("vm.swappiness").unwrap(), "vm.swappiness");
        assert_eq!(
            name("net/ipv4/conf/eth0.100/forwarding").unwrap(),
            "net.ipv4.conf.eth0/100.forwarding"
        );
        assert!(bad::<SysctlName>(&[
            "",
            "vm",
            "vm.",
            "virtual.x",
            "vm..x",
            "vm.a b",
            ".vm.x"
        ]));
        assert_eq!(
            " 1 2\t3 ".parse::<SysctlValue>().unwrap().as_str(),
            "1 2\t3"
        );
        assert!(bad::<SysctlValue>(&["", " ", "a\nb"]));
    }
}
