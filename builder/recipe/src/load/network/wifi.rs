//! `[network.wifi]` and `[node.network.wifi]`.

use crate::checker::{Found, Reported, Table, mistake};
use crate::resolved::{Board, Network, PassphraseSource, Wifi, WifiSecurity};
use crate::values::{Country, EnvName, HostPath, InterfaceName, MacAddress, Ssid};

/// The wireless network of the cluster, if its section is there.
pub(super) fn read(table: &Table<'_>, board: Option<Board>) -> Result<Option<Wifi>, Reported> {
    if !table.is_written() {
        return Ok(None);
    }
    let board = check_board(table, board);
    let interface = table.text::<InterfaceName>("interface");
    let country = table.text::<Country>("country");
    let ssid = table.text::<Ssid>("ssid");
    let passphrase = passphrase(table).and_then(|given| given.ok_or_else(|| unknown(table)));
    let security = table.choice("security", &WifiSecurity::ALL, WifiSecurity::as_str);
    let hidden = table.flag("hidden");
    board?;
    Ok(Some(Wifi {
        interface: interface?.value,
        country: country?.value,
        ssid: ssid?.value,
        passphrase: passphrase?,
        security: security?.value,
        hidden: hidden?.value,
    }))
}

/// A node's, from what it says and what the cluster's says.
pub(super) fn read_node(
    table: &Table<'_>,
    cluster: Option<&Wifi>,
    board: Option<Board>,
) -> Result<Option<Wifi>, Reported> {
    if !table.is_written() {
        return Ok(cluster.cloned());
    }
    let board = check_board(table, board);
    let interface = table.given_text::<InterfaceName>("interface");
    let country = table.given_text::<Country>("country");
    let ssid = table.given_text::<Ssid>("ssid");
    let given = passphrase(table);
    let security = table.given_choice("security", &WifiSecurity::ALL, WifiSecurity::as_str);
    let hidden = table.given_flag("hidden");
    board?;
    let passphrase = given?.or_else(|| cluster.map(|cluster| cluster.passphrase.clone()));
    let interface = match (interface?, cluster) {
        (Some(found), _) => found.value,
        (None, Some(cluster)) => cluster.interface.clone(),
        (None, None) => "wlan0"
            .parse()
            .map_err(|why| super::super::refuse(table, &format!("{why}")))?,
    };
    let needed = |key: &str| {
        let message = format!("`{}` is missing", table.path(key));
        table.checker().report(
            mistake(table.span(), message)
                .label("in this [node.network.wifi]")
                .help("there is no [network.wifi] to take it from"),
        )
    };
    let country = country?.map(|found| found.value);
    let ssid = ssid?.map(|found| found.value);
    Ok(Some(Wifi {
        interface,
        country: country
            .or_else(|| cluster.map(|cluster| cluster.country))
            .ok_or_else(|| needed("country"))?,
        ssid: ssid
            .or_else(|| cluster.map(|cluster| cluster.ssid.clone()))
            .ok_or_else(|| needed("ssid"))?,
        passphrase: passphrase.ok_or_else(|| unknown(table))?,
        security: security?.map_or_else(
            || cluster.map_or(WifiSecurity::Wpa2, |cluster| cluster.security),
            |found| found.value,
        ),
        hidden: hidden?.map_or_else(
            || cluster.is_some_and(|cluster| cluster.hidden),
            |found| found.value,
        ),
    }))
}

/// Where the passphrase is, if the section says.
fn passphrase(table: &Table<'_>) -> Result<Option<PassphraseSource>, Reported> {
    let file = table.given_text::<HostPath>("passphrase_file");
    let variable = table.given_text::<EnvName>("passphrase_env");
    match (file?, variable?) {
        (Some(file), Some(variable)) => {
            let message = format!(
                "`{}` and `{}` are both there",
                table.path("passphrase_file"),
                table.path("passphrase_env")
            );
            Err(table.checker().report(
                mistake(variable.span, message)
                    .label("again")
                    .also(file.span, "first here")
                    .help("there is one passphrase: leave one of them out"),
            ))
        }
        (Some(file), None) => Ok(Some(PassphraseSource::File(file.value))),
        (None, Some(variable)) => Ok(Some(PassphraseSource::Environment(variable.value))),
        (None, None) => Ok(None),
    }
}

fn unknown(table: &Table<'_>) -> Reported {
    let message = format!(
        "`{}` or `{}` is missing",
        table.path("passphrase_file"),
        table.path("passphrase_env")
    );
    table.checker().report(
        mistake(table.span(), message)
            .label("where is the passphrase?")
            .help(
                "add `passphrase_file = \"wifi.passphrase\"` and keep that file out of version \
                 control, or `passphrase_env = \"WIFI_PASSPHRASE\"`",
            ),
    )
}

fn check_board(table: &Table<'_>, board: Option<Board>) -> Result<(), Reported> {
    if board != Some(Board::Vm) {
        return Ok(());
    }
    let message = "a virtual machine has no Wi-Fi";
    Err(table.checker().report(
        mistake(table.span(), message)
            .label("only with board = \"raspberry-pi\"")
            .help("leave the section out: to a VM the host's wireless network is a wired one"),
    ))
}

/// Whether one of the interfaces is the wireless one.
pub(super) fn uses(network: &Network, wifi: &Wifi) -> bool {
    let extras = network.extra.iter().map(|extra| &extra.interface);
    std::iter::once(&network.interface)
        .chain(extras)
        .any(|interface| *interface == wifi.interface)
}

/// A wireless network that no interface is on leads nowhere.
pub(super) fn check_used(table: &Table<'_>, network: &Network) -> Result<(), Reported> {
    let Some(wifi) = network.wifi.as_ref().filter(|wifi| !uses(network, wifi)) else {
        return Ok(());
    };
    let name = &wifi.interface;
    let place = table.written_at("wifi").unwrap_or_else(|| table.span());
    let message = format!("nothing uses {name}, the wireless interface");
    Err(table.checker().report(
        mistake(place, message)
            .label(format!("no address is set up on {name}"))
            .help(format!(
                "for the cluster's address leave `interface` of the network out; for one more \
                 network add a section `extra` with interface = \"{name}\""
            )),
    ))
}

/// wpa_supplicant is started for an interface by its name.
pub(super) fn check_found_by_name(
    table: &Table<'_>,
    network: &Network,
    mac: Option<&Found<MacAddress>>,
) -> Result<(), Reported> {
    let Some(wifi) = &network.wifi else {
        return Ok(());
    };
    let own = network.interface == wifi.interface && network.mac.is_some();
    let extra = network
        .extra
        .iter()
        .any(|extra| extra.interface == wifi.interface && extra.mac.is_some());
    if !own && !extra {
        return Ok(());
    }
    let place = match mac {
        Some(mac) if own => mac.span.clone(),
        _ => table.written_at("extra").unwrap_or_else(|| table.span()),
    };
    let message = format!("`mac`: {} is found by its name", wifi.interface);
    Err(table.checker().report(
        mistake(place, message)
            .label("not for the wireless interface")
            .help("leave it out: a Raspberry Pi has one wireless interface, wlan0"),
    ))
}
