//! From text to a [`Recipe`]: one reader per section, in the order of the file's reference.
//!
//! Each reader first reads all its keys and only then gives up if one is missing, so that one
//! run names every mistake. What needs several sections is checked where they meet.

mod access;
mod etcd;
mod files;
mod firewall;
mod image;
mod kernel;
mod listeners;
mod network;
mod nodes;
mod options;
mod paths;
mod pki;
mod system;
mod tuning;
mod units;

use crate::checker::{Checker, Given, Reported, Table, mistake, parse};
use crate::error::RecipeErrors;
use crate::etcd_options::OptionValue;
use crate::resolved::{Cluster, Console, EtcdSource, Node, Recipe, Warning, majority};
use crate::values::Token;
use imgbuild_base::{Arch, ByteSize, ClusterName, HostName, NodeName};

/// Reads and checks a recipe. `file_name` is what errors call the file.
///
/// # Errors
/// [`RecipeErrors`] with every mistake in it, each underlined.
pub fn load(text: &str, file_name: &str) -> Result<Recipe, RecipeErrors> {
    let checker = Checker::default();
    match read(&checker, text) {
        Ok(recipe) => match checker.into_mistakes() {
            none if none.is_empty() => Ok(recipe),
            mistakes => Err(RecipeErrors::new(file_name, text, mistakes)),
        },
        Err(_) => Err(RecipeErrors::new(file_name, text, checker.into_mistakes())),
    }
}

fn read(checker: &Checker, text: &str) -> Result<Recipe, Reported> {
    let document = parse(checker, text)?;
    let root = Table::root(checker, &document);

    let cluster = root.table("cluster").and_then(|table| read_cluster(&table));
    let image = root.table("image").and_then(|table| image::read(&table));
    let etcd_table = root.table("etcd");
    // Without an architecture the rest is checked as for one that allows everything.
    let machine = image.as_ref().map_or((None, None), |cluster| {
        (Some(cluster.image.board), Some(cluster.image.arch))
    });
    let etcd_written = etcd_table
        .as_ref()
        .map_err(|&reported| reported)
        .map(etcd::Written::of_cluster);
    let etcd = match (&etcd_table, &etcd_written) {
        (Ok(table), Ok(written)) => written.settle(table, machine.1),
        (&Err(reported), _) | (_, &Err(reported)) => Err(reported),
    };
    let defaults = tuning::Defaults::of(machine.0, machine.1, etcd.as_ref().ok());
    let tuning = etcd_table.and_then(|table| tuning::read(&table, &defaults));
    let pki_table = root.table("pki");
    let pki = pki_table
        .as_ref()
        .map_err(|&reported| reported)
        .and_then(pki::read);
    let sans = pki_table
        .as_ref()
        .map_err(|&reported| reported)
        .and_then(|table| table.texts("extra_sans"));
    let network_table = root.table("network");
    let subnet = network_table
        .as_ref()
        .map_err(|&reported| reported)
        .and_then(network::read_subnet);
    let around = network::Around {
        subnet: subnet.as_ref().ok(),
        board: machine.0,
    };
    let network = network_table
        .as_ref()
        .map_err(|&reported| reported)
        .and_then(|table| network::read(table, around));
    let firewall = root
        .table("firewall")
        .and_then(|table| firewall::read(&table, around.subnet));
    let packages = image.as_ref().map(|cluster| cluster.image.packages.clone());
    let system = system::ClusterSystem::read(&root, packages.map_err(|&reported| reported));
    let nodes = root.tables("node").and_then(|tables| {
        let shared = nodes::Shared {
            around,
            image: image.as_ref().map_err(|&reported| reported),
            // Where the cluster's is wrong, nodes cannot take it over.
            etcd: etcd
                .as_ref()
                .map_err(|&reported| reported)
                .and(etcd_written.as_ref().map_err(|&reported| reported)),
            arch: machine.1,
            firewall: firewall.as_ref().map_err(|&reported| reported),
            network: network.as_ref().map_err(|&reported| reported),
            tuning: tuning.as_ref().map_err(|&reported| reported),
            defaults: &defaults,
            pki: pki.as_ref().map_err(|&reported| reported),
            sans: sans.as_deref().unwrap_or_default(),
            system: &system,
        };
        nodes::read(&tables, &shared)
    });

    let (mut pki, nodes) = (pki?.pki, nodes?);
    let names: Vec<&NodeName> = nodes.iter().map(|node| &node.name).collect();
    pki::settle_clients(&pki_table?, &mut pki, &names)?;
    network?;
    let names: Vec<&HostName> = nodes.iter().flat_map(Node::names).collect();
    network::check_hosts(&network_table?, &names);
    firewall?;
    etcd?;

    let mut recipe = Recipe {
        cluster: cluster?,
        image: image?.image,
        pki,
        subnet: subnet?,
        nodes,
        warnings: Vec::new(),
    };
    recipe.warnings = warnings(&recipe);
    Ok(recipe)
}

fn read_cluster(table: &Table<'_>) -> Result<Cluster, Reported> {
    let name = table.text::<ClusterName>("name");
    let token = table.given_text::<Token>("token");
    let name = name?.value;
    let token = match token? {
        Some(token) => token.value,
        // A host name label is always a token: the same letters, no longer than 63.
        None => name
            .as_str()
            .parse()
            .map_err(|why| refuse(table, &format!("{why}")))?,
    };
    Ok(Cluster { name, token })
}

fn refuse(table: &Table<'_>, message: &str) -> Reported {
    table.checker().report(mistake(table.span(), message))
}

fn warnings(recipe: &Recipe) -> Vec<Warning> {
    let members = recipe.nodes.len();
    let mut warnings = Vec::new();
    if members.is_multiple_of(2) {
        warnings.push(Warning::EvenMembers {
            members,
            majority: majority(members),
        });
    }
    if members > 7 {
        warnings.push(Warning::ManyMembers {
            members,
            majority: majority(members),
        });
    }
    let open = |node: &Node| node.access.console == Console::Shell;
    if recipe.nodes.iter().any(open) {
        warnings.push(Warning::OpenConsole);
    }
    let series = recipe.nodes.iter().filter_map(|node| node.etcd.series());
    if let (Some(oldest), Some(newest)) = (series.clone().min(), series.max())
        && oldest != newest
    {
        warnings.push(Warning::MixedSeries {
            oldest: oldest.to_string(),
            newest: newest.to_string(),
        });
    }
    for node in &recipe.nodes {
        if node.tuning.options.get("unsafe-no-fsync") == Some(&OptionValue::Flag(true)) {
            warnings.push(Warning::NoFsync {
                node: node.name.clone(),
            });
        }
        if node.tuning.quota > ByteSize::mib(8 << 10) {
            warnings.push(Warning::LargeQuota {
                node: node.name.clone(),
                quota: node.tuning.quota,
            });
        }
    }
    warnings
}

/// What is written, else what is inherited.
fn or<T: Clone>(own: Given<T>, inherited: &Given<T>) -> Given<T> {
    match own {
        Ok(None) => inherited.clone(),
        own => own,
    }
}

/// The source that a recipe without one gets.
fn default_source(arch: Option<Arch>) -> &'static str {
    match arch {
        Some(Arch::Armhf) => EtcdSource::BUILD,
        _ => EtcdSource::RELEASE,
    }
}
