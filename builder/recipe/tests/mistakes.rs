//! Every kind of mistake, as the user sees it: one snapshot each.
#![allow(clippy::unwrap_used)]

mod common;

use common::{GOOD, changed, rendered};
use imgbuild_recipe::load;

/// The change that makes the recipe one of a Raspberry Pi.
const PI: (&str, &str) = ("board = \"vm\"", "board = \"raspberry-pi\"");

/// The change that gives the node a further interface with these keys.
fn extra(keys: &str) -> (&'static str, &'static str) {
    let text =
        format!("address = \"10.0.0.10\"\n[[node.network.extra]]\ninterface = \"eth1\"\n{keys}");
    ("address = \"10.0.0.10\"", text.leak())
}

/// The change that gives the recipe a wireless network with these keys.
fn wifi(keys: &str) -> (&'static str, &'static str) {
    (
        "[[node]]",
        format!("[network.wifi]\n{keys}\n[[node]]").leak(),
    )
}

macro_rules! mistakes {
    ($($name:ident: [$($change:expr),+ $(,)?];)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), rendered(&changed(&[$($change),+])));
        }
    )*};
}

#[test]
fn the_good_recipe_is_good() {
    assert_eq!(load(GOOD, "good").unwrap().nodes.len(), 1);
}

mistakes! {
    syntax: [("name = \"home\"", "name = home\nx = = 1")];
    duplicate_key: [("name = \"home\"", "name = \"home\"\nname = \"again\"")];
    unknown_key_near: [("address", "adress")];
    unknown_key_other_word: [("address", "ip")];
    unknown_key_of_another_section: [("board = \"vm\"", "board = \"vm\"\ndns = []")];
    unknown_key: [("board = \"vm\"", "board = \"vm\"\ncolour = 1")];
    unknown_section: [("[[node]]", "[[nodes]]")];
    missing_keys: [("name = \"home\"", ""), ("board = \"vm\"", "")];
    missing_section: [("[network]\nsubnet = \"10.0.0.0/24\"\ngateway = \"10.0.0.1\"", "")];
    type_string: [("\"home\"", "7")];
    type_number: [("board = \"vm\"", "board = \"vm\"\nzstd_level = \"9\"")];
    type_flag: [("source = \"build\"", "plain_local_listener = \"yes\"")];
    type_array: [("gateway = \"10.0.0.1\"", "dns = \"10.0.0.1\"")];
    type_section: [("[etcd]\nsource = \"build\"", ""), ("[cluster]", "etcd = \"3.6.16\"\n[cluster]")];
    type_sections: [("[[node]]", "[node]")];
    number_range: [("board = \"vm\"", "board = \"vm\"\nzstd_level = 23")];
    negative_number: [("[etcd]", "[pki]\nleaf_days = -1\n[etcd]")];
    choice_near: [("\"vm\"", "\"raspberrypi\"")];
    choice_none: [("\"build\"", "\"docker\"")];
    firmware_of_a_pi: [PI, ("board = \"raspberry-pi\"", "board = \"raspberry-pi\"\nfirmware = \"hybrid\"")];
    board_without_arch: [("board = \"vm\"", "board = \"vm\"\narch = \"armhf\"")];
    components_without_main: [("board = \"vm\"", "board = \"vm\"\ncomponents = [\"contrib\"]")];
    pi_without_firmware: [("board = \"vm\"", "board = \"raspberry-pi\"\ncomponents = [\"main\"]")];
    bad_package: [("board = \"vm\"", "board = \"vm\"\npackages = [\"htop\", \"Vim!\"]")];
    bad_mirror: [("board = \"vm\"", "board = \"vm\"\nmirrors = [\"ftp://example.org/debian\"]")];
    format_unknown: [("board = \"vm\"", "board = \"vm\"\nformats = [\"img\", \"overlays\"]")];
    format_none: [("board = \"vm\"", "board = \"vm\"\nformats = []")];
    format_of_other_board: [("board = \"vm\"", "board = \"vm\"\nformats = [\"img\", \"os-list\"]")];
    size_unit: [("board = \"vm\"", "board = \"vm\"\nsize = \"400 MB\"")];
    size_too_small: [("board = \"vm\"", "board = \"vm\"\nsize = \"128M\"")];
    size_not_whole: [("board = \"vm\"", "board = \"vm\"\nsize = \"400001K\"")];
    pod_of_debian: [("source = \"build\"", "source = \"debian\"\nrun = \"static-pod\"")];
    pod_with_file: [("source = \"build\"", "run = \"static-pod\"\nconfig = \"environment\"")];
    release_on_armhf: [
        ("board = \"vm\"", "board = \"raspberry-pi\"\narch = \"armhf\""),
        ("\"build\"", "\"release\""),
    ];
    version_form: [("source = \"build\"", "version = \"v3.6.16\"")];
    version_unknown: [("source = \"build\"", "version = \"3.4.30\"")];
    version_of_debian: [("\"build\"", "\"debian\"\nversion = \"3.6.16\"\nbin_dir = \"/opt/etcd\"")];
    path_form: [("source = \"build\"", "bin_dir = \"usr/local/bin\"")];
    path_hidden: [("source = \"build\"", "bin_dir = \"/var/lib/bin\"\ndata_dir = \"/srv/etcd\"")];
    election_too_short: [("source = \"build\"", "heartbeat_ms = 500\nelection_ms = 1000")];
    heartbeat_too_long: [("address = \"10.0.0.10\"", "address = \"10.0.0.10\"\n[node.etcd]\nelection_ms = 400")];
    quota_of_32_bits: [
        ("board = \"vm\"", "board = \"raspberry-pi\"\narch = \"armhf\""),
        ("source = \"build\"", "quota = \"2G\""),
    ];
    quota_tiny: [("source = \"build\"", "quota = \"1M\"")];
    compaction_form: [("source = \"build\"", "auto_compaction = \"daily\"")];
    metrics_form: [("source = \"build\"", "metrics = \"localhost\"")];
    metrics_port: [("source = \"build\"", "metrics = \"127.0.0.1:2379\"")];
    metrics_listened_twice: [("source = \"build\"", "client_listeners = [\"0.0.0.0:2381\"]")];
    listener_form: [("source = \"build\"", "client_listeners = [\"https://10.0.0.10:2379/\"]")];
    listener_twice: [("source = \"build\"", "client_listeners = [\"0.0.0.0:2379\", \"10.0.0.10:2379\"]")];
    listener_of_another: [("source = \"build\"", "peer_listeners = [\"10.0.0.11:2379\"]")];
    listener_of_the_plain_one: [
        ("source = \"build\"", "plain_local_listener = true\nclient_listeners = [\"0.0.0.0:2379\"]"),
    ];
    advertised_form: [("source = \"build\"", "advertise_client = [\"http://{name}.example.org/\"]")];
    config_path_of_flags: [("source = \"build\"", "config = \"flags\"\nconfig_path = \"/etc/etcd.conf\"")];
    wal_dir_lost: [("source = \"build\"", "wal_dir = \"/srv/wal\"")];
    wal_dir_is_data_dir: [("source = \"build\"", "wal_dir = \"/var/lib/etcd\"")];
    option_unknown: [("[network]", "[etcd.options]\nmax-request-byte = 1\ngossip = true\n[network]")];
    option_with_a_key: [
        ("[network]", "[etcd.options]\nlog-level = \"debug\"\nETCD_DATA_DIR = \"/x\"\ncert-file = \"/x\"\n[network]"),
    ];
    option_of_another_version: [
        ("source = \"build\"", "version = \"3.7.3\""),
        ("[network]", "[etcd.options]\nexperimental-memory-mlock = true\nenable-v2 = true\n[network]"),
    ];
    option_in_no_file: [("[network]", "[etcd.options]\nraft-read-timeout = \"7s\"\n[network]")];
    option_types: [
        (
            "[network]",
            "[etcd.options]\npre-vote = \"false\"\nmax-request-bytes = \"4M\"\n\
             grpc-keepalive-timeout = 20\nwarning-apply-duration = \"1d\"\nlog-format = \"yaml\"\n\
             cipher-suites = \"TLS_AES_128_GCM_SHA256\"\nmax-txn-ops = 5_000_000_000\n\
             feature-gates = [\"InitialCorruptCheck\"]\nauth-token = 1\n[network]",
        ),
    ];
    node_option: [("10.0.0.10\"", "10.0.0.10\"\n[node.etcd.options]\nmax-wals = true")];
    variable_of_etcd: [("[network]", "[etcd.environment]\nETCD_NAME = \"x\"\n[network]")];
    variable_form: [("[network]", "[etcd.environment]\n\"GO GC\" = \"50\"\nGOGC = 50\n[network]")];
    leaf_outlives_ca: [("[etcd]", "[pki]\nleaf_days = 400\nca_days = 300\n[etcd]")];
    key_kind: [("[etcd]", "[pki]\nkey = \"rsa\"\nauthority_key = \"dsa\"\n[etcd]")];
    own_ca_without_certificate: [("[etcd]", "[pki]\nca_key = \"ca.key\"\n[etcd]")];
    own_ca_has_its_days: [("[etcd]", "[pki]\nca_cert = \"ca.crt\"\nca_days = 10\n[etcd]")];
    own_ca_has_its_key: [("[etcd]", "[pki]\nca_cert = \"ca.crt\"\nauthority_key = \"p256\"\n[etcd]")];
    pki_file_form: [("[etcd]", "[pki.files]\nserver = \"/etc/etcd/server.crt\"\n[etcd]")];
    pki_file_of_the_other_layout: [
        ("[etcd]", "[pki]\nlayout = \"shared\"\n[pki.files]\npeer = \"peer.crt\"\n[etcd]"),
    ];
    client_twice: [
        ("[etcd]", "[[pki.client]]\nname = \"a\"\n[[pki.client]]\nname = \"a\"\n[[pki.client]]\nname = \"client\"\n[etcd]"),
    ];
    client_nowhere: [("[etcd]", "[[pki.client]]\nname = \"a\"\nadmin = false\n[etcd]")];
    client_nodes_without_dir: [("[etcd]", "[[pki.client]]\nname = \"a\"\nnodes = [\"a\"]\n[etcd]")];
    client_on_unknown_node: [
        ("[etcd]", "[[pki.client]]\nname = \"p\"\ndir = \"/etc/p\"\nnodes = [\"b\"]\n[etcd]"),
    ];
    client_forms: [
        (
            "[etcd]",
            "[[pki.client]]\nname = \"A B\"\ncommon_name = \"\"\norganisation = \"\\n\"\ndays = 4000\n\
             owner = \"nobody\"\nmode = \"0644\"\ndir = \"/var/p\"\n[etcd]",
        ),
    ];
    client_outlives_ca: [("[etcd]", "[[pki.client]]\nname = \"p\"\ndays = 4000\n[etcd]")];
    node_leaf_outlives_ca: [("10.0.0.10\"", "10.0.0.10\"\n[node.pki]\nleaf_days = 4000")];
    node_pki_of_shared: [
        ("[etcd]", "[pki]\nlayout = \"shared\"\n[etcd]"),
        ("10.0.0.10\"", "10.0.0.10\"\n[node.pki]\ngeneration = 2"),
    ];
    bad_san: [("[etcd]", "[pki]\nextra_sans = [\"https://Etcd.example.org:2379\"]\n[etcd]")];
    subnet_form: [("10.0.0.0/24", "10.0.0.0")];
    subnet_is_address: [("10.0.0.0/24", "10.0.0.7/24")];
    subnet_without_room: [("10.0.0.0/24", "10.0.0.0/31")];
    gateway_outside: [("10.0.0.1\"", "10.0.1.1\"")];
    gateway_with_dhcp: [("[network]", "[network]\nmode = \"dhcp\"")];
    subnet_link_local: [("10.0.0.0/24", "fe80::/64")];
    vlan_range: [("[network]", "[network]\nvlan = 4095")];
    vlan_name_too_long: [("[network]", "[network]\nvlan = 4000\ninterface = \"enx0123456789a\"")];
    bad_search: [("[network]", "[network]\nsearch = [\"Example.org.\"]")];
    bad_domain: [("[network]", "[network]\ndomain = \"10.0.0.0\"")];
    bad_ntp: [("[network]", "[network]\nntp = [\"time server\"]")];
    bad_dns: [("[network]", "[network]\ndns = [\"10.0.0.1:53\"]")];
    hosts_form: [("[network]", "[network]\nhosts = [\"registry 10.0.0.5\"]")];
    hosts_of_a_node: [("[network]", "[network]\nhosts = [\"10.0.0.5 b a\"]")];
    hosts_of_localhost: [("address = \"10.0.0.10\"", "address = \"10.0.0.10\"\n[node.network]\nhosts = [\"10.0.0.5 localhost\"]")];
    mac_form: [("address = \"10.0.0.10\"", "address = \"10.0.0.10\"\n[node.network]\nmac = \"B8-27-EB-12-34-56\"")];
    mac_of_the_cluster: [("[network]", "[network]\nmac = \"b8:27:eb:12:34:56\"")];
    mac_twice: [("address = \"10.0.0.10\"", "address = \"10.0.0.10\"\nnetwork.mac = \"b8:27:eb:12:34:56\"\n[[node]]\nname = \"b\"\naddress = \"10.0.0.11\"\nnetwork.mac = \"B8:27:EB:12:34:56\"")];
    extra_without_interface: [("[[node]]", "[[network.extra]]\nvlan = 7\n[[node]]")];
    extra_same_interface: [("[[node]]", "[[network.extra]]\ninterface = \"eth0\"\n[[node]]")];
    extra_addresses_of_the_cluster: [("[[node]]", "[[network.extra]]\ninterface = \"eth1\"\naddresses = [\"10.1.0.5/24\"]\n[[node]]")];
    extra_default_route_type: [("[[node]]", "[[network.extra]]\ninterface = \"eth1\"\ndefault_route = \"10.1.0.1\"\n[[node]]")];
    extra_address_form: [extra("addresses = [\"10.1.0.5\"]")];
    extra_address_in_subnet: [extra("addresses = [\"10.0.0.7/24\"]")];
    extra_gateway_outside: [extra("addresses = [\"10.1.0.5/24\"]\ngateway = \"10.2.0.1\"")];
    extra_gateway_with_dhcp: [extra("gateway = \"10.1.0.1\"")];
    extra_default_route_when_static: [extra("addresses = [\"10.1.0.5/24\"]\ndefault_route = true")];
    extra_address_twice: [extra("addresses = [\"10.1.0.5/24\"]\n[[node]]\nname = \"b\"\naddress = \"10.0.0.11\"\n[[node.network.extra]]\ninterface = \"eth2\"\naddresses = [\"10.1.0.5/16\"]")];
    extra_of_two_cards: [extra("vlan = 7\n[[node.network.extra]]\ninterface = \"eth1\"\nmac = \"b8:27:eb:12:34:56\"")];
    wifi_on_a_vm: [wifi("country = \"DE\"\nssid = \"x\"\npassphrase_env = \"P\"")];
    wifi_incomplete: [PI, wifi("hidden = true")];
    wifi_passphrase_in_the_recipe: [PI, wifi("country = \"DE\"\nssid = \"x\"\npassphrase = \"secret words\"")];
    wifi_two_passphrases: [PI, wifi("country = \"DE\"\nssid = \"x\"\npassphrase_file = \"p\"\npassphrase_env = \"P\"")];
    wifi_values: [PI, wifi("country = \"de\"\nssid = \"\"\npassphrase_env = \"$WIFI\"\nsecurity = \"wep\"\nhidden = 1\ninterface = \"w lan\"")];
    wifi_file_form: [PI, wifi("country = \"DE\"\nssid = \"x\"\npassphrase_file = \"secrets/\"")];
    wifi_unused: [PI, wifi("country = \"DE\"\nssid = \"x\"\npassphrase_file = \"p\""), ("[network]", "[network]\ninterface = \"eth0\"")];
    wifi_of_a_node_incomplete: [PI, ("address = \"10.0.0.10\"", "address = \"10.0.0.10\"\n[node.network.wifi]\nssid = \"x\"")];
    wifi_found_by_mac: [PI, wifi("country = \"DE\"\nssid = \"x\"\npassphrase_file = \"p\""), ("address = \"10.0.0.10\"", "address = \"10.0.0.10\"\nnetwork.mac = \"b8:27:eb:12:34:56\"")];
    firewall_off: [("[[node]]", "[firewall]\nclients = [\"10.0.0.0/8\"]\n[[node]]")];
    firewall_off_on_a_node: [("address = \"10.0.0.10\"", "address = \"10.0.0.10\"\n[node.firewall]\nopen = [\"tcp/80\"]")];
    firewall_values: [("[[node]]", "[firewall]\nenabled = true\nclients = [\"10.0.0.5\"]\npeers = [\"10.0.0.5/24\"]\nssh = \"10.0.0.0/8\"\nopen = [\"9100\"]\n[[node]]")];
    firewall_type: [("[[node]]", "[firewall]\nenabled = \"yes\"\n[[node]]")];
    bad_interface: [("[network]", "[network]\ninterface = \"the wired one on the left\"")];
    address_form: [("10.0.0.10", "10.0.0.010")];
    address_outside: [("10.0.0.10", "10.0.7.10")];
    address_of_network: [("10.0.0.10", "10.0.0.0")];
    address_of_broadcast: [("10.0.0.10", "10.0.0.255")];
    address_of_gateway: [("10.0.0.10", "10.0.0.1")];
    address_of_another_family: [("10.0.0.10", "fd00::10")];
    name_no_host_name: [("\"a\"", "\"Node_A.example.org\"")];
    name_localhost: [("\"a\"", "\"localhost\"")];
    duplicate_name_and_address: [("[[node]]", "[[node]]\nname = \"a\"\naddress = \"10.0.0.10\"\n[[node]]")];
    no_nodes: [("[[node]]\nname = \"a\"\naddress = \"10.0.0.10\"\n", ""), ("[cluster]", "node = []\n[cluster]")];
    token_empty: [("name = \"home\"", "name = \"home\"\ntoken = \"\"")];
    bad_ssh_key: [("[etcd]", "[access]\nssh_keys = [\"ssh-ed25519 AAAAB3Nza you@laptop\"]\n[etcd]")];
    all_at_once: [
        ("\"home\"", "\"Home\""),
        ("\"vm\"", "\"vms\""),
        ("\"build\"", "\"source\""),
        ("10.0.0.1\"", "10.0.0.256\""),
        ("\"a\"", "\"a b\""),
        ("\"10.0.0.10\"", "\"10.9.9.9\"\nmac = \"x\""),
    ];
}
