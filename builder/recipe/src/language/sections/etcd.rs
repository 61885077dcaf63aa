//! `[etcd]` and `[node.etcd]`.

use super::super::Absent::{Default, Depends};
use super::super::forms::{
    ADDRESS_PORT, ADVERTISED, COMPACTION, LISTEN, PATH, SIZE, VARIABLE, VARIABLE_VALUE, VERSION,
};
use super::super::{Key, Map, Section, Shape, choice, key};

/// `[etcd]`
pub static ETCD: Section = Section {
    name: "etcd",
    doc: "What etcd is and how it runs.",
    keys: &[
        SOURCE,
        VERSION_KEY,
        BIN_DIR,
        DATA_DIR,
        WAL_DIR,
        RUN,
        CONFIG,
        CONFIG_PATH,
        PLAIN,
        HEARTBEAT,
        ELECTION,
        SNAPSHOT,
        QUOTA,
        AUTO_COMPACTION,
        LOG_LEVEL,
        METRICS,
        CLIENT_LISTENERS,
        PEER_LISTENERS,
        METRICS_LISTENERS,
        ADVERTISE_CLIENT,
        ADVERTISE_PEER,
        options(&OPTIONS),
        environment(&ENVIRONMENT),
    ],
};

const SOURCE: Key = key(
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
);
const VERSION_KEY: Key = key(
    "version",
    Shape::Text(&VERSION),
    Default("\"3.6.16\""),
    "The etcd release. Not with `source = \"debian\"`, where the suite decides.",
);
const BIN_DIR: Key = key(
    "bin_dir",
    Shape::Text(&PATH),
    Depends("/usr/local/bin; /usr/bin from Debian"),
    "Directory of etcd, etcdctl and etcdutl.",
);
const DATA_DIR: Key = key(
    "data_dir",
    Shape::Text(&PATH),
    Default("\"/var/lib/etcd\""),
    "etcd's data directory, below /var, which is what outlives a reboot.",
);
const WAL_DIR: Key = key(
    "wal_dir",
    Shape::Text(&PATH),
    Depends("in the data directory"),
    "Directory of etcd's write-ahead log, below /var.",
)
.aka(&["wal"]);
const RUN: Key = key(
    "run",
    Shape::Choice(&[
        choice("service", "a systemd unit"),
        choice(
            "static-pod",
            "a container, from the Kubernetes pod manifest \
             /etc/kubernetes/manifests/etcd.yaml, which podman plays at boot",
        ),
    ]),
    Default("\"service\""),
    "What runs etcd.",
)
.aka(&["runtime", "how"]);
const CONFIG: Key = key(
    "config",
    Shape::Choice(&[
        choice("file", "a YAML file"),
        choice(
            "environment",
            "a file of ETCD_* variables, which the unit reads with EnvironmentFile=",
        ),
        choice("flags", "flags in the unit or the manifest"),
    ]),
    Depends("file; flags with `run = \"static-pod\"`"),
    "How etcd gets its configuration.",
);
const CONFIG_PATH: Key = key(
    "config_path",
    Shape::Text(&PATH),
    Depends("/etc/etcd/etcd.conf.yml; /etc/etcd/etcd.conf for `environment`"),
    "The file with the configuration. Not with `config = \"flags\"`.",
)
.aka(&["config_file"]);
const PLAIN: Key = key(
    "plain_local_listener",
    Shape::Flag,
    Default("false"),
    "Also serve clients on http://127.0.0.1:2379 without TLS: every process of the node \
     may then read and write.",
);
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

const CLIENT_LISTENERS: Key = key(
    "client_listeners",
    Shape::List(&Shape::Text(&ADDRESS_PORT)),
    Default("[]"),
    "Where clients are served over TLS besides the node's address and 127.0.0.1, both on port \
     2379. An address that stands for all (`0.0.0.0:2379`, `[::]:2379`) takes their place.",
)
.aka(&["listen_client_urls", "client_listen", "listen"]);
const PEER_LISTENERS: Key = key(
    "peer_listeners",
    Shape::List(&Shape::Text(&ADDRESS_PORT)),
    Default("[]"),
    "Where members are served besides the node's address on port 2380; likewise.",
)
.aka(&["listen_peer_urls", "peer_listen"]);
const METRICS_LISTENERS: Key = key(
    "metrics_listeners",
    Shape::List(&Shape::Text(&ADDRESS_PORT)),
    Default("[]"),
    "Where metrics and health are served over plain HTTP besides `metrics`.",
);
const ADVERTISE_CLIENT: Key = key(
    "advertise_client",
    Shape::List(&Shape::Text(&ADVERTISED)),
    Depends("the node's address, port 2379"),
    "The URLs that clients are told to use. `{name}`, `{hostname}` and `{address}` stand for the \
     node's; a name or address in them is added to its certificates.",
)
.aka(&["advertise_client_urls"]);
const ADVERTISE_PEER: Key = key(
    "advertise_peer",
    Shape::List(&Shape::Text(&ADVERTISED)),
    Depends("the node's address, port 2380"),
    "The URLs that other members are told to use; likewise.",
)
.aka(&["initial_advertise_peer_urls", "advertise_peer_urls"]);

static OPTIONS: Section = Section {
    name: "etcd.options",
    doc: "Further options of etcd, by the names of its flags without dashes, as in \
          `max-request-bytes = 4194304`. They must be options of the etcd version.",
    keys: &[],
};
static NODE_OPTIONS: Section = Section {
    name: "node.etcd.options",
    doc: "Further options of etcd on this node; the others are as in `[etcd.options]`.",
    keys: &[],
};
static ENVIRONMENT: Map = Map {
    name: "etcd.environment",
    doc: "Environment variables of etcd's process, such as those of the Go runtime: \
          `GOMEMLIMIT = \"200MiB\"`, `GOGC = \"50\"`. etcd's own, ETCD_*, are keys of `[etcd]` and \
          `[etcd.options]`.",
    names: &VARIABLE,
    values: &VARIABLE_VALUE,
};
static NODE_ENVIRONMENT: Map = Map {
    name: "node.etcd.environment",
    doc: "Environment variables of etcd's process on this node; the others are as in \
          `[etcd.environment]`.",
    names: &VARIABLE,
    values: &VARIABLE_VALUE,
};

const fn options(section: &'static Section) -> Key {
    key(
        "options",
        Shape::EtcdOptions(section),
        Depends("none"),
        "Further options of etcd.",
    )
    .aka(&["flags", "args", "extra_args", "option"])
}

const fn environment(map: &'static Map) -> Key {
    key(
        "environment",
        Shape::Map(map),
        Depends("none"),
        "Environment variables of etcd's process.",
    )
    .aka(&["env"])
}

/// `[node.etcd]`
pub static NODE_ETCD: Section = Section {
    name: "node.etcd",
    doc: "etcd on this node, where it differs. A `source`, `run` or `config` of its own does not \
          go with everything of the cluster's: what it rules out (`version`, `bin_dir`, `config`, \
          `config_path`) is not taken over from `[etcd]`, but as where it is left out there.",
    keys: &[
        SOURCE.of_node(AS_CLUSTER),
        VERSION_KEY.of_node(AS_CLUSTER),
        BIN_DIR.of_node(AS_CLUSTER),
        DATA_DIR.of_node(AS_CLUSTER),
        WAL_DIR.of_node(AS_CLUSTER),
        RUN.of_node(AS_CLUSTER),
        CONFIG.of_node(AS_CLUSTER),
        CONFIG_PATH.of_node(AS_CLUSTER),
        PLAIN.of_node(AS_CLUSTER),
        HEARTBEAT.of_node(AS_CLUSTER),
        ELECTION.of_node(AS_CLUSTER),
        SNAPSHOT.of_node(AS_CLUSTER),
        QUOTA.of_node(AS_CLUSTER),
        AUTO_COMPACTION.of_node(AS_CLUSTER),
        LOG_LEVEL.of_node(AS_CLUSTER),
        METRICS.of_node(AS_CLUSTER),
        CLIENT_LISTENERS.of_node(AS_CLUSTER),
        PEER_LISTENERS.of_node(AS_CLUSTER),
        METRICS_LISTENERS.of_node(AS_CLUSTER),
        ADVERTISE_CLIENT.of_node(AS_CLUSTER),
        ADVERTISE_PEER.of_node(AS_CLUSTER),
        options(&NODE_OPTIONS).of_node(AS_CLUSTER),
        environment(&NODE_ENVIRONMENT).of_node(AS_CLUSTER),
    ],
};

const AS_CLUSTER: &str = "as in `[etcd]`";
