//! Recipes of networks that load: what they say, and what each node makes of it.
#![allow(clippy::unwrap_used)]

use imgbuild_recipe::resolved::{
    Addressing, Extra, ExtraAddressing, PassphraseSource, WifiSecurity,
};
use imgbuild_recipe::values::San;
use imgbuild_recipe::{LockInputs, Recipe, load};

/// A recipe of three nodes; `network` goes into `[network]` and `nodes` are what each adds.
fn recipe(board: &str, network: &str, nodes: [&str; 3]) -> Recipe {
    let mut text = format!(
        "[cluster]\nname = \"home\"\n[image]\nboard = \"{board}\"\n[network]\n\
         subnet = \"10.0.0.0/24\"\n{network}\n"
    );
    for (number, own) in (0..).zip(nodes) {
        text.push_str(&format!(
            "[[node]]\nname = \"n{number}\"\naddress = \"10.0.0.1{number}\"\n{own}\n"
        ));
    }
    load(&text, "network.toml").unwrap_or_else(|errors| panic!("{:#?}", errors.mistakes()))
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

#[test]
fn names_are_overridden_by_each_node() {
    let recipe = recipe(
        "vm",
        "vlan = 40\ndns = [\"10.0.0.1\"]\nsearch = [\"a.example\", \"b.example\"]\n\
         domain = \"home.example\"\nhosts = [\"10.0.0.5 registry\"]\nntp = [\"10.0.0.1\"]",
        [
            "",
            "[node.network]\nvlan = 41\nsearch = []\ndomain = \"other.example\"\n\
             hosts = [\"10.0.0.6 x y\", \"fd00::1 z\"]\nmac = \"52:54:00:00:00:01\"",
            "extra_sans = [\"n2.home.example\"]",
        ],
    );
    let [first, second, third] = &recipe.nodes[..] else {
        panic!()
    };
    assert_eq!(first.network.vlan.unwrap().get(), 40);
    assert_eq!(texts(&first.network.search), ["a.example", "b.example"]);
    assert_eq!(texts(&first.network.hosts), ["10.0.0.5 registry"]);
    assert_eq!(first.network.mac, None);
    assert_eq!(first.extra_sans, [San::Dns("n0.home.example".into())]);
    assert_eq!(second.network.vlan.unwrap().get(), 41);
    assert_eq!(second.network.search, []);
    assert_eq!(texts(&second.network.hosts), ["10.0.0.6 x y", "fd00::1 z"]);
    let mac = second.network.mac.unwrap();
    assert_eq!(mac.octets(), [0x52, 0x54, 0, 0, 0, 1]);
    assert_eq!(second.extra_sans, [San::Dns("n1.other.example".into())]);
    assert_eq!(third.network, first.network);
    assert_eq!(third.extra_sans, [San::Dns("n2.home.example".into())]);
}

#[test]
fn further_interfaces_are_replaced_as_a_whole() {
    let recipe = recipe(
        "vm",
        "[[network.extra]]\ninterface = \"eth1\"\ndefault_route = true\n\
         [[network.extra]]\ninterface = \"eth0\"\nvlan = 7",
        [
            "",
            "[[node.network.extra]]\ninterface = \"eth2\"\nmac = \"52:54:00:00:00:02\"\n\
             addresses = [\"10.1.0.5/24\", \"fd00:1::5/64\"]\ngateway = \"10.1.0.1\"",
            "network.extra = []",
        ],
    );
    let dhcp = |interface: &str, vlan: Option<u64>, default_route| Extra {
        interface: interface.parse().unwrap(),
        mac: None,
        vlan: vlan.map(|vlan| vlan.try_into().unwrap()),
        addressing: ExtraAddressing::Dhcp { default_route },
    };
    assert_eq!(
        recipe.nodes[0].network.extra,
        [dhcp("eth1", None, true), dhcp("eth0", Some(7), false)]
    );
    let [own] = &recipe.nodes[1].network.extra[..] else {
        panic!()
    };
    assert_eq!(own.mac.unwrap().to_string(), "52:54:00:00:00:02");
    assert_eq!(
        own.addressing,
        ExtraAddressing::Static {
            addresses: vec![
                "10.1.0.5/24".parse().unwrap(),
                "fd00:1::5/64".parse().unwrap()
            ],
            gateway: Some("10.1.0.1".parse().unwrap()),
        }
    );
    assert_eq!(recipe.nodes[2].network.extra, []);
}

const WIFI: &str = "[network.wifi]\ncountry = \"DE\"\nssid = \"home\"\npassphrase_file = \"p.txt\"";

#[test]
fn wifi_takes_the_clusters_address_unless_the_node_is_wired() {
    let recipe = recipe(
        "raspberry-pi",
        WIFI,
        [
            "",
            "[node.network]\ninterface = \"eth0\"",
            "[node.network.wifi]\nssid = \"attic\"\npassphrase_env = \"ATTIC\"\nhidden = true\n\
             security = \"wpa3\"\ncountry = \"AT\"\ninterface = \"wlan1\"",
        ],
    );
    let [first, wired, third] = &recipe.nodes[..] else {
        panic!()
    };
    assert_eq!(first.network.interface.as_str(), "wlan0");
    assert_eq!(
        first.network.addressing,
        Addressing::Static { gateway: None }
    );
    let wifi = first.network.wifi.as_ref().unwrap();
    assert_eq!((wifi.ssid.as_str(), wifi.hidden), ("home", false));
    assert_eq!(wifi.security, WifiSecurity::Wpa2);
    let PassphraseSource::File(file) = &wifi.passphrase else {
        panic!()
    };
    assert_eq!(file.as_path().to_str(), Some("p.txt"));

    assert_eq!(wired.network.interface.as_str(), "eth0");
    assert_eq!(wired.network.wifi, None);

    assert_eq!(third.network.interface.as_str(), "wlan1");
    let wifi = third.network.wifi.as_ref().unwrap();
    assert_eq!((wifi.ssid.as_str(), wifi.hidden), ("attic", true));
    assert_eq!(wifi.security, WifiSecurity::Wpa3);
    assert_eq!(wifi.country.to_string(), "AT");
    assert!(
        matches!(&wifi.passphrase, PassphraseSource::Environment(name) if name.as_str() == "ATTIC")
    );
}

#[test]
fn wifi_may_be_a_further_network_or_one_nodes_own() {
    let both = recipe(
        "raspberry-pi",
        &format!("interface = \"eth0\"\n[[network.extra]]\ninterface = \"wlan0\"\n{WIFI}"),
        ["", "network.extra = []", ""],
    );
    assert_eq!(both.nodes[0].network.interface.as_str(), "eth0");
    assert!(both.nodes[0].network.wifi.is_some());
    // Without the interface there is nothing the radio is for.
    assert_eq!(both.nodes[1].network.wifi, None);

    let one = recipe(
        "raspberry-pi",
        "",
        [
            "",
            "",
            "[node.network.wifi]\ncountry = \"DE\"\nssid = \"home\"\npassphrase_env = \"P\"\n\
             security = \"wpa2-wpa3\"",
        ],
    );
    assert_eq!(one.nodes[0].network.wifi, None);
    assert_eq!(one.nodes[0].network.interface.as_str(), "eth0");
    assert_eq!(one.nodes[2].network.interface.as_str(), "wlan0");
    let wifi = one.nodes[2].network.wifi.as_ref().unwrap();
    assert_eq!(wifi.security, WifiSecurity::Wpa2Wpa3);
    assert!(one.has_wifi());
}

#[test]
fn firewalls_are_of_nodes() {
    let recipe = recipe(
        "vm",
        "[firewall]\nenabled = true\nssh = [\"10.0.0.0/24\"]\nopen = [\"tcp/9100\"]",
        [
            "",
            "firewall.enabled = false",
            "[node.firewall]\nclients = [\"10.2.0.0/16\"]\npeers = [\"10.3.0.0/16\"]\nssh = []\n\
             open = [\"udp/161\", \"tcp/80\", \"tcp/80\"]",
        ],
    );
    let firewall = recipe.nodes[0].firewall.as_ref().unwrap();
    assert_eq!(texts(&firewall.clients), ["10.0.0.0/24"]);
    assert_eq!(texts(&firewall.peers), [""; 0]);
    assert_eq!(texts(&firewall.ssh), ["10.0.0.0/24"]);
    assert_eq!(texts(&firewall.open), ["tcp/9100"]);
    assert!(firewall.admits("10.0.0.200".parse().unwrap()));
    assert!(!firewall.admits("10.0.1.200".parse().unwrap()));
    assert_eq!(recipe.nodes[1].firewall, None);
    let own = recipe.nodes[2].firewall.as_ref().unwrap();
    assert_eq!(texts(&own.clients), ["10.2.0.0/16"]);
    assert_eq!(texts(&own.peers), ["10.3.0.0/16"]);
    assert_eq!(texts(&own.ssh), [""; 0]);
    assert_eq!(texts(&own.open), ["tcp/80", "udp/161"]);
}

#[test]
fn a_lock_knows_wifi_and_firewall() {
    let none = LockInputs::of(&recipe("raspberry-pi", "", [""; 3]));
    let wifi = LockInputs::of(&recipe("raspberry-pi", WIFI, [""; 3]));
    let walled = "[firewall]\nenabled = true";
    let walled = LockInputs::of(&recipe("raspberry-pi", walled, [""; 3]));
    let shown = |inputs: &LockInputs| texts(&inputs.differences(&none));
    assert_eq!(
        shown(&wifi),
        ["network.wifi is \"yes\" in the recipe and absent in the lock"]
    );
    assert_eq!(
        shown(&walled),
        ["firewall.enabled is \"yes\" in the recipe and absent in the lock"]
    );
}
