//! The sections and their keys.

use super::Absent::{Default, Depends, Mistake};
use super::forms::{
    COMPACTION, DISK, HOST, INTERFACE, IP, LISTEN, MIRROR, PACKAGE, PATH, SAN, SIZE, SSH_KEY,
    SUBNET, TOKEN, VERSION,
};
use super::{Key, Section, Shape, choice, key};

/// The whole file.
pub static RECIPE: Section = Section {
    name: "",
    doc: "A recipe describes one etcd cluster: its images, its certificates, its nodes.",
    keys: &[
        key(
            "cluster",
            Shape::Table(&CLUSTER),
            Mistake,
            "The cluster's identity.",
        ),
        key(
            "image",
            Shape::Table(&IMAGE),
            Mistake,
            "What the images are made of.",
        )
        .aka(&["disk", "debian", "os"]),
        key(
            "etcd",
            Shape::Table(&ETCD),
            Depends("every default"),
            "What etcd is and how it runs.",
        ),
        key(
            "pki",
            Shape::Table(&PKI),
            Depends("every default"),
            "The certificates.",
        )
        .aka(&["tls", "certificates", "certs", "ca"]),
        key(
            "network",
            Shape::Table(&NETWORK),
            Mistake,
            "The network between the nodes.",
        )
        .aka(&["net", "networking"]),
        key(
            "access",
            Shape::Table(&ACCESS),
            Depends("every default"),
            "Ways into a node.",
        )
        .aka(&["ssh", "users", "login"]),
        key(
            "node",
            Shape::Tables(&NODE),
            Mistake,
            "The nodes; each gets an image of its own.",
        )
        .aka(&["nodes", "member", "members"]),
    ],
};

/// `[cluster]`
pub static CLUSTER: Section = Section {
    name: "cluster",
    doc: "The cluster's identity.",
    keys: &[
        key(
            "name",
            Shape::Text(&HOST),
            Mistake,
            "Names the cluster and its secret; keys, machine ids and volume ids derive from it.",
        ),
        key(
            "token",
            Shape::Text(&TOKEN),
            Depends("the cluster's name"),
            "etcd's `initial-cluster-token`: unique for each cluster ever made.",
        ),
    ],
};

/// `[image]`
pub static IMAGE: Section = Section {
    name: "image",
    doc: "What the images are made of.",
    keys: &[
        key(
            "board",
            Shape::Choice(&[
                choice("vm", "a virtual machine: UEFI, GPT; amd64 or arm64"),
                choice(
                    "raspberry-pi",
                    "a Raspberry Pi: SD card with MBR; armhf (Pi 2, 3, Zero 2 W) or arm64 \
                     (Pi 3, 4, Zero 2 W, CM4)",
                ),
            ]),
            Mistake,
            "The kind of machine.",
        )
        .aka(&["machine", "platform", "target"]),
        key(
            "arch",
            Shape::Choice(&[
                choice("amd64", "64-bit x86"),
                choice("arm64", "64-bit ARM"),
                choice("armhf", "32-bit ARM, ARMv7 and up"),
            ]),
            Depends("amd64 for `vm`, arm64 for `raspberry-pi`"),
            "The machine's architecture, by Debian's name.",
        )
        .aka(&["architecture", "cpu"]),
        key(
            "suite",
            Shape::Choice(&[choice("trixie", "Debian 13")]),
            Default("\"trixie\""),
            "Debian's suite.",
        )
        .aka(&["release", "distribution", "codename"]),
        key(
            "components",
            Shape::List(&Shape::Choice(&[
                choice("main", "Debian itself"),
                choice("contrib", "free, but needs what is not"),
                choice("non-free", "not free"),
                choice("non-free-firmware", "firmware that is not free"),
            ])),
            Depends("main; on `raspberry-pi` non-free-firmware too, which holds its firmware"),
            "Components of Debian's archive to take packages from.",
        ),
        key(
            "packages",
            Shape::List(&Shape::Text(&PACKAGE)),
            Default("[]"),
            "Further Debian packages for every node, with what they depend on.",
        ),
        key(
            "mirrors",
            Shape::List(&Shape::Text(&MIRROR)),
            Default("[]"),
            "Debian mirrors to try first. Any mirror will do: only hashes are trusted.",
        )
        .aka(&["mirror"]),
        key(
            "size",
            Shape::Text(&DISK),
            Depends("384M for `vm`, fit for `raspberry-pi`"),
            "Size of the image file in whole MiB. What the boot partition leaves becomes the \
             state partition on first boot, which also fills any space the medium has beyond \
             the image: enlarge a VM's disk before its first start to give etcd more room. \
             `fit`: only the boot partition, for cards.",
        )
        .aka(&["disk_size", "disk"]),
        key(
            "boot_reserve",
            Shape::Text(&SIZE),
            Default("\"64M\""),
            "Room left free on the boot partition for newer layers, in whole MiB.",
        ),
        key(
            "zstd_level",
            Shape::Integer { min: 1, max: 22 },
            Default("9"),
            "How hard layers are compressed. Above 9 takes far longer for hardly less.",
        )
        .aka(&["compression", "compression_level"]),
    ],
};

/// `[etcd]`
pub static ETCD: Section = Section {
    name: "etcd",
    doc: "What etcd is and how it runs.",
    keys: &[
        key(
            "source",
            Shape::Choice(&[
                choice("release", "upstream's release archive (amd64, arm64)"),
                choice(
                    "build",
                    "cross-compiled from the Go modules of a release, reproducibly",
                ),
                choice("debian", "Debian's etcd-server and etcd-client packages"),
            ]),
            Depends("release; build on armhf, for which upstream releases nothing"),
            "Where the binaries come from.",
        ),
        key(
            "version",
            Shape::Text(&VERSION),
            Default("\"3.6.16\""),
            "The etcd release. Not with `source = \"debian\"`, where the suite decides.",
        ),
        key(
            "bin_dir",
            Shape::Text(&PATH),
            Depends("/usr/local/bin; /usr/bin from Debian"),
            "Directory of etcd, etcdctl and etcdutl.",
        ),
        key(
            "data_dir",
            Shape::Text(&PATH),
            Default("\"/var/lib/etcd\""),
            "etcd's data directory, below /var, which is what outlives a reboot.",
        ),
        key(
            "config",
            Shape::Choice(&[
                choice("file", "a YAML file, /etc/etcd/etcd.conf.yml"),
                choice("environment", "ETCD_* variables in /etc/etcd/etcd.conf"),
                choice("flags", "flags in the unit"),
            ]),
            Default("\"file\""),
            "How etcd gets its configuration.",
        ),
        key(
            "plain_local_listener",
            Shape::Flag,
            Default("false"),
            "Also serve clients on http://127.0.0.1:2379 without TLS: every process of the node \
             may then read and write.",
        ),
        HEARTBEAT,
        ELECTION,
        SNAPSHOT,
        QUOTA,
        AUTO_COMPACTION,
        LOG_LEVEL,
        METRICS,
    ],
};

const HEARTBEAT: Key = key(
    "heartbeat_ms",
    Shape::Integer {
        min: 1,
        max: 10_000,
    },
    Depends("100; 500 on `raspberry-pi`, whose cards stall"),
    "Milliseconds between a leader's heartbeats.",
)
.aka(&["heartbeat", "heartbeat_interval"]);
const ELECTION: Key = key(
    "election_ms",
    Shape::Integer {
        min: 5,
        max: 50_000,
    },
    Depends("ten heartbeats"),
    "Milliseconds without a heartbeat after which a node stands for election: at least five \
     heartbeats.",
)
.aka(&["election", "election_timeout"]);
const SNAPSHOT: Key = key(
    "snapshot_count",
    Shape::Integer {
        min: 1,
        max: 10_000_000,
    },
    Default("10000"),
    "Transactions between snapshots of the log to disk.",
);
const QUOTA: Key = key(
    "quota",
    Shape::Text(&SIZE),
    Depends("2G; 512M on armhf, whose address space holds no more"),
    "Size of the database at which etcd stops accepting writes.",
)
.aka(&["quota_backend_bytes", "quota_bytes"]);
const AUTO_COMPACTION: Key = key(
    "auto_compaction",
    Shape::Text(&COMPACTION),
    Default("\"8h\""),
    "When old revisions are forgotten: `off`, by age as in `8h` or `30m`, or by number as in \
     `1000 revisions`.",
)
.aka(&["auto_compaction_retention", "compaction"]);
const LOG_LEVEL: Key = key(
    "log_level",
    Shape::Choice(&[
        choice("debug", "everything"),
        choice("info", "what happens"),
        choice("warn", "what is odd"),
        choice("error", "what fails"),
    ]),
    Default("\"info\""),
    "How much etcd logs.",
);
const METRICS: Key = key(
    "metrics",
    Shape::Text(&LISTEN),
    Default("\"127.0.0.1:2381\""),
    "Where metrics and health are served over plain HTTP, or `off`.",
)
.aka(&["listen_metrics_urls", "metrics_listen"]);

/// `[node.etcd]`
pub static NODE_ETCD: Section = Section {
    name: "node.etcd",
    doc: "etcd's tuning on this node, where it differs.",
    keys: &[
        HEARTBEAT,
        ELECTION,
        SNAPSHOT,
        QUOTA,
        AUTO_COMPACTION,
        LOG_LEVEL,
        METRICS,
    ],
};

/// `[pki]`
pub static PKI: Section = Section {
    name: "pki",
    doc: "The certificates. Their CA stays with the cluster's secret, on no node.",
    keys: &[
        key(
            "layout",
            Shape::Choice(&[
                choice(
                    "kubeadm",
                    "separate server, peer, healthcheck-client and apiserver-etcd-client",
                ),
                choice(
                    "shared",
                    "ca.pem, kubernetes.pem and kubernetes-key.pem for server and peer, with the \
                     names of every node",
                ),
            ]),
            Default("\"kubeadm\""),
            "Which certificate files a node holds.",
        ),
        key(
            "dir",
            Shape::Text(&PATH),
            Depends("/etc/kubernetes/pki; /etc/etcd for `shared`"),
            "Where they are.",
        ),
        key(
            "leaf_days",
            Shape::Integer {
                min: 1,
                max: 18_250,
            },
            Default("365"),
            "Days a node's certificates are valid, from the lock's epoch.",
        ),
        key(
            "ca_days",
            Shape::Integer {
                min: 1,
                max: 18_250,
            },
            Default("3650"),
            "Days the CA certificate is valid.",
        ),
        key(
            "generation",
            Shape::Integer {
                min: 1,
                max: 65_535,
            },
            Default("1"),
            "Count it up to give every node new keys and certificates.",
        ),
        key(
            "extra_sans",
            Shape::List(&Shape::Text(&SAN)),
            Default("[]"),
            "Further names of every node's certificates, such as a load balancer's.",
        )
        .aka(&["sans", "san", "alt_names"]),
    ],
};

/// `[network]`
pub static NETWORK: Section = Section {
    name: "network",
    doc: "The network between the nodes.",
    keys: &[
        key(
            "subnet",
            Shape::Text(&SUBNET),
            Mistake,
            "The network all nodes' addresses are in.",
        )
        .aka(&["cidr", "netmask", "prefix"]),
        INTERFACE_KEY,
        MODE,
        GATEWAY,
        DNS,
        NTP,
    ],
};

const INTERFACE_KEY: Key = key(
    "interface",
    Shape::Text(&INTERFACE),
    Default("\"eth0\""),
    "The network interface.",
)
.aka(&["iface", "device"]);
const MODE: Key = key(
    "mode",
    Shape::Choice(&[
        choice("static", "the node sets its address itself"),
        choice(
            "dhcp",
            "a DHCP server hands out the very address that the recipe names (a reservation)",
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
    "Name servers.",
)
.aka(&["nameservers", "resolvers"]);
const NTP: Key = key(
    "ntp",
    Shape::List(&Shape::Text(&SAN)),
    Default("[]"),
    "Time servers. None: those that Debian's systemd-timesyncd was built with.",
)
.aka(&["time", "timeservers"]);

/// `[node.network]`
pub static NODE_NETWORK: Section = Section {
    name: "node.network",
    doc: "This node's network, where it differs.",
    keys: &[INTERFACE_KEY, MODE, GATEWAY, DNS, NTP],
};

/// `[access]`
pub static ACCESS: Section = Section {
    name: "access",
    doc: "Ways into a node. None is open unless the recipe opens it.",
    keys: &[
        key(
            "ssh_keys",
            Shape::List(&Shape::Text(&SSH_KEY)),
            Default("[]"),
            "Public keys that may log in as root. With one or more there is an ssh server that \
             takes keys only; with none there is no ssh server.",
        )
        .aka(&["ssh", "authorized_keys", "keys"]),
        key(
            "console",
            Shape::Choice(&[
                choice("log", "shows messages; nobody can log in"),
                choice("shell", "a root shell without a password"),
            ]),
            Default("\"log\""),
            "What the serial console and screen offer.",
        ),
    ],
};

/// `[[node]]`
pub static NODE: Section = Section {
    name: "node",
    doc: "A node. What its own sections leave out is as in the cluster's.",
    keys: &[
        key(
            "name",
            Shape::Text(&HOST),
            Mistake,
            "Host name and etcd member name.",
        )
        .aka(&["hostname", "host"]),
        key(
            "address",
            Shape::Text(&IP),
            Mistake,
            "Its address, in the network's subnet.",
        )
        .aka(&["ip", "addr"]),
        key(
            "extra_sans",
            Shape::List(&Shape::Text(&SAN)),
            Default("[]"),
            "Further names of this node's certificates.",
        )
        .aka(&["sans", "san", "alt_names"]),
        key(
            "network",
            Shape::Table(&NODE_NETWORK),
            Depends("as `[network]`"),
            "This node's network, where it differs.",
        ),
        key(
            "etcd",
            Shape::Table(&NODE_ETCD),
            Depends("as `[etcd]`"),
            "etcd's tuning on this node, where it differs.",
        ),
    ],
};
