//! From text to a [`Recipe`]: one reader per section, in the order of the file's reference.
//!
//! Each reader first reads all its keys and only then gives up if one is missing, so that one
//! run names every mistake. What needs several sections is checked where they meet.

mod etcd;
mod image;
mod nodes;

use crate::checker::{Checker, Found, Reported, Table, mistake, parse};
use crate::error::RecipeErrors;
use crate::forms::AbsolutePath;
use crate::resolved::{
    Access, Cluster, Console, EtcdSource, Pki, PkiLayout, Recipe, Ssh, Warning, majority,
};
use crate::values::{SshKey, Token};
use imgbuild_base::{Arch, ByteSize, ClusterName, TreePath};

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
    let machine = image
        .as_ref()
        .map_or((None, None), |image| (Some(image.board), Some(image.arch)));
    let etcd = etcd_table
        .as_ref()
        .map_err(|&reported| reported)
        .and_then(|table| etcd::read(table, machine.1));
    let defaults = etcd::Defaults::of(machine.0, machine.1);
    let tuning = etcd_table.and_then(|table| etcd::read_tuning(&table, &defaults));
    let pki_table = root.table("pki");
    let pki = pki_table
        .as_ref()
        .map_err(|&reported| reported)
        .and_then(read_pki);
    let sans = pki_table.and_then(|table| table.texts("extra_sans"));
    let network_table = root.table("network");
    let subnet = network_table
        .as_ref()
        .map_err(|&reported| reported)
        .and_then(nodes::read_subnet);
    let network = network_table.and_then(|table| nodes::read_network(&table, subnet.as_ref().ok()));
    let access = root.table("access").and_then(|table| read_access(&table));
    let nodes = root.tables("node").and_then(|tables| {
        let shared = nodes::Shared {
            subnet: subnet.as_ref().ok(),
            network: network.as_ref().map_err(|&reported| reported),
            tuning: tuning.as_ref().map_err(|&reported| reported),
            defaults: &defaults,
            sans: sans.as_deref().unwrap_or_default(),
        };
        nodes::read(&tables, &shared)
    });

    let mut recipe = Recipe {
        cluster: cluster?,
        image: image?,
        etcd: etcd?,
        pki: pki?,
        subnet: subnet?,
        access: access?,
        nodes: nodes?,
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

fn read_pki(table: &Table<'_>) -> Result<Pki, Reported> {
    let layout = table.choice("layout", &["kubeadm", "shared"], |word| word);
    let dir = table.given_text::<AbsolutePath>("dir");
    let leaf = table.number("leaf_days");
    let ca = table.number("ca_days");
    let generation = table.number("generation");

    if let (Ok(leaf), Ok(ca)) = (&leaf, &ca) {
        let (leaf, ca): (&Found<u32>, &Found<u32>) = (leaf, ca);
        if leaf.value > ca.value {
            let message = format!(
                "`pki.leaf_days`: a certificate cannot outlive its CA: {} days are more than the \
                 CA's {}",
                leaf.value, ca.value
            );
            let found = if leaf.written { leaf } else { ca };
            table.checker().report(
                mistake(found.span.clone(), message)
                    .label("leaf_days > ca_days")
                    .help("lower leaf_days or raise ca_days"),
            );
        }
    }
    let dir = dir.and_then(|dir| {
        dir.map(|dir| persistent_path(table, "dir", &dir))
            .transpose()
    });
    let layout = layout?.value;
    let dir = match dir? {
        Some(dir) => dir,
        None if layout == "shared" => fixed(table, "/etc/etcd")?,
        None => fixed(table, "/etc/kubernetes/pki")?,
    };
    Ok(Pki {
        layout: match layout {
            "shared" => PkiLayout::Shared { dir },
            _ => PkiLayout::Kubeadm { dir },
        },
        leaf_days: leaf?.value,
        ca_days: ca?.value,
        generation: generation?.value,
    })
}

/// A path that the builder itself chose.
fn fixed(table: &Table<'_>, path: &str) -> Result<TreePath, Reported> {
    TreePath::new(path).map_err(|why| refuse(table, &why.to_string()))
}

/// A path whose files come from a layer: not where another file system is mounted over it.
fn persistent_path(
    table: &Table<'_>,
    key: &str,
    found: &Found<AbsolutePath>,
) -> Result<TreePath, Reported> {
    const HIDDEN: [&str; 7] = ["var", "run", "tmp", "proc", "sys", "dev", "boot"];
    let path = found.value.tree_path();
    match HIDDEN.iter().find(|dir| path.is_within(dir)) {
        None => Ok(path.clone()),
        Some(dir) => {
            let message = format!(
                "`{}` cannot be below /{dir}: on a running node another file system is mounted there",
                table.path(key)
            );
            Err(table.checker().report(
                mistake(found.span.clone(), message)
                    .label(format!("below /{dir}"))
                    .help("choose a directory below /etc, /usr or /opt"),
            ))
        }
    }
}

fn read_access(table: &Table<'_>) -> Result<Access, Reported> {
    let keys = table.texts::<SshKey>("ssh_keys");
    let console = table.choice("console", &[Console::Log, Console::Shell], Console::as_str);
    let keys: Vec<SshKey> = keys?.into_iter().map(|key| key.value).collect();
    Ok(Access {
        ssh: (!keys.is_empty()).then_some(Ssh { keys }),
        console: console?.value,
    })
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
    if recipe.access.console == Console::Shell {
        warnings.push(Warning::OpenConsole);
    }
    for node in &recipe.nodes {
        if node.tuning.quota > ByteSize::mib(8 << 10) {
            warnings.push(Warning::LargeQuota {
                node: node.name.clone(),
                quota: node.tuning.quota,
            });
        }
    }
    warnings
}

/// The source that a recipe without one gets.
fn default_source(arch: Option<Arch>) -> &'static str {
    match arch {
        Some(Arch::Armhf) => EtcdSource::BUILD,
        _ => EtcdSource::RELEASE,
    }
}
