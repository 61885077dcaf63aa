//! `[network]`, `[node.network]` and the sections below them.

use super::super::Absent::{Default, Depends, Mistake};
use super::super::forms::{
    COUNTRY, DOMAIN, ENVIRONMENT, HOSTS, INTERFACE, INTERFACE_ADDRESS, IP, LOCAL_FILE, MAC, SAN,
    SSID, SUBNET,
};
use super::super::{Absent, Key, Section, Shape, choice, key};

/// `[network]`
pub static NETWORK: Section = Section {
    name: "network",
    doc: "The network between the nodes.",
    keys: &[
        key(
            "subnet",
            Shape::Text(&SUBNET),
            Mistake,
            "The network all nodes' addresses are in, IPv4 or IPv6.",
        )
        .alone("members reach each other without a router between them; `extra` leads elsewhere")
        .aka(&["cidr", "netmask", "prefix"]),
        INTERFACE_KEY,
        vlan(Depends("none")),
        MODE,
        GATEWAY,
        DNS,
        SEARCH,
        NTP,
        DOMAIN_KEY,
        HOSTS_KEY,
        key(
            "extra",
            Shape::Tables(&EXTRA),
            Depends("none"),
            "Further interfaces of every node.",
        )
        .aka(EXTRA_AKA),
        key(
            "wifi",
            Shape::Table(&WIFI),
            Depends("no Wi-Fi"),
            "The wireless network. Raspberry Pi only.",
        )
        .aka(WIFI_AKA),
    ],
};

const EXTRA_AKA: &[&str] = &["interfaces", "extras", "additional"];
const WIFI_AKA: &[&str] = &["wlan", "wireless", "wi-fi"];

const INTERFACE_KEY: Key = key(
    "interface",
    Shape::Text(&INTERFACE),
    Depends("eth0; with Wi-Fi its interface, wlan0"),
    "The network interface.",
)
.aka(&["iface", "device"]);
const fn vlan(absent: Absent) -> Key {
    key(
        "vlan",
        Shape::Integer { min: 1, max: 4094 },
        absent,
        "The VLAN of that interface (IEEE 802.1Q) that the addresses are on. The interface \
         itself then has none.",
    )
    .aka(&["vlan_id", "vid"])
}
const MODE: Key = key(
    "mode",
    Shape::Choice(&[
        choice("static", "the node sets its address itself"),
        choice(
            "dhcp",
            "a DHCP server hands out the very address that the recipe names (a reservation), and \
             with it router and name servers",
        ),
    ]),
    Default("\"static\""),
    "Where a node's address comes from.",
);
const GATEWAY: Key = key(
    "gateway",
    Shape::Text(&IP),
    Depends("none"),
    "The router, in the subnet. Only with `mode = \"static\"`.",
)
.aka(&["router", "default_route"]);
const DNS: Key = key(
    "dns",
    Shape::List(&Shape::Text(&IP)),
    Default("[]"),
    "Name servers. With `mode = \"dhcp\"` they take the place of the DHCP server's.",
)
.aka(&["nameservers", "resolvers"]);
const SEARCH: Key = key(
    "search",
    Shape::List(&Shape::Text(&DOMAIN)),
    Default("[]"),
    "Domains in which short names are looked up.",
)
.aka(&["search_domains", "domains"]);
const NTP: Key = key(
    "ntp",
    Shape::List(&Shape::Text(&SAN)),
    Default("[]"),
    "Time servers. None: those that Debian's systemd-timesyncd was built with.",
)
.aka(&["time", "timeservers"]);
const DOMAIN_KEY: Key = key(
    "domain",
    Shape::Text(&DOMAIN),
    Depends("none"),
    "The nodes' domain: with it a node's full name stands in every /etc/hosts and in the node's \
     certificates.",
)
.aka(&["fqdn", "dns_domain"]);
const HOSTS_KEY: Key = key(
    "hosts",
    Shape::List(&Shape::Text(&HOSTS)),
    Default("[]"),
    "Further lines of /etc/hosts, which has every node's name already.",
)
.aka(&["hosts_entries", "aliases"]);

/// `[node.network]`
pub static NODE_NETWORK: Section = Section {
    name: "node.network",
    doc: "This node's network, where it differs. What is written replaces the cluster's; an empty \
          array takes it away.",
    keys: &[
        INTERFACE_KEY,
        MAC_KEY,
        vlan(Depends("as in `[network]`")),
        MODE,
        GATEWAY,
        DNS,
        SEARCH,
        NTP,
        DOMAIN_KEY,
        HOSTS_KEY,
        key(
            "extra",
            Shape::Tables(&NODE_EXTRA),
            Depends("as in `[network]`"),
            "This node's further interfaces.",
        )
        .aka(EXTRA_AKA),
        key(
            "wifi",
            Shape::Table(&NODE_WIFI),
            Depends("as in `[network]`"),
            "This node's wireless network, where it differs.",
        )
        .aka(WIFI_AKA),
    ],
};

const MAC_KEY: Key = key(
    "mac",
    Shape::Text(&MAC),
    Depends("found by its name"),
    "The network card's own address. The card is then found by it, whatever the kernel calls it, \
     and `interface` is only a label.",
)
.aka(&["mac_address", "hwaddr", "hardware_address"]);
const EXTRA_INTERFACE: Key = key(
    "interface",
    Shape::Text(&INTERFACE),
    Mistake,
    "The network interface.",
)
.aka(&["iface", "device", "name"]);
const DEFAULT_ROUTE: Key = key(
    "default_route",
    Shape::Flag,
    Default("false"),
    "Whether the router that the DHCP server names is taken; it ranks behind the cluster's.",
);

/// `[[network.extra]]`
pub static EXTRA: Section = Section {
    name: "network.extra",
    doc: "A further interface of every node; the system does not wait for it. Its address comes \
          from DHCP: static ones are each node's own, in `[[node.network.extra]]`.",
    keys: &[EXTRA_INTERFACE, vlan(Depends("none")), DEFAULT_ROUTE],
};

/// `[[node.network.extra]]`
pub static NODE_EXTRA: Section = Section {
    name: "node.network.extra",
    doc: "A further interface of this node; the system does not wait for it. These sections \
          replace all of `[[network.extra]]`.",
    keys: &[
        EXTRA_INTERFACE,
        MAC_KEY,
        vlan(Depends("none")),
        key(
            "addresses",
            Shape::List(&Shape::Text(&INTERFACE_ADDRESS)),
            Default("[]"),
            "Its addresses, outside the cluster's subnet. None: they come from DHCP.",
        )
        .aka(&["address", "ip"]),
        key(
            "gateway",
            Shape::Text(&IP),
            Depends("none"),
            "A router in the network of one of `addresses`, for the default route; it ranks behind \
             the cluster's.",
        )
        .aka(&["router"]),
        DEFAULT_ROUTE,
    ],
};

macro_rules! wifi_keys {
    ($interface:expr, $country:expr, $ssid:expr, $passphrase:expr, $security:expr, $hidden:expr) => {
        &[
            key(
                "interface",
                Shape::Text(&INTERFACE),
                $interface,
                "The wireless interface: the cluster's (`network.interface`) or one of `extra`.",
            ),
            key(
                "country",
                Shape::Text(&COUNTRY),
                $country,
                "Where the nodes are: decides which channels and powers are allowed.",
            )
            .aka(&["region", "regdomain", "regulatory_domain"]),
            key(
                "ssid",
                Shape::Text(&SSID),
                $ssid,
                "The name of the wireless network.",
            )
            .aka(&["network", "name", "essid"]),
            key(
                "passphrase_file",
                Shape::Text(&LOCAL_FILE),
                $passphrase,
                "A file with the passphrase, read when images are built; from the recipe's \
                 directory on. The passphrase never stands in the recipe.",
            )
            .aka(&["passphrase", "password", "psk", "password_file", "key"]),
            key(
                "passphrase_env",
                Shape::Text(&ENVIRONMENT),
                $passphrase,
                "The environment variable with the passphrase, in place of a file.",
            )
            .aka(&["password_env"]),
            key(
                "security",
                Shape::Choice(&[
                    choice(
                        "wpa2",
                        "WPA2, which every Raspberry Pi can; nodes hold the network's key only, not \
                         the passphrase",
                    ),
                    choice("wpa2-wpa3", "WPA3 where both sides can, else WPA2"),
                    choice("wpa3", "WPA3 only; the board's firmware must be able to"),
                ]),
                $security,
                "How the network is secured.",
            ),
            key(
                "hidden",
                Shape::Flag,
                $hidden,
                "Whether the network does not announce its name.",
            ),
        ]
    };
}

/// `[network.wifi]`
pub static WIFI: Section = Section {
    name: "network.wifi",
    doc: "The wireless network. With it firmware, the regulatory database and wpa_supplicant come \
          into the image.",
    keys: wifi_keys!(
        Default("\"wlan0\""),
        Mistake,
        Mistake,
        Depends("one of the two is required"),
        Default("\"wpa2\""),
        Default("false")
    ),
};

/// `[node.network.wifi]`
pub static NODE_WIFI: Section = Section {
    name: "node.network.wifi",
    doc: "This node's wireless network, where it differs.",
    keys: wifi_keys!(
        Depends("as in `[network.wifi]`"),
        Depends("as in `[network.wifi]`"),
        Depends("as in `[network.wifi]`"),
        Depends("as in `[network.wifi]`"),
        Depends("as in `[network.wifi]`"),
        Depends("as in `[network.wifi]`")
    ),
};
