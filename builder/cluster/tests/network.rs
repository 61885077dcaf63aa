//! What a recipe's network becomes on its nodes, and what nftables and wpa_supplicant say to it.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use fs_err as fs;
use imgbuild_base::{Arch, Kind, Tree};
use imgbuild_cluster::{ComposeError, Passphrase, Passphrases};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::Board;
use std::fmt::Write as _;
use std::path::Path;

/// Three nodes; `network` stands in `[network]`, `own` is what the first node adds.
fn recipe(board: &str, subnet: &str, network: &str, own: &str) -> Recipe {
    let prefix = subnet.rsplit_once(['.', ':']).unwrap().0;
    let point = if subnet.contains(':') { ":" } else { "." };
    let mut text = format!(
        "[cluster]\nname = \"home\"\n[image]\nboard = \"{board}\"\n[network]\n\
         subnet = \"{subnet}\"\n{network}\n"
    );
    for (number, own) in [(1, own), (2, ""), (3, "")] {
        let address = format!("{prefix}{point}1{number}");
        write!(
            text,
            "[[node]]\nname = \"n{number}\"\naddress = \"{address}\"\n{own}\n"
        )
        .unwrap();
    }
    imgbuild_recipe::load(&text, "home.toml")
        .unwrap_or_else(|errors| panic!("{:#?}", errors.mistakes()))
}

/// The first node's layer.
fn first(recipe: &Recipe, passphrases: &Passphrases) -> Tree {
    with_passphrases(recipe, passphrases, |composer| {
        composer.node(&recipe.nodes[0], &below()).unwrap()
    })
}

/// Everything in a layer that the network decides, as text.
fn network_of(recipe: &Recipe) -> String {
    let tree = first(recipe, &passphrases(recipe));
    let mut out = String::new();
    for (path, entry) in tree.iter() {
        let name = path.as_str();
        let ours = [
            "etc/systemd/network/",
            "etc/wpa_supplicant/",
            "etc/modprobe.d/",
        ]
        .iter()
        .any(|dir| name.starts_with(dir))
            || ["etc/hosts", "etc/resolv.conf", "etc/nftables.conf"].contains(&name)
            || ["resolv", "wpa_", "nftables"]
                .iter()
                .any(|it| name.contains(it));
        let mode = entry.meta.mode;
        match &entry.kind {
            Kind::File(_) if ours => {
                writeln!(out, "--- {mode:04o} /{name}\n{}", text(&tree, name)).unwrap();
            }
            Kind::Symlink(target) if ours => writeln!(out, "--- /{name} -> {target}\n").unwrap(),
            _ => {}
        }
    }
    out
}

fn passphrases(recipe: &Recipe) -> Passphrases {
    let radios = recipe
        .nodes
        .iter()
        .filter_map(|node| node.network.wifi.as_ref());
    radios
        .map(|wifi| {
            let passphrase = Passphrase::new("correct horse battery").unwrap();
            (wifi.passphrase.clone(), passphrase)
        })
        .collect()
}

const V4: &str = "10.0.0.0/24";
const V6: &str = "fd00:7::/64";

#[test]
fn names() {
    let recipe = recipe(
        "vm",
        V4,
        "dns = [\"10.0.0.1\"]\nsearch = [\"a.example\", \"b.example\"]\ndomain = \"home.example\"\n\
         hosts = [\"10.0.0.5 registry.example.org registry\"]",
        "",
    );
    insta::assert_snapshot!(network_of(&recipe));
    let certificate = text(
        &first(&recipe, &Passphrases::new()),
        "etc/kubernetes/pki/etcd/server.crt",
    );
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("crt"), certificate).unwrap();
    let words = ["x509", "-noout", "-ext", "subjectAltName", "-in", "crt"];
    let names = ok(dir.path(), "openssl", &words);
    assert!(names.contains("DNS:n1.home.example"), "{names}");
}

#[test]
fn dhcp() {
    insta::assert_snapshot!(network_of(&recipe("vm", V4, "mode = \"dhcp\"", "")));
}

#[test]
fn dhcp_of_ipv6_with_own_name_servers() {
    let network = "mode = \"dhcp\"\ndns = [\"fd00:7::53\"]";
    insta::assert_snapshot!(network_of(&recipe("vm", V6, network, "")));
}

#[test]
fn vlans_and_further_interfaces() {
    let recipe = recipe(
        "vm",
        V4,
        "vlan = 40\ngateway = \"10.0.0.1\"",
        "[node.network]\nmac = \"52:54:00:00:00:01\"\n[[node.network.extra]]\ninterface = \"eth0\"\n\
         mac = \"52:54:00:00:00:01\"\nvlan = 7\ndefault_route = true\n[[node.network.extra]]\n\
         interface = \"eth1\"\naddresses = [\"10.1.0.5/24\", \"fd00:1::5/64\"]\n\
         gateway = \"10.1.0.1\"\n[[node.network.extra]]\ninterface = \"eth1\"\nvlan = 8",
    );
    insta::assert_snapshot!(network_of(&recipe));
}

const WIFI: &str = "[network.wifi]\ncountry = \"DE\"\nssid = \"my home\"\npassphrase_env = \"P\"";

#[test]
fn wifi() {
    insta::assert_snapshot!(network_of(&recipe("raspberry-pi", V4, WIFI, "")));
}

#[test]
fn a_node_on_wifi_needs_its_passphrase() {
    let recipe = recipe("raspberry-pi", V4, WIFI, "");
    let error = with(&recipe, |composer| {
        composer.node(&recipe.nodes[0], &below()).unwrap_err()
    });
    assert!(matches!(error, ComposeError::NoPassphrase(_)), "{error}");
}

/// What wpa_supplicant says to a configuration, run on a loopback interface, where no radio is.
fn wpa_supplicant(recipe: &Recipe) -> String {
    let tree = first(recipe, &passphrases(recipe));
    let dir = tempfile::tempdir().unwrap();
    let text = text(&tree, "etc/wpa_supplicant/wpa_supplicant-wlan0.conf");
    // Its control socket would be outside the test's directory.
    let text = text.replace("/run/wpa_supplicant", dir.path().to_str().unwrap());
    fs::write(dir.path().join("wpa.conf"), text).unwrap();
    let words = [
        "3",
        "wpa_supplicant",
        "-dd",
        "-K",
        "-D",
        "none",
        "-i",
        "lo",
        "-c",
        "wpa.conf",
    ];
    let (_, said) = run(dir.path(), "timeout", &words);
    said
}

#[test]
fn wpa_supplicant_reads_every_security() {
    for (keys, expected) in [
        ("", "key_mgmt: 0x2"),
        ("security = \"wpa2-wpa3\"", "key_mgmt: 0x502"),
        ("security = \"wpa3\"\nhidden = true", "key_mgmt: 0x400"),
    ] {
        let network = format!("{WIFI}\n{keys}");
        let said = wpa_supplicant(&recipe("raspberry-pi", V4, &network, ""));
        assert!(said.contains(expected), "{keys}: {said}");
        for problem in ["Line ", "Invalid", "Failed to read or parse"] {
            assert!(!said.contains(problem), "{keys}: {said}");
        }
        if keys.is_empty() {
            let key = Passphrase::new("correct horse battery").unwrap();
            let key = key.network_key(&"my home".parse().unwrap());
            let bytes: Vec<&str> = (0..32).map(|at| &key[2 * at..2 * at + 2]).collect();
            assert!(said.contains(&bytes.join(" ")), "{said}");
        }
    }
}

const WALLS: [(&str, &str, &str); 3] = [
    (V4, "[firewall]\nenabled = true", ""),
    (
        V6,
        "[firewall]\nenabled = true\nclients = [\"fd00:9::/64\", \"10.9.0.0/16\", \"10.9.1.0/24\"]\n\
         peers = [\"fd00:7::20/128\"]\nssh = [\"fd00:8::/64\"]\nopen = [\"udp/161\", \"tcp/9100\"]\n\
         [access]\nssh_keys = [\"ssh-ed25519 \
         AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me\"]",
        "[node.etcd]\nmetrics = \"[fd00:7::11]:2381\"\nclient_listeners = [\"[::1]:4001\", \"[fd00:7::11]:4001\"]",
    ),
    (
        V4,
        "[firewall]\nenabled = true\nclients = [\"0.0.0.0/0\", \"10.0.0.0/8\"]",
        "[node.firewall]\npeers = [\"10.0.0.0/8\"]",
    ),
];

#[test]
fn firewalls() {
    let mut all = String::new();
    for (subnet, network, own) in WALLS {
        writeln!(all, "{}", network_of(&recipe("vm", subnet, network, own))).unwrap();
    }
    insta::assert_snapshot!(all);
}

/// Runs a script as root of namespaces of its own, with the first node's rules as `rules`.
fn in_own_network(recipe: &Recipe, script: &str) -> (bool, String) {
    let tree = first(recipe, &Passphrases::new());
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules"), text(&tree, "etc/nftables.conf")).unwrap();
    run(dir.path(), "unshare", &["-rnm", "sh", "-euc", script])
}

#[test]
fn nftables_takes_the_rules() {
    for (subnet, network, own) in WALLS {
        let recipe = recipe("vm", subnet, network, own);
        let (taken, said) = in_own_network(&recipe, "nft --check --file rules");
        assert!(taken, "{said}");
    }
}

/// Two hosts on a cable: the node with its rules, and a peer that tries its ports.
const CABLE: &str = r#"
    servers=
    trap 'kill $servers $peer' EXIT
    nft --file rules
    ip link set lo up
    ip link add node type veth peer name outside
    unshare -n sleep 60 >/dev/null 2>&1 & peer=$!
    sleep 0.3
    ip link set outside netns $peer
    outside() { nsenter -t $peer -n -- "$@"; }
    ip address add 10.0.0.11/24 dev node; ip link set node up
    outside ip link set lo up
    outside ip address add 10.0.0.12/24 dev outside
    outside ip address add 10.0.0.99/24 dev outside
    outside ip address add 10.9.0.1/32 dev outside
    outside ip link set outside up
    ip route add 10.9.0.0/16 dev node
    for port in 2379 2380 22 9100 8080; do
        socat -u "TCP-LISTEN:$port,fork,reuseaddr" /dev/null >/dev/null 2>&1 & servers="$servers $!"
    done
    sleep 0.5
    tries=
    for from in 10.0.0.12 10.0.0.99 10.9.0.1; do
        for port in 2379 2380 22 9100 8080; do
            { outside socat -u /dev/null "TCP:10.0.0.11:$port,bind=$from,connect-timeout=3" \
                2>/dev/null && echo "$from reaches $port"; } & tries="$tries $!"
        done
    done
    for try in $tries; do wait "$try" || :; done
"#;

#[test]
fn packets_get_through_as_the_recipe_says() {
    let own = "[firewall]\nenabled = true\nclients = [\"10.9.0.0/16\"]\nopen = [\"tcp/9100\"]";
    let (done, said) = in_own_network(&recipe("vm", V4, own, ""), CABLE);
    assert!(done, "{said}");
    let mut seen: Vec<&str> = said.lines().collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            // A member reaches both ports of etcd and what is open, and nothing else.
            "10.0.0.12 reaches 2379",
            "10.0.0.12 reaches 2380",
            "10.0.0.12 reaches 9100",
            // A neighbour that is no client.
            "10.0.0.99 reaches 9100",
            // A client of a named network.
            "10.9.0.1 reaches 2379",
            "10.9.0.1 reaches 9100",
        ]
    );
}

/// The script that hands a DHCP server's name servers on, run over a state of networkd's.
#[test]
fn name_servers_of_the_dhcp_server() {
    let tree = first(
        &recipe("vm", V4, "mode = \"dhcp\"", ""),
        &Passphrases::new(),
    );
    let dir = tempfile::tempdir().unwrap();
    let script = text(&tree, "usr/lib/imgbuild/resolv");
    let here = script
        .replace("/run/systemd/netif", dir.path().to_str().unwrap())
        .replace("/run/imgbuild", dir.path().join("out").to_str().unwrap());
    fs::write(dir.path().join("resolv"), here).unwrap();
    let convert = |state: &str| {
        fs::write(dir.path().join("state"), state).unwrap();
        ok(dir.path(), "sh", &["-eu", "resolv"]);
        fs::read_to_string(dir.path().join("out/resolv.conf")).unwrap()
    };
    assert_eq!(
        convert(
            "# networkd's\nOPER_STATE=routable\nDNS=10.0.0.1 fd00::1\nNTP=\nDOMAINS=a.example b\n"
        ),
        "nameserver 10.0.0.1\nnameserver fd00::1\nsearch a.example b\n"
    );
    assert_eq!(convert("OPER_STATE=routable\nDNS=\nDOMAINS=\n"), "");
}

#[test]
fn systemd_takes_the_units_of_the_resolver() {
    let tree = first(
        &recipe("vm", V4, "mode = \"dhcp\"", ""),
        &Passphrases::new(),
    );
    let dir = tempfile::tempdir().unwrap();
    unpack(&tree, dir.path());
    let units = dir.path().join("etc/systemd/system");
    let service = units.join("imgbuild-resolv.service");
    let here = fs::read_to_string(&service).unwrap();
    let script = dir.path().join("usr/lib/imgbuild/resolv");
    fs::write(
        &service,
        here.replace("/usr/lib/imgbuild/resolv", script.to_str().unwrap()),
    )
    .unwrap();
    for unit in ["imgbuild-resolv.service", "imgbuild-resolv.path"] {
        let path = units.join(unit);
        let words = [
            "verify",
            "--man=no",
            "--recursive-errors=no",
            path.to_str().unwrap(),
        ];
        let (taken, said) = run(Path::new("/"), "systemd-analyze", &words);
        assert!(taken && !said.contains(unit), "{said}");
    }
}

/// Issue: a wired-to-Wi-Fi change of a Pi's recipe changes its layer as listed, no more.
#[test]
fn from_wired_to_wifi() {
    let (wired, wireless) = (
        recipe("raspberry-pi", V4, "", ""),
        recipe("raspberry-pi", V4, WIFI, ""),
    );
    assert_eq!(
        (wired.image.board, wired.image.arch),
        (Board::RaspberryPi, Arch::Arm64)
    );
    let before = first(&wired, &Passphrases::new());
    let after = first(&wireless, &passphrases(&wireless));
    let mut changes = String::new();
    for (path, entry) in before.iter() {
        match after.get(path) {
            None => writeln!(changes, "- /{path}").unwrap(),
            Some(other) if other != entry => writeln!(changes, "~ /{path}").unwrap(),
            Some(_) => {}
        }
    }
    for (path, entry) in after.iter().filter(|(path, _)| before.get(path).is_none()) {
        writeln!(changes, "+ {:04o} /{path}", entry.meta.mode).unwrap();
    }
    insta::assert_snapshot!(changes);
}
