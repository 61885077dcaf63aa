//! etcd's settings for one node, in each of the three ways etcd takes them.
//!
//! The settings are collected once, as a list in the order a person would read them, and then
//! written as `--flags`, as an environment file or as a YAML file: the three always say the
//! same. Nothing in etcd is secure by default, so authentication by certificate is asked for
//! on both sides. Only options that 3.5, 3.6 and 3.7 all know are used; `--experimental-*` is
//! refused by 3.7.

use crate::ComposeError;
use crate::layer::plain;
use crate::layout::Files;
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{ConfigStyle, Node};
use imgbuild_recipe::values::AutoCompaction;
use std::fmt::Write as _;

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
    /// Yes.
    Yes,
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
        value: Value::Yes,
    };
    let scheme = if recipe.etcd.plain_local_listener {
        "http"
    } else {
        "https"
    };
    let client = node.https(CLIENT_PORT);
    let peer = node.https(PEER_PORT);
    let members: Vec<String> = recipe
        .nodes
        .iter()
        .map(|node| format!("{}={}", node.name, node.https(PEER_PORT)))
        .collect();
    let tuning = &node.tuning;
    let mut settings = vec![
        text("name", node.name.as_str()),
        text(
            "data-dir",
            &plain(&recipe.etcd.data_dir, "the data directory")?,
        ),
        text("listen-peer-urls", &peer),
        text(
            "listen-client-urls",
            &format!("{client},{scheme}://127.0.0.1:{CLIENT_PORT}"),
        ),
        text("initial-advertise-peer-urls", &peer),
        text("advertise-client-urls", &client),
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
    if let Some(metrics) = tuning.metrics {
        settings.push(text("listen-metrics-urls", &format!("http://{metrics}")));
    }
    settings.push(text("log-level", tuning.log_level.as_str()));
    Ok(settings)
}

/// Settings as they are written in one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The file that holds them: path below the root and text.
    pub file: Option<(&'static str, String)>,
    /// What follows the program's name in the unit.
    pub arguments: Vec<String>,
    /// The file the unit takes its environment from.
    pub environment_file: Option<String>,
}

/// Writes `settings` in `style`.
#[must_use]
pub fn render(style: ConfigStyle, settings: &[Setting]) -> Rendered {
    match style {
        ConfigStyle::File => {
            let path = "etc/etcd/etcd.conf.yml";
            Rendered {
                file: Some((path, yaml(settings))),
                arguments: vec![format!("--config-file=/{path}")],
                environment_file: None,
            }
        }
        ConfigStyle::Environment => {
            let path = "etc/etcd/etcd.conf";
            Rendered {
                file: Some((path, environment(settings))),
                arguments: Vec::new(),
                environment_file: Some(format!("/{path}")),
            }
        }
        ConfigStyle::Flags => Rendered {
            file: None,
            arguments: settings.iter().map(flag).collect(),
            environment_file: None,
        },
    }
}

fn flag(setting: &Setting) -> String {
    match &setting.value {
        Value::Text(text) => format!("--{}={text}", setting.name),
        Value::Number(number) => format!("--{}={number}", setting.name),
        Value::Yes => format!("--{}", setting.name),
    }
}

/// `ETCD_*` variables, one a line. No value needs quoting: names, addresses, numbers and plain
/// paths only.
fn environment(settings: &[Setting]) -> String {
    let mut out = String::from("# etcd's settings; see etcd --help for each.\n");
    for setting in settings {
        let name = setting.name.to_ascii_uppercase().replace('-', "_");
        // Writing to a string cannot fail.
        let _ = match &setting.value {
            Value::Text(text) => writeln!(out, "ETCD_{name}={text}"),
            Value::Number(number) => writeln!(out, "ETCD_{name}={number}"),
            Value::Yes => writeln!(out, "ETCD_{name}=true"),
        };
    }
    out
}

/// Where the YAML file has a setting: in a section under another name, or as its flag.
fn place(name: &'static str) -> (Option<&'static str>, &'static str) {
    const CLIENT: &str = "client-transport-security";
    const PEER: &str = "peer-transport-security";
    match name {
        "cert-file" | "key-file" | "trusted-ca-file" | "client-cert-auth" => (Some(CLIENT), name),
        "peer-cert-file" => (Some(PEER), "cert-file"),
        "peer-key-file" => (Some(PEER), "key-file"),
        "peer-trusted-ca-file" => (Some(PEER), "trusted-ca-file"),
        "peer-client-cert-auth" => (Some(PEER), "client-cert-auth"),
        _ => (None, name),
    }
}

/// YAML with every text quoted, so that a member may be called `1e3` or `null`.
fn yaml(settings: &[Setting]) -> String {
    let mut out = String::from("# etcd's settings; see etcd --help for each.\n");
    let mut section = None;
    for setting in settings {
        let (within, name) = place(setting.name);
        if within != section {
            section = within;
            if let Some(section) = within {
                let _ = writeln!(out, "{section}:");
            }
        }
        let indent = if within.is_some() { "  " } else { "" };
        let _ = match &setting.value {
            Value::Text(text) => writeln!(out, "{indent}{name}: \"{text}\""),
            Value::Number(number) => writeln!(out, "{indent}{name}: {number}"),
            Value::Yes => writeln!(out, "{indent}{name}: true"),
        };
    }
    out
}
