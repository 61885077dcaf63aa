//! The table of options, one a line: name, kind, series; where they differ from the usual,
//! its place in the configuration file and who sets it.

use super::{EtcdOption, Keeper, Kind, Place, Series};

const ALL_SERIES: &[Series] = &Series::ALL;
const TO_5: &[Series] = &[Series::V3_5];
const TO_6: &[Series] = &[Series::V3_5, Series::V3_6];
const ONLY_6: &[Series] = &[Series::V3_6];
const FROM_6: &[Series] = &[Series::V3_6, Series::V3_7];

const FLAG: Kind = Kind::Flag;
const DURATION: Kind = Kind::Duration;
/// Go's int, which has 32 bits on 32-bit machines.
const INT: Kind = Kind::Number(0x7fff_ffff);
/// Go's uint, likewise.
const UINT: Kind = Kind::Number(0xffff_ffff);
/// 64 bits, as far as TOML's integers reach.
const INT64: Kind = Kind::Number(0x7fff_ffff_ffff_ffff);
const TEXT: Kind = Kind::Text;
const PATH: Kind = Kind::Path;
const LIST: Kind = Kind::List;
const JOINED: Kind = Kind::Joined;
const GATES: Kind = Kind::Gates;
const V2: Kind = Kind::Choice(&[
    "not-yet",
    "write-only",
    "write-only-skip-check",
    "write-only-drop-data",
    "gone",
]);

const NOWHERE: Place = Place::Nowhere;
const CATCH_UP: Place = Place::Named("experimental-snapshot-catch-up-entries");
const CERTIFICATES: Keeper = Keeper::Builder("the certificates are described in [pki]");
const ONCE: Keeper = Keeper::Builder(
    "every start of a node would begin a new cluster; to rescue data, give it by hand",
);
const MEMBERS: Keeper = Keeper::Builder("the members are the recipe's nodes");

const fn client(name: &'static str) -> Place {
    Place::In("client-transport-security", name)
}

const fn peer(name: &'static str) -> Place {
    Place::In("peer-transport-security", name)
}

const fn place(given: Option<Place>) -> Place {
    match given {
        Some(place) => place,
        None => Place::Top,
    }
}

const fn keeper(given: Option<Keeper>) -> Keeper {
    match given {
        Some(keeper) => keeper,
        None => Keeper::Recipe,
    }
}

macro_rules! given {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

macro_rules! options {
    ($($name:literal $kind:expr, $series:ident $(, $place:expr)? $(=> $keeper:expr)?;)*) => {
        /// Every option of every series, by name.
        pub const ALL: &[EtcdOption] = &[$(EtcdOption {
            name: $name,
            kind: $kind,
            series: $series,
            place: place(given!($($place)?)),
            keeper: keeper(given!($($keeper)?)),
        }),*];
    };
}

options! {
    "advertise-client-urls" JOINED, ALL_SERIES => Keeper::Key("etcd.advertise_client");
    "auth-token" TEXT, ALL_SERIES;
    "auth-token-ttl" UINT, ALL_SERIES;
    "auto-compaction-mode" TEXT, ALL_SERIES => Keeper::Key("etcd.auto_compaction");
    "auto-compaction-retention" TEXT, ALL_SERIES => Keeper::Key("etcd.auto_compaction");
    "auto-tls" FLAG, ALL_SERIES => CERTIFICATES;
    "backend-batch-interval" DURATION, ALL_SERIES;
    "backend-batch-limit" INT, ALL_SERIES;
    "backend-bbolt-freelist-type" Kind::Choice(&["array", "map"]), ALL_SERIES;
    "bcrypt-cost" UINT, ALL_SERIES;
    "bootstrap-defrag-threshold-megabytes" UINT, FROM_6;
    "cert-file" TEXT, ALL_SERIES, client("cert-file") => CERTIFICATES;
    "cipher-suites" LIST, ALL_SERIES;
    "client-cert-allowed-hostname" LIST, ALL_SERIES, client("allowed-hostname");
    "client-cert-auth" FLAG, ALL_SERIES, client("client-cert-auth") => CERTIFICATES;
    "client-cert-file" TEXT, ALL_SERIES => CERTIFICATES;
    "client-crl-file" PATH, ALL_SERIES, NOWHERE;
    "client-key-file" TEXT, ALL_SERIES => CERTIFICATES;
    "compact-hash-check-time" DURATION, FROM_6;
    "compaction-batch-limit" INT, FROM_6;
    "compaction-sleep-interval" DURATION, FROM_6;
    "config-file" TEXT, ALL_SERIES => Keeper::Key("etcd.config");
    "corrupt-check-time" DURATION, FROM_6;
    "cors" JOINED, ALL_SERIES;
    "data-dir" TEXT, ALL_SERIES => Keeper::Key("etcd.data_dir");
    "discovery" TEXT, TO_6 => MEMBERS;
    "discovery-cacert" TEXT, FROM_6 => MEMBERS;
    "discovery-cert" TEXT, FROM_6 => MEMBERS;
    "discovery-dial-timeout" DURATION, FROM_6 => MEMBERS;
    "discovery-endpoints" JOINED, FROM_6 => MEMBERS;
    "discovery-fallback" TEXT, ALL_SERIES => MEMBERS;
    "discovery-insecure-skip-tls-verify" FLAG, FROM_6 => MEMBERS;
    "discovery-insecure-transport" FLAG, FROM_6 => MEMBERS;
    "discovery-keepalive-time" DURATION, FROM_6 => MEMBERS;
    "discovery-keepalive-timeout" DURATION, FROM_6 => MEMBERS;
    "discovery-key" TEXT, FROM_6 => MEMBERS;
    "discovery-password" TEXT, FROM_6 => MEMBERS;
    "discovery-proxy" TEXT, TO_6 => MEMBERS;
    "discovery-request-timeout" DURATION, FROM_6 => MEMBERS;
    "discovery-srv" TEXT, ALL_SERIES => MEMBERS;
    "discovery-srv-name" TEXT, ALL_SERIES => MEMBERS;
    "discovery-token" TEXT, FROM_6 => MEMBERS;
    "discovery-user" TEXT, FROM_6 => MEMBERS;
    "distributed-tracing-address" TEXT, FROM_6;
    "distributed-tracing-instance-id" TEXT, FROM_6;
    "distributed-tracing-sampling-rate" INT, FROM_6;
    "distributed-tracing-service-name" TEXT, FROM_6;
    "downgrade-check-time" DURATION, FROM_6;
    "election-timeout" UINT, ALL_SERIES => Keeper::Key("etcd.election_ms");
    "enable-distributed-tracing" FLAG, FROM_6;
    "enable-grpc-gateway" FLAG, ALL_SERIES;
    "enable-log-rotation" FLAG, ALL_SERIES;
    "enable-pprof" FLAG, ALL_SERIES;
    "enable-v2" FLAG, TO_5;
    "experimental-bootstrap-defrag-threshold-megabytes" UINT, TO_6;
    "experimental-compact-hash-check-enabled" FLAG, TO_6;
    "experimental-compact-hash-check-time" DURATION, TO_6;
    "experimental-compaction-batch-limit" INT, TO_6;
    "experimental-compaction-sleep-interval" DURATION, TO_6;
    "experimental-corrupt-check-time" DURATION, TO_6;
    "experimental-distributed-tracing-address" TEXT, TO_6;
    "experimental-distributed-tracing-instance-id" TEXT, TO_6;
    "experimental-distributed-tracing-sampling-rate" INT, TO_6;
    "experimental-distributed-tracing-service-name" TEXT, TO_6;
    "experimental-downgrade-check-time" DURATION, TO_6;
    "experimental-enable-distributed-tracing" FLAG, TO_6;
    "experimental-enable-lease-checkpoint" FLAG, TO_6;
    "experimental-enable-lease-checkpoint-persist" FLAG, TO_6;
    "experimental-enable-v2v3" TEXT, TO_5;
    "experimental-initial-corrupt-check" FLAG, TO_6;
    "experimental-memory-mlock" FLAG, TO_6;
    "experimental-peer-skip-client-san-verification" FLAG, TO_6, NOWHERE;
    "experimental-snapshot-catchup-entries" INT64, TO_6, CATCH_UP;
    "experimental-stop-grpc-service-on-defrag" FLAG, TO_6;
    "experimental-txn-mode-write-with-shared-buffer" FLAG, TO_6;
    "experimental-warning-apply-duration" DURATION, TO_6;
    "experimental-warning-unary-request-duration" DURATION, ONLY_6;
    "experimental-watch-progress-notify-interval" DURATION, TO_6;
    "feature-gates" GATES, FROM_6;
    "force-new-cluster" FLAG, ALL_SERIES => ONCE;
    "grpc-keepalive-interval" DURATION, ALL_SERIES;
    "grpc-keepalive-min-time" DURATION, ALL_SERIES;
    "grpc-keepalive-timeout" DURATION, ALL_SERIES;
    "heartbeat-interval" UINT, ALL_SERIES => Keeper::Key("etcd.heartbeat_ms");
    "host-whitelist" JOINED, ALL_SERIES;
    "initial-advertise-peer-urls" JOINED, ALL_SERIES => Keeper::Key("etcd.advertise_peer");
    "initial-cluster" TEXT, ALL_SERIES => MEMBERS;
    "initial-cluster-state" TEXT, ALL_SERIES => MEMBERS;
    "initial-cluster-token" TEXT, ALL_SERIES => Keeper::Key("cluster.token");
    "initial-election-tick-advance" FLAG, ALL_SERIES;
    "key-file" TEXT, ALL_SERIES, client("key-file") => CERTIFICATES;
    "listen-client-http-urls" JOINED, ALL_SERIES;
    "listen-client-urls" JOINED, ALL_SERIES => Keeper::Key("etcd.client_listeners");
    "listen-metrics-urls" JOINED, ALL_SERIES => Keeper::Key("etcd.metrics");
    "listen-peer-urls" JOINED, ALL_SERIES => Keeper::Key("etcd.peer_listeners");
    "log-format" Kind::Choice(&["json", "console"]), FROM_6;
    "log-level" TEXT, ALL_SERIES => Keeper::Key("etcd.log_level");
    "log-outputs" LIST, ALL_SERIES;
    "log-rotation-config-json" TEXT, ALL_SERIES;
    "logger" Kind::Choice(&["zap"]), ALL_SERIES;
    "max-concurrent-streams" UINT, ALL_SERIES;
    "max-learners" INT, FROM_6;
    "max-request-bytes" UINT, ALL_SERIES;
    "max-snapshots" UINT, ALL_SERIES;
    "max-txn-ops" UINT, ALL_SERIES;
    "max-wals" UINT, ALL_SERIES;
    "memory-mlock" FLAG, FROM_6;
    "metrics" Kind::Choice(&["basic", "extensive"]), ALL_SERIES;
    "name" TEXT, ALL_SERIES => Keeper::Key("node.name");
    "peer-auto-tls" FLAG, ALL_SERIES => CERTIFICATES;
    "peer-cert-allowed-cn" LIST, ALL_SERIES, peer("allowed-cn");
    "peer-cert-allowed-hostname" LIST, ALL_SERIES, peer("allowed-hostname");
    "peer-cert-file" TEXT, ALL_SERIES, peer("cert-file") => CERTIFICATES;
    "peer-client-cert-auth" FLAG, ALL_SERIES, peer("client-cert-auth") => CERTIFICATES;
    "peer-client-cert-file" TEXT, ALL_SERIES => CERTIFICATES;
    "peer-client-key-file" TEXT, ALL_SERIES => CERTIFICATES;
    "peer-crl-file" PATH, ALL_SERIES, NOWHERE;
    "peer-key-file" TEXT, ALL_SERIES, peer("key-file") => CERTIFICATES;
    "peer-skip-client-san-verification" FLAG, FROM_6, peer("skip-client-san-verification");
    "peer-trusted-ca-file" TEXT, ALL_SERIES, peer("trusted-ca-file") => CERTIFICATES;
    "pre-vote" FLAG, ALL_SERIES;
    "proxy" TEXT, TO_5 => Keeper::Builder("a node is a member, not a proxy");
    "proxy-dial-timeout" UINT, TO_5 => Keeper::Builder("a node is a member, not a proxy");
    "proxy-failure-wait" UINT, TO_5 => Keeper::Builder("a node is a member, not a proxy");
    "proxy-read-timeout" UINT, TO_5 => Keeper::Builder("a node is a member, not a proxy");
    "proxy-refresh-interval" UINT, TO_5 => Keeper::Builder("a node is a member, not a proxy");
    "proxy-write-timeout" UINT, TO_5 => Keeper::Builder("a node is a member, not a proxy");
    "quota-backend-bytes" INT64, ALL_SERIES => Keeper::Key("etcd.quota");
    "raft-read-timeout" DURATION, ALL_SERIES, NOWHERE;
    "raft-write-timeout" DURATION, ALL_SERIES, NOWHERE;
    "self-signed-cert-validity" UINT, ALL_SERIES => CERTIFICATES;
    "snapshot-catchup-entries" INT64, FROM_6;
    "snapshot-count" INT64, ALL_SERIES => Keeper::Key("etcd.snapshot_count");
    "socket-reuse-address" FLAG, ALL_SERIES, Place::In("socket-options", "reuse-address");
    "socket-reuse-port" FLAG, ALL_SERIES, Place::In("socket-options", "reuse-port");
    "strict-reconfig-check" FLAG, ALL_SERIES;
    "tls-max-version" Kind::Choice(&["TLS1.2", "TLS1.3"]), ALL_SERIES;
    "tls-min-version" Kind::Choice(&["TLS1.2", "TLS1.3"]), ALL_SERIES;
    "trusted-ca-file" TEXT, ALL_SERIES, client("trusted-ca-file") => CERTIFICATES;
    "unsafe-no-fsync" FLAG, ALL_SERIES;
    "v2-deprecation" V2, ALL_SERIES;
    "version" FLAG, ALL_SERIES => Keeper::Builder("it only prints the version");
    "wal-dir" TEXT, ALL_SERIES => Keeper::Key("etcd.wal_dir");
    "warning-apply-duration" DURATION, FROM_6;
    "warning-unary-request-duration" DURATION, FROM_6;
    "watch-progress-notify-interval" DURATION, FROM_6;
}
