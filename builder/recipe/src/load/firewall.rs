//! `[firewall]` and `[node.firewall]`.

use crate::checker::{Found, Reported, Table, mistake};
use crate::forms::Subnet;
use crate::resolved::Firewall;
use crate::values::OpenPort;
use ipnet::IpNet;

/// What nodes inherit of `[firewall]`.
pub(super) struct Shared {
    enabled: bool,
    firewall: Firewall,
}

pub(super) fn read(table: &Table<'_>, subnet: Option<&IpNet>) -> Result<Shared, Reported> {
    let enabled = table.flag("enabled");
    let clients = table.given_texts::<Subnet>("clients");
    let clients = clients.and_then(|found| networks(table, "clients", found));
    let peers = table.texts::<Subnet>("peers");
    let peers = peers.and_then(|found| check_networks(table, "peers", found));
    let ssh = table.texts::<Subnet>("ssh");
    let ssh = ssh.and_then(|found| check_networks(table, "ssh", found));
    let open = table.texts::<OpenPort>("open");
    let enabled = enabled?.value;
    if !enabled {
        check_unused(table)?;
    }
    Ok(Shared {
        enabled,
        firewall: Firewall {
            // A subnet with a mistake was reported: nothing is built then.
            clients: clients?.unwrap_or_else(|| subnet.into_iter().copied().collect()),
            peers: peers?,
            ssh: ssh?,
            open: ports(open?),
        },
    })
}

pub(super) fn read_node(
    table: &Table<'_>,
    cluster: Result<&Shared, Reported>,
) -> Result<Option<Firewall>, Reported> {
    let enabled = table.given_flag("enabled");
    let mut given = ["clients", "peers", "ssh"].map(|key| {
        let found = table.given_texts::<Subnet>(key);
        found.and_then(|found| networks(table, key, found))
    });
    let open = table.given_texts::<OpenPort>("open");
    let cluster = cluster?;
    let enabled = enabled?.map_or(cluster.enabled, |found| found.value);
    if !enabled {
        check_unused(table)?;
    }
    let [clients, peers, ssh] = &mut given;
    let or = |given: &mut Result<Option<Vec<IpNet>>, Reported>, cluster: &Vec<IpNet>| {
        let given = std::mem::replace(given, Ok(None))?;
        Ok(given.unwrap_or_else(|| cluster.clone()))
    };
    let shared = &cluster.firewall;
    let firewall = Firewall {
        clients: or(clients, &shared.clients)?,
        peers: or(peers, &shared.peers)?,
        ssh: or(ssh, &shared.ssh)?,
        open: open?.map_or_else(|| shared.open.clone(), |found| ports(found.value)),
    };
    Ok(enabled.then_some(firewall))
}

/// Without a firewall its other keys do nothing, which nobody who wrote them meant. The one
/// exception is a key that says what its default says.
fn check_unused(table: &Table<'_>) -> Result<(), Reported> {
    let section = table.path("enabled");
    let mut result = Ok(());
    for (key, span) in table.written_keys() {
        if key == "enabled" || table.says_default(key) {
            continue;
        }
        let message = format!("`{}` has no effect: the firewall is off", table.path(key));
        result =
            Err(table
                .checker()
                .report(
                    mistake(span, message)
                        .label("only with a firewall")
                        .help(format!(
                            "turn it on with `{section} = true`, or leave this out"
                        )),
                ));
    }
    result
}

fn networks(
    table: &Table<'_>,
    key: &str,
    found: Option<Found<Vec<Found<Subnet>>>>,
) -> Result<Option<Vec<IpNet>>, Reported> {
    found
        .map(|found| check_networks(table, key, found.value))
        .transpose()
}

fn check_networks(
    table: &Table<'_>,
    key: &str,
    found: Vec<Found<Subnet>>,
) -> Result<Vec<IpNet>, Reported> {
    let checked: Vec<Result<IpNet, Reported>> = found
        .into_iter()
        .map(|found| {
            let net = found.value.0;
            if net.addr() == net.network() {
                return Ok(net);
            }
            let message = format!(
                "`{}`: {net} is an address in a network, not a network",
                table.path(key)
            );
            Err(table.checker().report(
                mistake(found.span, message)
                    .label("expected a network")
                    .help(format!(
                        "did you mean \"{}\"? one host is \"{}/{}\"",
                        net.trunc(),
                        net.addr(),
                        net.max_prefix_len()
                    )),
            ))
        })
        .collect();
    checked.into_iter().collect()
}

fn ports(found: Vec<Found<OpenPort>>) -> Vec<OpenPort> {
    let mut ports: Vec<OpenPort> = found.into_iter().map(|found| found.value).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}
