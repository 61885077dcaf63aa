//! Where etcd listens, and the URLs it tells others.

use super::refuse;
use super::tuning::Identity;
use crate::checker::{Found, Reported, Table, mistake};
use crate::resolved::{Advertised, Listeners};
use crate::values::{AdvertisedUrl, ListenAddress, UrlPattern};
use std::net::{Ipv4Addr, SocketAddr};

/// The ports that etcd's usual listeners have.
const CLIENT: u16 = 2379;
const PEER: u16 = 2380;

/// The listeners a table adds; what it leaves out is as `inherited`.
pub(super) fn read(
    table: &Table<'_>,
    inherited: Option<&Listeners>,
    plain: bool,
) -> Result<Listeners, Reported> {
    let client = table.given_texts::<ListenAddress>("client_listeners");
    let peer = table.given_texts::<ListenAddress>("peer_listeners");
    let metrics = table.given_texts::<ListenAddress>("metrics_listeners");
    let (client, peer, metrics) = (client?, peer?, metrics?);
    let mut seen: Vec<Found<ListenAddress>> = Vec::new();
    for (given, key, not) in [
        (&client, "client_listeners", PEER),
        (&peer, "peer_listeners", CLIENT),
        (&metrics, "metrics_listeners", 0),
    ] {
        for found in given.iter().flat_map(|given| &given.value) {
            check(table, key, found, not, plain, &seen)?;
            seen.push(found.clone());
        }
    }
    let taken = [
        (client.is_some(), inherited.map(|all| &all.client)),
        (peer.is_some(), inherited.map(|all| &all.peer)),
        (metrics.is_some(), inherited.map(|all| &all.metrics)),
    ];
    let kept = taken
        .iter()
        .filter_map(|(own, shared)| shared.filter(|_| !own));
    check_plain(table, plain, kept.flatten())?;
    let chosen = |given: Option<Found<Vec<Found<ListenAddress>>>>,
                  of: fn(&Listeners) -> &Vec<ListenAddress>| match given {
        Some(given) => given.value.into_iter().map(|found| found.value).collect(),
        None => inherited.map(|all| of(all).clone()).unwrap_or_default(),
    };
    Ok(Listeners {
        client: chosen(client, |all| &all.client),
        peer: chosen(peer, |all| &all.peer),
        metrics: chosen(metrics, |all| &all.metrics),
    })
}

/// Complains about a listener of the cluster's where a node's own plain one is.
fn check_plain<'a>(
    table: &Table<'_>,
    plain: bool,
    mut inherited: impl Iterator<Item = &'a ListenAddress>,
) -> Result<(), Reported> {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, CLIENT));
    let Some(at) = inherited.find(|at| plain && at.clashes(local)) else {
        return Ok(());
    };
    let key = "plain_local_listener";
    let span = table.written_at(key).unwrap_or_else(|| table.span());
    let message = format!("`{}`: [etcd] listens on {at} already", table.path(key));
    Err(table.checker().report(
        mistake(span, message)
            .label("127.0.0.1:2379 is taken")
            .help("give this node listeners of its own: client_listeners = [] in [node.etcd]"),
    ))
}

/// Complains about an address that is taken.
fn check(
    table: &Table<'_>,
    key: &str,
    found: &Found<ListenAddress>,
    not: u16,
    plain: bool,
    seen: &[Found<ListenAddress>],
) -> Result<(), Reported> {
    let at = found.value;
    let port = at.socket().port();
    let complain = |why: &str| {
        mistake(
            found.span.clone(),
            format!("`{}`: {at} {why}", table.path(key)),
        )
    };
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, CLIENT));
    let wrong = if let Some(first) = seen.iter().find(|first| first.value.clashes(at.socket())) {
        complain("is listened on twice")
            .label("again")
            .also(first.span.clone(), "first here")
            .help("give each listener a port of its own")
    } else if port == not || key == "metrics_listeners" && matches!(port, CLIENT | PEER) {
        complain("has the port of another listener")
            .label("2379 is for clients, 2380 for peers")
            .help("choose another port")
    } else if plain && at.clashes(local) {
        complain("is where plain_local_listener listens")
            .label("127.0.0.1:2379 is taken")
            .help("choose another port, or leave plain_local_listener out")
    } else {
        return Ok(());
    };
    Err(table.checker().report(wrong))
}

/// URLs to be filled in for each node; `None` is the node's address.
pub(super) struct Patterns {
    client: Option<Found<Vec<Found<UrlPattern>>>>,
    peer: Option<Found<Vec<Found<UrlPattern>>>>,
}

/// The URLs a table says.
pub(super) fn read_patterns(table: &Table<'_>) -> Result<Patterns, Reported> {
    let client = table.given_texts("advertise_client");
    let peer = table.given_texts("advertise_peer");
    Ok(Patterns {
        client: client?,
        peer: peer?,
    })
}

impl Patterns {
    /// These, or those of `cluster` where there are none.
    pub(super) fn or(self, cluster: &Self) -> Self {
        Self {
            client: self.client.or_else(|| cluster.client.clone()),
            peer: self.peer.or_else(|| cluster.peer.clone()),
        }
    }

    /// The URLs of one node.
    pub(super) fn fill(
        &self,
        table: &Table<'_>,
        node: Identity<'_>,
    ) -> Result<Advertised, Reported> {
        let Identity {
            name,
            hostname,
            address,
        } = node;
        let fill = |given: &Option<Found<Vec<Found<UrlPattern>>>>| {
            let given = given.iter().flat_map(|given| &given.value);
            given
                .map(|pattern| pattern.value.of(name, hostname, address))
                .collect::<Result<Vec<AdvertisedUrl>, _>>()
                .map_err(|why| refuse(table, &why.to_string()))
        };
        Ok(Advertised {
            client: fill(&self.client)?,
            peer: fill(&self.peer)?,
        })
    }
}
