//! `[[pki.client]]`: client certificates, and the nodes that hold them.

use super::check_days;
use crate::checker::{Found, Reported, Table, mistake};
use crate::forms::AbsolutePath;
use crate::load::paths::persistent_path;
use crate::load::refuse;
use crate::resolved::{ClientPlace, KeyKind, KeyMode, KeyOwner, LeafPki, Pki, PkiClient};
use crate::values::SubjectName;
use imgbuild_base::{HostName, NodeName, TreePath};

pub(super) fn read(
    tables: &[Table<'_>],
    leaf: Result<LeafPki, Reported>,
    most: Option<u32>,
) -> Result<Vec<PkiClient>, Reported> {
    let mut seen: Vec<Found<HostName>> = Vec::new();
    let mut clients = Vec::new();
    for table in tables {
        let name = table.text::<HostName>("name");
        if let Ok(name) = &name {
            check_name(table, name, &seen);
            seen.push(name.clone());
        }
        clients.push(read_one(table, name, leaf, most));
    }
    clients.into_iter().collect()
}

fn check_name(table: &Table<'_>, name: &Found<HostName>, seen: &[Found<HostName>]) {
    let taken = ["ca", "client"].contains(&name.value.as_str());
    let first = seen.iter().find(|first| first.value == name.value);
    let complain = |why: &str| {
        let message = format!("`pki.client.name`: {} {why}", name.value);
        mistake(name.span.clone(), message)
    };
    if taken {
        table.checker().report(
            complain("is another file of the admin bundle")
                .label("taken")
                .help("for example \"prometheus\""),
        );
    } else if let Some(first) = first {
        table.checker().report(
            complain("is the name of two clients")
                .label("again")
                .also(first.span.clone(), "first here")
                .help("give each client a name of its own"),
        );
    }
}

fn read_one(
    table: &Table<'_>,
    name: Result<Found<HostName>, Reported>,
    leaf: Result<LeafPki, Reported>,
    most: Option<u32>,
) -> Result<PkiClient, Reported> {
    let common_name = table.given_text::<SubjectName>("common_name");
    let organisation = table.given_text::<SubjectName>("organisation");
    let days = table.given_number::<u32>("days");
    let key = table.given_choice("key", &KeyKind::ALL, KeyKind::as_str);
    let admin = table.flag("admin");
    let dir = table.given_text::<AbsolutePath>("dir");
    let nodes = table.given_texts::<NodeName>("nodes");
    let owner = table.choice("owner", &KeyOwner::ALL, KeyOwner::as_str);
    let mode = table.choice("mode", &KeyMode::ALL, KeyMode::as_str);
    if let Ok(Some(days)) = &days {
        check_days(table, "days", days, most);
    }
    let dir = dir.and_then(|dir| {
        dir.map(|dir| persistent_path(table, "dir", &dir))
            .transpose()
    });
    let (name, leaf, nodes, dir) = (name?, leaf?, nodes?, dir?);
    let admin = admin?.value;
    let place = match (dir, nodes) {
        (None, Some(nodes)) => {
            return Err(table.checker().report(
                mistake(nodes.span, "`pki.client.nodes`: where on these nodes?")
                    .label("`dir` is missing")
                    .help("add for example `dir = \"/etc/prometheus\"`"),
            ));
        }
        (None, None) if !admin => {
            return Err(table.checker().report(
                mistake(name.span, "`pki.client`: this certificate would be nowhere")
                    .label("neither `admin` nor `dir`")
                    .help("add a `dir`, or leave `admin = false` out"),
            ));
        }
        (None, None) => None,
        (Some(dir), nodes) => Some(place(dir, nodes, owner?.value, mode?.value)),
    };
    let common_name = match common_name? {
        Some(found) => found.value,
        None => name
            .value
            .as_str()
            .parse()
            .map_err(|why: crate::values::ValueError| refuse(table, &why.to_string()))?,
    };
    Ok(PkiClient {
        name: name.value,
        common_name,
        organisation: organisation?.map(|found| found.value),
        leaf: LeafPki {
            key: key?.map_or(leaf.key, |found| found.value),
            days: days?.map_or(leaf.days, |found| found.value),
            generation: leaf.generation,
        },
        admin,
        place,
    })
}

fn place(
    dir: TreePath,
    nodes: Option<Found<Vec<Found<NodeName>>>>,
    owner: KeyOwner,
    mode: KeyMode,
) -> ClientPlace {
    let nodes = nodes.into_iter().flat_map(|nodes| nodes.value);
    ClientPlace {
        dir,
        nodes: nodes.map(|node| node.value).collect(),
        owner,
        mode,
    }
}

/// Settles on which nodes client certificates are: those the recipe names, else all.
pub(in crate::load) fn settle(
    table: &Table<'_>,
    pki: &mut Pki,
    nodes: &[&NodeName],
) -> Result<(), Reported> {
    for client in &mut pki.clients {
        let Some(place) = &mut client.place else {
            continue;
        };
        if place.nodes.is_empty() {
            place.nodes = nodes.iter().map(|&name| name.clone()).collect();
        }
        if let Some(unknown) = place.nodes.iter().find(|name| !nodes.contains(name)) {
            let known: Vec<&str> = nodes.iter().map(|name| name.as_str()).collect();
            let message = format!(
                "`pki.client.nodes` of {}: there is no node {unknown}",
                client.name
            );
            return Err(table.checker().report(
                mistake(table.span(), message)
                    .label("in this [pki]")
                    .help(format!("the nodes are {}", known.join(", "))),
            ));
        }
    }
    Ok(())
}
