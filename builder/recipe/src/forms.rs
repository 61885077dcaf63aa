//! Forms of strings that only the reader needs: what they hold is a plain type elsewhere.

use crate::values::{ValueError, wrong};
use imgbuild_base::TreePath;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// An IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ip(pub(crate) IpAddr);

impl FromStr for Ip {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse()
            .map(Self)
            .map_err(|_| wrong(text, "an IP address"))
    }
}

/// A network and its prefix length; bits behind the prefix are the reader's to complain about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subnet(pub(crate) IpNet);

impl FromStr for Subnet {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse().map(Self).map_err(|_| {
            wrong(
                text,
                "a subnet: expected a network's address, '/' and its prefix length",
            )
        })
    }
}

/// `off` or an address and port to listen on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listen(pub(crate) Option<SocketAddr>);

impl FromStr for Listen {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "off" => Ok(Self(None)),
            _ => text
                .parse()
                .map(|at| Self(Some(at)))
                .map_err(|_| wrong(text, "\"off\" or an IP address and a port")),
        }
    }
}

/// A path on the node: absolute, of visible ASCII characters that mean nothing special in
/// units, shell scripts and YAML.
#[derive(Clone, Debug)]
pub(crate) struct AbsolutePath(TreePath);

impl AbsolutePath {
    pub(crate) fn tree_path(&self) -> &TreePath {
        &self.0
    }
}

/// Where a file of the user's is on the node: absolute, of visible ASCII characters that no
/// program has to quote.
#[derive(Clone, Debug)]
pub(crate) struct FilePath(pub(crate) TreePath);

impl FromStr for FilePath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-@:,=~".contains(&byte);
        TreePath::new(text)
            .ok()
            .filter(|_| text.starts_with('/') && !text.ends_with('/') && text.bytes().all(plain))
            .map(Self)
            .ok_or_else(|| {
                wrong(
                    text,
                    "an absolute path of a file, without blanks and quotes",
                )
            })
    }
}

impl FromStr for AbsolutePath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte);
        let bad = || {
            wrong(
                text,
                "an absolute path of letters, digits and '/', '.', '_', '+', '-'",
            )
        };
        if !text.starts_with('/') || !text.bytes().all(plain) {
            return Err(bad());
        }
        TreePath::new(text).map(Self).map_err(|_| bad())
    }
}
