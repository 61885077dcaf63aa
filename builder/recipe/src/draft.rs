//! A new recipe: the few things that have to be said, the rest as comments.
//!
//! What the comments say of a key, and what holds without it, comes from [`crate::language`].

use crate::language::{
    ACCESS, Absent, CLUSTER, ETCD, IMAGE, NETWORK, NODE, PKI, Section, Shape, WIFI,
};
use crate::resolved::Board;
use crate::values::{Country, HostPath, SshKey, Ssid};
use imgbuild_base::{Arch, ClusterName, NodeName};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use toml::Value;

/// What a new recipe is to say. Whether it all fits together says [`crate::load()`], given
/// [`Draft::text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The cluster's name.
    pub name: ClusterName,
    /// The kind of machine.
    pub board: Board,
    /// Its architecture.
    pub arch: Arch,
    /// Where etcd comes from.
    pub source: Source,
    /// The network.
    pub subnet: IpNet,
    /// Its router.
    pub gateway: Option<IpAddr>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Its wireless part.
    pub wifi: Option<DraftWifi>,
    /// Who may log in.
    pub ssh_keys: Vec<SshKey>,
    /// The nodes.
    pub nodes: Vec<DraftNode>,
}

/// A node of a new recipe. Its text form is `NAME=ADDRESS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftNode {
    /// Its name.
    pub name: NodeName,
    /// Its address.
    pub address: IpAddr,
}

/// A wireless network of a new recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftWifi {
    /// The network's name.
    pub ssid: Ssid,
    /// Where the nodes are.
    pub country: Country,
    /// The file with the passphrase.
    pub passphrase_file: HostPath,
}

/// Where etcd comes from: the words of `etcd.source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Upstream's release archive.
    Release,
    /// Compiled from its modules.
    Build,
    /// Debian's packages.
    Debian,
}

impl Source {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Release, Self::Build, Self::Debian];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Build => "build",
            Self::Debian => "debian",
        }
    }

    /// What a recipe that does not say gets: upstream releases nothing for 32-bit ARM.
    #[must_use]
    pub const fn usual(arch: Arch) -> Self {
        match arch {
            Arch::Armhf => Self::Build,
            Arch::Amd64 | Arch::Arm64 => Self::Release,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text is not `NAME=ADDRESS`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftNodeError {
    /// There is no `=`.
    #[error("{0:?} is not a node: expected NAME=ADDRESS, such as etcd-0=10.0.0.10")]
    NoAddress(String),
    /// What is left of it is no name.
    #[error(transparent)]
    Name(#[from] imgbuild_base::NameError),
    /// What is right of it is no address.
    #[error("{0:?} is not an IP address: expected one such as 10.0.0.10")]
    Address(String),
}

impl FromStr for DraftNode {
    type Err = DraftNodeError;

    fn from_str(text: &str) -> Result<Self, DraftNodeError> {
        let (name, address) = text
            .split_once('=')
            .ok_or_else(|| DraftNodeError::NoAddress(text.to_owned()))?;
        Ok(Self {
            name: name.parse()?,
            address: address
                .parse()
                .map_err(|_| DraftNodeError::Address(address.to_owned()))?,
        })
    }
}

/// So many nodes with usual names, and addresses in the subnet: from `.10` or `::10` on where
/// that leaves room, since routers and reservations are often below; never the gateway's. `None`
/// when the subnet is too small.
#[must_use]
pub fn number_nodes(subnet: IpNet, gateway: Option<IpAddr>, count: u16) -> Option<Vec<DraftNode>> {
    let wanted = usize::from(count);
    // The first address of an IPv6 network is its routers' (RFC 4291 2.6.1); `hosts` leaves out
    // what is no host's in IPv4.
    let (early, routers) = match subnet {
        IpNet::V4(_) => (9, 0),
        IpNet::V6(_) => (16, 1),
    };
    let from = |skipped: usize| -> Vec<IpAddr> {
        let hosts = subnet.hosts().skip(skipped);
        let free = hosts.filter(|address| Some(*address) != gateway);
        free.take(wanted).collect()
    };
    let usual = from(early);
    let addresses = match usual.len() == wanted {
        true => usual,
        false => from(routers),
    };
    if addresses.len() < wanted {
        return None;
    }
    let named = addresses.into_iter().enumerate().map(|(at, address)| {
        let name = format!("etcd-{at}").parse().ok()?;
        Some(DraftNode { name, address })
    });
    named.collect()
}

impl Draft {
    /// The recipe's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut page = Page::default();
        self.head(&mut page);

        page.section(&CLUSTER, "[cluster]");
        page.set("name", self.name.as_str());
        page.comment("token");

        page.section(&IMAGE, "[image]");
        page.set("board", self.board.as_str());
        page.set("arch", self.arch.debian());
        page.comment("size");
        page.comment("packages");
        page.comment("formats");

        page.section(&ETCD, "[etcd]");
        page.set("source", self.source.as_str());
        if self.source != Source::Debian {
            page.comment("version");
        }
        page.comment("quota");
        page.comment("auto_compaction");

        page.section(&PKI, "[pki]");
        page.comment("layout");
        page.comment("leaf_days");

        page.section(&NETWORK, "[network]");
        page.set("subnet", self.subnet.to_string());
        match self.gateway {
            Some(gateway) => page.set("gateway", gateway.to_string()),
            None => {
                let router = self.subnet.hosts().next().unwrap_or(self.subnet.addr());
                page.comment_such_as("gateway", Some(router.to_string().into()));
            }
        }
        match self.dns.is_empty() {
            true => page.comment("dns"),
            false => page.set("dns", texts(&self.dns)),
        }
        page.comment("ntp");
        page.comment("mode");
        if let Some(wifi) = &self.wifi {
            page.section(&WIFI, "[network.wifi]");
            page.set("country", wifi.country.to_string());
            page.set("ssid", wifi.ssid.as_str());
            let file = wifi.passphrase_file.as_path().to_string_lossy();
            page.set("passphrase_file", file.into_owned());
            page.comment("security");
        }

        page.section(&ACCESS, "[access]");
        match self.ssh_keys.is_empty() {
            true => page.comment("ssh_keys"),
            false => page.set("ssh_keys", texts(&self.ssh_keys)),
        }
        page.comment("console");

        for node in &self.nodes {
            page.section(&NODE, "[[node]]");
            page.set("name", node.name.as_str());
            page.set("address", node.address.to_string());
        }
        page.text
    }

    fn head(&self, page: &mut Page) {
        let machine = match self.board {
            Board::Vm => "virtual machine",
            Board::RaspberryPi => "Raspberry Pi",
        };
        let plural = match self.nodes.len() {
            1 => "",
            _ => "s",
        };
        let count = self.nodes.len();
        page.words(&format!("{count} {machine}{plural} ({}).", self.arch));
        page.words("");
        page.words(&format!(
            "`# key = value` is a key that was left out, with the value that then holds or, where \
             the comment says what holds, with an example. `imgbuild reference` has every key, \
             `imgbuild show {}` what holds for each node.",
            self.name
        ));
    }
}

fn texts(values: &[impl ToString]) -> Value {
    values
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .into()
}

/// The text as it grows.
#[derive(Default)]
struct Page {
    text: String,
    section: Option<&'static Section>,
    told: Vec<&'static str>,
}

impl Page {
    const WIDTH: usize = 96;

    /// A comment, in lines of bearable length.
    fn words(&mut self, words: &str) {
        let mut line = "#".to_owned();
        for word in words.split_whitespace() {
            if line.len() + word.len() >= Self::WIDTH {
                self.line(&line);
                line = "#".to_owned();
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Begins a section, with what it is about where it stands first.
    fn section(&mut self, section: &'static Section, header: &str) {
        self.line("");
        if !self.told.contains(&section.name) {
            self.words(section.doc);
            self.told.push(section.name);
        }
        self.line(header);
        self.section = Some(section);
    }

    /// A key that is said.
    fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.line(&format!("{key} = {}", value.into()));
    }

    /// A key that is left out.
    fn comment(&mut self, name: &'static str) {
        self.comment_such_as(name, None);
    }

    /// A key that is left out, with an example that fits better than the language's.
    fn comment_such_as(&mut self, name: &'static str, better: Option<Value>) {
        let Some(key) = self.section.and_then(|section| section.key(name)) else {
            return;
        };
        match key.absent {
            Absent::Default(value) => {
                self.words(key.doc);
                self.line(&format!("# {name} = {value}"));
            }
            Absent::Depends(holds) => {
                self.words(&format!("{} Left out: {holds}.", key.doc));
                if let Some(example) = better.or_else(|| example(&key.shape)) {
                    self.line(&format!("# {name} = {example}"));
                }
            }
            // What must be said is never left out.
            Absent::Mistake => {}
        }
    }
}

/// A value that is right, as TOML.
fn example(shape: &Shape) -> Option<Value> {
    match shape {
        Shape::Text(form) => Some(form.example.into()),
        Shape::List(item) => Some(Value::Array(vec![example(item)?])),
        Shape::Choice(choices) => Some(choices.first()?.name.into()),
        _ => None,
    }
}
