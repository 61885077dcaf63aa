//! `[pki]`, its clients, and `[node.pki]`.

use super::paths::{fixed, persistent_path};
use super::refuse;
use crate::checker::{Found, Reported, Table, mistake};
use crate::forms::AbsolutePath;
use crate::resolved::{
    ClientPlace, FilePair, KeyKind, KeyMode, KeyOwner, LeafPki, Pki, PkiAuthority, PkiClient,
    PkiFiles, PkiLayout,
};
use crate::values::{BesidePath, FileName, SubjectName};
use imgbuild_base::{HostName, NodeName, TreePath};

const KUBEADM: &str = "kubeadm";
const SHARED: &str = "shared";

pub(super) fn read(table: &Table<'_>) -> Result<Pki, Reported> {
    let layout = table.choice("layout", &[KUBEADM, SHARED], |word| word);
    let dir = table.given_text::<AbsolutePath>("dir");
    let key = table.choice("key", &KeyKind::ALL, KeyKind::as_str);
    let authority = read_authority(table, key.as_ref().ok().map(|key| key.value));
    let days = table.number::<u32>("leaf_days");
    let generation = table.number("generation");
    let most = most_days(&authority);
    if let Ok(days) = &days {
        check_days(table, "leaf_days", days, most);
    }
    let shared = layout.as_ref().is_ok_and(|layout| layout.value == SHARED);
    let files = table
        .table("files")
        .and_then(|files| read_files(&files, shared));
    let leaf = match (&key, &days, &generation) {
        (Ok(key), Ok(days), Ok(generation)) => Ok(LeafPki {
            key: key.value,
            days: days.value,
            generation: Found::<u32>::clone(generation).value,
        }),
        (&Err(reported), ..) | (_, &Err(reported), _) | (.., &Err(reported)) => Err(reported),
    };
    let clients = table
        .tables("client")
        .and_then(|tables| read_clients(&tables, leaf, most));
    let dir = dir.and_then(|dir| {
        dir.map(|dir| persistent_path(table, "dir", &dir))
            .transpose()
    });
    layout?;
    let dir = match dir? {
        Some(dir) => dir,
        None if shared => fixed(table, "/etc/etcd")?,
        None => fixed(table, "/etc/kubernetes/pki")?,
    };
    Ok(Pki {
        layout: if shared {
            PkiLayout::Shared { dir }
        } else {
            PkiLayout::Kubeadm { dir }
        },
        files: files?,
        authority: authority?,
        leaf: leaf?,
        clients: clients?,
    })
}

fn read_authority(table: &Table<'_>, leaves: Option<KeyKind>) -> Result<PkiAuthority, Reported> {
    let kind = table.given_choice("authority_key", &KeyKind::ALL, KeyKind::as_str);
    let given_days = table.given_number::<u32>("ca_days");
    let days = table.number::<u32>("ca_days");
    let cert = table.given_text::<BesidePath>("ca_cert");
    let key = table.given_text::<BesidePath>("ca_key");
    let (kind, given_days, cert, key) = (kind?, given_days?, cert?, key?);
    let Some(cert) = cert else {
        if let Some(key) = key {
            return Err(table.checker().report(
                mistake(key.span, "`pki.ca_key`: the CA's certificate is missing")
                    .label("the key of what?")
                    .help("add `ca_cert = \"our-ca.crt\"`, or leave both out"),
            ));
        }
        return Ok(PkiAuthority::Derived {
            key: kind
                .map(|kind| kind.value)
                .or(leaves)
                .unwrap_or(KeyKind::P256),
            days: days?.value,
        });
    };
    let not_with_own = [
        kind.map(|kind| ("authority_key", kind.span)),
        given_days.map(|days| ("ca_days", days.span)),
    ];
    let mut wrong = None;
    for (name, span) in not_with_own.into_iter().flatten() {
        wrong = Some(
            table.checker().report(
                mistake(
                    span,
                    format!("`pki.{name}` cannot be chosen for a CA of your own"),
                )
                .label("the CA exists already")
                .also(cert.span.clone(), "the CA")
                .help("leave it out"),
            ),
        );
    }
    if let Some(reported) = wrong {
        return Err(reported);
    }
    Ok(PkiAuthority::Own {
        cert: cert.value,
        key: key.map(|key| key.value),
    })
}

/// How long the authority's certificate holds, where the recipe decides that.
fn most_days(authority: &Result<PkiAuthority, Reported>) -> Option<u32> {
    match authority {
        Ok(PkiAuthority::Derived { days, .. }) => Some(*days),
        Ok(PkiAuthority::Own { .. }) | Err(_) => None,
    }
}

/// Complains about days that are more than the authority's.
fn check_days(table: &Table<'_>, key: &str, days: &Found<u32>, most: Option<u32>) {
    let Some(most) = most.filter(|most| days.value > *most) else {
        return;
    };
    let message = format!(
        "`{}`: a certificate cannot outlive its CA: {} days are more than the CA's {most}",
        table.path(key),
        days.value,
    );
    table.checker().report(
        mistake(days.span.clone(), message)
            .label(format!("{key} > ca_days"))
            .help(format!("lower {key} or raise ca_days in [pki]")),
    );
}

fn read_files(table: &Table<'_>, shared: bool) -> Result<PkiFiles, Reported> {
    let name = |key: &str, kubeadm: &str, in_shared: Option<&str>| {
        let given = table.given_text::<FileName>(key)?;
        let default = match (shared, in_shared) {
            (true, None) => {
                return match given {
                    None => Ok(None),
                    Some(found) => {
                        let message = format!(
                            "`{}`: with layout = \"shared\" there is only the server's pair",
                            table.path(key)
                        );
                        Err(table.checker().report(
                            mistake(found.span, message)
                                .label("no such file")
                                .help("leave it out, or use layout = \"kubeadm\""),
                        ))
                    }
                };
            }
            (true, Some(name)) => name,
            (false, _) => kubeadm,
        };
        match given {
            Some(found) => Ok(Some(found.value)),
            None => default
                .parse()
                .map(Some)
                .map_err(|why: crate::values::ValueError| refuse(table, &why.to_string())),
        }
    };
    let pair = |key: &str, stem: &str, in_shared: Option<(&str, &str)>| {
        let cert = name(key, &format!("{stem}.crt"), in_shared.map(|pair| pair.0));
        let own_key = name(
            &format!("{key}_key"),
            &format!("{stem}.key"),
            in_shared.map(|pair| pair.1),
        );
        Ok::<_, Reported>(match (cert?, own_key?) {
            (Some(cert), Some(key)) => Some(FilePair { cert, key }),
            _ => None,
        })
    };
    let ca = name("ca", "etcd/ca.crt", Some("ca.pem"));
    let server = pair(
        "server",
        "etcd/server",
        Some(("kubernetes.pem", "kubernetes-key.pem")),
    );
    let peer = pair("peer", "etcd/peer", None);
    let healthcheck = pair("healthcheck", "etcd/healthcheck-client", None);
    let apiserver = pair("apiserver", "apiserver-etcd-client", None);
    let (ca, server, peer) = (ca?, server?, peer?);
    let (healthcheck, apiserver) = (healthcheck?, apiserver?);
    // Both are there in either layout.
    let (Some(ca), Some(server)) = (ca, server) else {
        return Err(refuse(table, "`pki.files`: there is no server certificate"));
    };
    Ok(PkiFiles {
        ca,
        peer: peer.unwrap_or_else(|| server.clone()),
        healthcheck: healthcheck.unwrap_or_else(|| server.clone()),
        server,
        apiserver,
    })
}

fn read_clients(
    tables: &[Table<'_>],
    leaf: Result<LeafPki, Reported>,
    most: Option<u32>,
) -> Result<Vec<PkiClient>, Reported> {
    let mut seen: Vec<Found<HostName>> = Vec::new();
    let mut clients = Vec::new();
    for table in tables {
        let name = table.text::<HostName>("name");
        if let Ok(name) = &name {
            check_client_name(table, name, &seen);
            seen.push(name.clone());
        }
        clients.push(read_client(table, name, leaf, most));
    }
    clients.into_iter().collect()
}

fn check_client_name(table: &Table<'_>, name: &Found<HostName>, seen: &[Found<HostName>]) {
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

fn read_client(
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
pub(super) fn settle_clients(
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

/// What a node's certificates are issued with: what it says, else as `[pki]`.
pub(super) fn read_node(
    table: &Table<'_>,
    cluster: Result<&Pki, Reported>,
) -> Result<LeafPki, Reported> {
    let key = table.given_choice("key", &KeyKind::ALL, KeyKind::as_str);
    let days = table.given_number::<u32>("leaf_days");
    let generation = table.given_number::<u32>("generation");
    let cluster = cluster?;
    if let (Ok(Some(days)), PkiAuthority::Derived { days: most, .. }) = (&days, &cluster.authority)
    {
        check_days(table, "leaf_days", days, Some(*most));
    }
    let (key, days, generation) = (key?, days?, generation?);
    let spans = [
        key.as_ref().map(|found| found.span.clone()),
        days.as_ref().map(|found| found.span.clone()),
        generation.as_ref().map(|found| found.span.clone()),
    ];
    if let PkiLayout::Shared { .. } = cluster.layout
        && let Some(span) = spans.into_iter().flatten().next()
    {
        return Err(table.checker().report(
            mistake(
                span,
                "`node.pki`: with layout = \"shared\" all nodes have the same certificate",
            )
            .label("not for one node")
            .help("set it in [pki], or use layout = \"kubeadm\""),
        ));
    }
    Ok(LeafPki {
        key: key.map_or(cluster.leaf.key, |found| found.value),
        days: days.map_or(cluster.leaf.days, |found| found.value),
        generation: generation.map_or(cluster.leaf.generation, |found| found.value),
    })
}
