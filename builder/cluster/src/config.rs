//! etcd's settings for one node, in each of the three ways etcd takes them.
//!
//! The settings are collected once, as a list in the order a person would read them, and then
//! written as `--flags`, as an environment file or as a YAML file: the three always say the
//! same. The recipe's own options come last, or in the place of a setting of that name. Nothing
//! in etcd is secure by default, so authentication by certificate is asked for on both sides.
//! What is set without being asked for is known to 3.5, 3.6 and 3.7.

use crate::ComposeError;
use crate::layer::plain;
use crate::layout::Files;
use crate::quote;
use imgbuild_recipe::Recipe;
use imgbuild_recipe::etcd_options::{self, Kind, OptionValue, Place};
use imgbuild_recipe::resolved::{ConfigStyle, Etcd, Node};
use imgbuild_recipe::values::{AdvertisedUrl, AutoCompaction, ListenAddress};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

/// The port clients use (IANA: etcd-client).
pub const CLIENT_PORT: u16 = 2379;
/// The port members use among themselves (IANA: etcd-server).
pub const PEER_PORT: u16 = 2380;

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Number(u64),
    /// A switch.
    Flag(bool),
    /// A length of time.
    Duration {
        /// As Go writes it: `300ms`.
        text: String,
        /// The same, in nanoseconds.
        nanoseconds: u64,
    },
    /// Several texts.
    List(Vec<String>),
}

impl From<&OptionValue> for Value {
    fn from(value: &OptionValue) -> Self {
        match value {
            OptionValue::Flag(flag) => Self::Flag(*flag),
            OptionValue::Number(number) => Self::Number(*number),
            OptionValue::Text(text) => Self::Text(text.clone()),
            OptionValue::Duration { text, nanoseconds } => Self::Duration {
                text: text.clone(),
                nanoseconds: *nanoseconds,
            },
            OptionValue::List(texts) => Self::List(texts.clone()),
        }
    }
}

impl Value {
    /// As a flag or a variable has it.
    #[must_use]
    pub fn plain(&self) -> String {
        match self {
            Self::Text(text) | Self::Duration { text, .. } => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(texts) => texts.join(","),
        }
    }
}

/// One setting under the name of its flag, without dashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As in `--name=…`.
    pub name: &'static str,
    /// What it is set to.
    pub value: Value,
}

/// The settings of `node`, whose certificates are in `files`.
///
/// # Errors
/// [`ComposeError::Path`] when the data directory would need quoting.
pub fn settings(recipe: &Recipe, node: &Node, files: &Files) -> Result<Vec<Setting>, ComposeError> {
    let text = |name, value: &str| Setting {
        name,
        value: Value::Text(value.to_owned()),
    };
    let number = |name, value| Setting {
        name,
        value: Value::Number(value),
    };
    let yes = |name| Setting {
        name,
        value: Value::Flag(true),
    };
    let members: Vec<String> = recipe
        .nodes
        .iter()
        .flat_map(|node| peer_urls(node).map(move |url| format!("{}={url}", node.name)))
        .collect();
    let tuning = &node.tuning;
    let mut settings = vec![
        text("name", node.name.as_str()),
        text(
            "data-dir",
            &plain(&node.etcd.data_dir, "the data directory")?,
        ),
        text("listen-peer-urls", &peer_listeners(node)),
        text("listen-client-urls", &client_listeners(node)),
        text("initial-advertise-peer-urls", &join(peer_urls(node))),
        text("advertise-client-urls", &join(client_urls(node))),
        text("initial-cluster", &members.join(",")),
        text("initial-cluster-token", recipe.cluster.token.as_str()),
        text("initial-cluster-state", "new"),
        yes("strict-reconfig-check"),
        text("cert-file", &files.server_cert),
        text("key-file", &files.server_key),
        text("trusted-ca-file", &files.ca),
        yes("client-cert-auth"),
        text("peer-cert-file", &files.peer_cert),
        text("peer-key-file", &files.peer_key),
        text("peer-trusted-ca-file", &files.ca),
        yes("peer-client-cert-auth"),
        number("heartbeat-interval", u64::from(tuning.heartbeat_ms)),
        number("election-timeout", u64::from(tuning.election_ms)),
        number("snapshot-count", tuning.snapshot_count),
        number("quota-backend-bytes", tuning.quota.get()),
    ];
    match tuning.auto_compaction {
        AutoCompaction::Off => {}
        AutoCompaction::Periodic { minutes } => settings.extend([
            text("auto-compaction-mode", "periodic"),
            text("auto-compaction-retention", &format!("{minutes}m")),
        ]),
        AutoCompaction::Revisions { count } => settings.extend([
            text("auto-compaction-mode", "revision"),
            text("auto-compaction-retention", &count.to_string()),
        ]),
    }
    let metrics = tuning.listeners.metrics.iter().map(|at| at.socket());
    let metrics: Vec<String> = (tuning.metrics.into_iter().chain(metrics))
        .map(|at| format!("http://{at}"))
        .collect();
    if !metrics.is_empty() {
        settings.push(text("listen-metrics-urls", &metrics.join(",")));
    }
    settings.push(text("log-level", tuning.log_level.as_str()));
    if let Some(dir) = &node.etcd.wal_dir {
        let dir = plain(dir, "the directory of the write-ahead log")?;
        settings.push(text("wal-dir", &dir));
    }
    for (&name, value) in &tuning.options {
        let value = Value::from(value);
        match settings.iter_mut().find(|setting| setting.name == name) {
            Some(setting) => setting.value = value,
            None => settings.push(Setting { name, value }),
        }
    }
    Ok(settings)
}

fn join(urls: impl Iterator<Item = String>) -> String {
    urls.collect::<Vec<_>>().join(",")
}

/// The URLs that clients of `node` are told to use; at least one.
pub fn client_urls(node: &Node) -> impl Iterator<Item = String> {
    urls(&node.advertised.client, node, CLIENT_PORT)
}

/// The URLs that members are told to use for `node`; at least one.
pub fn peer_urls(node: &Node) -> impl Iterator<Item = String> {
    urls(&node.advertised.peer, node, PEER_PORT)
}

fn urls(told: &[AdvertisedUrl], node: &Node, port: u16) -> impl Iterator<Item = String> {
    let own = told.is_empty().then(|| node.https(port));
    told.iter().map(ToString::to_string).chain(own)
}

fn peer_listeners(node: &Node) -> String {
    let usual = [("https", SocketAddr::new(node.address, PEER_PORT))];
    listeners(&usual, &node.tuning.listeners.peer)
}

fn client_listeners(node: &Node) -> String {
    let local = if node.etcd.plain_local_listener {
        "http"
    } else {
        "https"
    };
    let usual = [
        ("https", SocketAddr::new(node.address, CLIENT_PORT)),
        (local, SocketAddr::from((Ipv4Addr::LOCALHOST, CLIENT_PORT))),
    ];
    listeners(&usual, &node.tuning.listeners.client)
}

/// The usual listeners, without those that a further one covers, then the further ones.
fn listeners(usual: &[(&str, SocketAddr)], further: &[ListenAddress]) -> String {
    let usual = usual
        .iter()
        .filter(|(_, at)| !further.iter().any(|further| further.covers(*at)))
        .map(|(scheme, at)| format!("{scheme}://{at}"));
    let mut urls: Vec<String> = usual.collect();
    for url in further.iter().map(|at| format!("https://{at}")) {
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    urls.join(",")
}

/// Settings as they are written in one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The file that holds them: path below the root and text.
    pub file: Option<(String, String)>,
    /// What follows the program's name, each argument as etcd gets it.
    pub arguments: Vec<String>,
    /// The file the unit takes its environment from.
    pub environment_file: Option<String>,
}

/// Writes `settings` as `etcd` says.
///
/// # Errors
/// [`ComposeError::Path`] when the file's path would need quoting.
pub fn render(etcd: &Etcd, settings: &[Setting]) -> Result<Rendered, ComposeError> {
    let (text, path) = match (etcd.config, &etcd.config_path) {
        (ConfigStyle::Flags, _) | (_, None) => {
            return Ok(Rendered {
                file: None,
                arguments: settings.iter().map(flag).collect(),
                environment_file: None,
            });
        }
        (ConfigStyle::File, Some(path)) => (yaml(settings), path),
        (ConfigStyle::Environment, Some(path)) => (environment(settings), path),
    };
    let absolute = plain(path, "the file of etcd's configuration")?;
    let in_environment = etcd.config == ConfigStyle::Environment;
    Ok(Rendered {
        file: Some((path.to_string(), text)),
        arguments: (!in_environment)
            .then(|| format!("--config-file={absolute}"))
            .into_iter()
            .collect(),
        environment_file: in_environment.then_some(absolute),
    })
}

fn flag(setting: &Setting) -> String {
    match &setting.value {
        Value::Flag(true) => format!("--{}", setting.name),
        value => format!("--{}={}", setting.name, value.plain()),
    }
}

/// `ETCD_*` variables, one a line.
fn environment(settings: &[Setting]) -> String {
    let mut out = String::from("# etcd's settings; see etcd --help for each.\n");
    for setting in settings {
        let name = setting.name.to_ascii_uppercase().replace('-', "_");
        let value = quote::environment_file(&setting.value.plain());
        // Writing to a string cannot fail.
        let _ = writeln!(out, "ETCD_{name}={value}");
    }
    out
}

/// Where the YAML file has a setting: in a section under another name, or as its flag.
fn place(name: &'static str) -> (Option<&'static str>, &'static str) {
    match etcd_options::find(name).map(|option| option.place) {
        Some(Place::In(section, inner)) => (Some(section), inner),
        Some(Place::Named(other)) => (None, other),
        Some(Place::Top | Place::Nowhere) | None => (None, name),
    }
}

/// YAML with every text quoted, so that a member may be called `1e3` or `null`. A section
/// stands where its first setting does, and holds all of them.
fn yaml(settings: &[Setting]) -> String {
    let mut out = String::from("# etcd's settings; see etcd --help for each.\n");
    let mut done: Vec<&str> = Vec::new();
    for setting in settings {
        let (within, name) = place(setting.name);
        let Some(section) = within else {
            line(&mut out, "", name, setting);
            continue;
        };
        if done.contains(&section) {
            continue;
        }
        done.push(section);
        let _ = writeln!(out, "{section}:");
        for setting in settings {
            let (within, name) = place(setting.name);
            if within == Some(section) {
                line(&mut out, "  ", name, setting);
            }
        }
    }
    out
}

/// One setting of the YAML file: lengths of time in nanoseconds, and lists as sequences where
/// etcd does not split them itself.
fn line(out: &mut String, indent: &str, name: &str, setting: &Setting) {
    let sequence = etcd_options::find(setting.name).is_some_and(|known| known.kind == Kind::List);
    let value = match &setting.value {
        Value::Text(text) => quote::yaml(text),
        Value::Number(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Duration { text, nanoseconds } => format!("{nanoseconds} # {text}"),
        Value::List(texts) if sequence => {
            let texts: Vec<String> = texts.iter().map(|text| quote::yaml(text)).collect();
            format!("[{}]", texts.join(", "))
        }
        Value::List(texts) => quote::yaml(&texts.join(",")),
    };
    let _ = writeln!(out, "{indent}{name}: {value}");
}
