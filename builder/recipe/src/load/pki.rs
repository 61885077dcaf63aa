//! `[pki]`, its clients, and `[node.pki]`.

mod clients;
mod places;

pub(super) use clients::settle as settle_clients;

use crate::checker::{Found, Reported, Table, mistake};
use crate::resolved::{KeyKind, LeafPki, NodePki, Pki, PkiAuthority, PkiLayout};
use crate::values::BesidePath;
use places::Places;

/// `[pki]`: what is the same for all nodes, and what they inherit.
pub(super) struct ClusterPki {
    pub(super) pki: Pki,
    places: Places,
}

pub(super) fn read(table: &Table<'_>) -> Result<ClusterPki, Reported> {
    let places = Places::of(table);
    let key = table.choice("key", &KeyKind::ALL, KeyKind::as_str);
    let settled = places.settle(table);
    let layout = settled.as_ref().ok().map(|(layout, _)| layout);
    let authority = read_authority(table, layout, key.as_ref().ok().map(|key| key.value));
    let days = table.number::<u32>("leaf_days");
    let generation = table.number("generation");
    let most = most_days(&authority);
    if let Ok(days) = &days {
        check_days(table, "leaf_days", days, most);
    }
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
        .and_then(|tables| clients::read(&tables, leaf, most));
    settled?;
    let pki = Pki {
        authority: authority?,
        leaf: leaf?,
        clients: clients?,
    };
    Ok(ClusterPki { pki, places })
}

fn read_authority(
    table: &Table<'_>,
    layout: Option<&PkiLayout>,
    leaves: Option<KeyKind>,
) -> Result<PkiAuthority, Reported> {
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
            // The names that the walkthroughs of either layout give theirs.
            common_name: match layout {
                Some(PkiLayout::Shared { .. }) => "Kubernetes",
                Some(PkiLayout::Kubeadm { .. }) | None => "etcd-ca",
            },
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

/// A node's certificates: what it says, else as `[pki]`.
pub(super) fn read_node(
    table: &Table<'_>,
    cluster: Result<&ClusterPki, Reported>,
) -> Result<NodePki, Reported> {
    let key = table.given_choice("key", &KeyKind::ALL, KeyKind::as_str);
    let days = table.given_number::<u32>("leaf_days");
    let generation = table.given_number::<u32>("generation");
    let places = Places::of(table);
    let cluster = cluster?;
    let places = places.over(&cluster.places);
    if let (Ok(Some(days)), PkiAuthority::Derived { days: most, .. }) =
        (&days, &cluster.pki.authority)
    {
        check_days(table, "leaf_days", days, Some(*most));
    }
    let settled = places.settle(table);
    let (key, days, generation) = (key?, days?, generation?);
    let (layout, files) = settled?;
    let spans = [
        key.as_ref().map(|found| found.span.clone()),
        days.as_ref().map(|found| found.span.clone()),
        generation.as_ref().map(|found| found.span.clone()),
    ];
    if let PkiLayout::Shared { .. } = layout
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
    let leaf = cluster.pki.leaf;
    Ok(NodePki {
        layout,
        files,
        leaf: LeafPki {
            key: key.map_or(leaf.key, |found| found.value),
            days: days.map_or(leaf.days, |found| found.value),
            generation: generation.map_or(leaf.generation, |found| found.value),
        },
    })
}
