//! `[etcd]` and `[node.etcd]`.

use super::super::Absent::{Default, Depends};
use super::super::forms::{COMPACTION, LISTEN, PATH, SIZE, VERSION};
use super::super::{Key, Section, Shape, choice, key};

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
