//! `[pki]`, its clients and files, and `[node.pki]`.

use super::super::Absent::{Default, Depends, Mistake};
use super::super::forms::{BESIDE, COMMON_NAME, FILE, HOST, PATH, SAN};
use super::super::{Choice, Key, Section, Shape, choice, key};

const KINDS: &[Choice] = &[
    choice("p256", "ECDSA on P-256: small, quick, known everywhere"),
    choice("rsa-2048", "RSA, as kubeadm makes it"),
    choice("rsa-4096", "RSA, slow to make and to use"),
    choice("ed25519", "Ed25519: not every client and browser knows it"),
];

const DAYS: Shape = Shape::Integer {
    min: 1,
    max: 18_250,
};

/// `[pki]`
pub static PKI: Section = Section {
    name: "pki",
    doc: "The certificates. Their CA stays with the cluster's secret, on no node.",
    keys: &[
        LAYOUT,
        DIR,
        KEY,
        key(
            "authority_key",
            Shape::Choice(KINDS),
            Depends("as `key`"),
            "The kind of the CA's key. Not with a CA of your own.",
        )
        .alone(ONE_CA)
        .aka(&["ca_key_type", "ca_algorithm"]),
        LEAF_DAYS,
        key(
            "ca_days",
            DAYS,
            Default("3650"),
            "Days the CA certificate is valid. Not with a CA of your own.",
        )
        .alone(ONE_CA),
        GENERATION,
        key(
            "extra_sans",
            Shape::List(&Shape::Text(&SAN)),
            Default("[]"),
            "Further names of every node's certificates, such as a load balancer's.",
        )
        .aka(&["sans", "san", "alt_names"]),
        key(
            "ca_cert",
            Shape::Text(&BESIDE),
            Depends("a CA derived from the cluster's secret"),
            "A CA of your own: a PEM file with its certificate, after which those of the \
             authorities above it may follow. Only it is trusted by etcd. Its key is only read, \
             never copied. `--ca-cert` and `--ca-key` do the same.",
        )
        .alone(ONE_CA)
        .aka(&["ca", "ca_certificate", "ca_file"]),
        key(
            "ca_key",
            Shape::Text(&BESIDE),
            Depends("with `ca_cert`: given by `--ca-key`"),
            "The PEM file with its private key: P-256, RSA or Ed25519, without a passphrase.",
        )
        .alone(ONE_CA),
        key(
            "files",
            Shape::Table(&FILES),
            Depends("the layout's names"),
            "Other names for the files.",
        ),
        key(
            "client",
            Shape::Tables(&CLIENT),
            Depends("none"),
            "Further client certificates.",
        )
        .alone("a client is the cluster's; its `nodes` says which nodes hold it")
        .aka(&["clients"]),
    ],
};

const LAYOUT: Key = key(
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
);
const DIR: Key = key(
    "dir",
    Shape::Text(&PATH),
    Depends("/etc/kubernetes/pki; /etc/etcd for `shared`"),
    "Where they are.",
);
const KEY: Key = key(
    "key",
    Shape::Choice(KINDS),
    Default("\"p256\""),
    "The kind of every key.",
)
.aka(&["key_type", "algorithm", "key_algorithm"]);
const LEAF_DAYS: Key = key(
    "leaf_days",
    DAYS,
    Default("365"),
    "Days a node's certificates are valid, from the lock's epoch.",
)
.aka(&["days", "validity"]);
const GENERATION: Key = key(
    "generation",
    Shape::Integer {
        min: 1,
        max: 65_535,
    },
    Default("1"),
    "Count it up to give every node new keys and certificates.",
);

/// Why the CA is no node's own.
const ONE_CA: &str = "members trust each other because one CA signs for all of them";

const fn file(name: &'static str, absent: &'static str, doc: &'static str) -> Key {
    key(name, Shape::Text(&FILE), Depends(absent), doc)
}

static FILES: Section = Section {
    name: "pki.files",
    doc: "Names of the certificate files, below `pki.dir`. With `layout = \"shared\"` the server's \
          pair is the peer's and root's etcdctl's too.",
    keys: &[
        FILE_CA,
        FILE_SERVER,
        FILE_SERVER_KEY,
        FILE_PEER,
        FILE_PEER_KEY,
        FILE_HEALTHCHECK,
        FILE_HEALTHCHECK_KEY,
        FILE_APISERVER,
        FILE_APISERVER_KEY,
    ],
};
static NODE_FILES: Section = Section {
    name: "node.pki.files",
    doc: "This node's names of the certificate files, where they differ.",
    keys: &[
        FILE_CA.of_node(AS_FILES),
        FILE_SERVER.of_node(AS_FILES),
        FILE_SERVER_KEY.of_node(AS_FILES),
        FILE_PEER.of_node(AS_FILES),
        FILE_PEER_KEY.of_node(AS_FILES),
        FILE_HEALTHCHECK.of_node(AS_FILES),
        FILE_HEALTHCHECK_KEY.of_node(AS_FILES),
        FILE_APISERVER.of_node(AS_FILES),
        FILE_APISERVER_KEY.of_node(AS_FILES),
    ],
};

const AS_FILES: &str = "as in `[pki.files]`; with another `layout` its names";

const FILE_CA: Key = file(
    "ca",
    "etcd/ca.crt; ca.pem for `shared`",
    "The CA's certificate.",
);
const FILE_SERVER: Key = file(
    "server",
    "etcd/server.crt; kubernetes.pem for `shared`",
    "What etcd shows to clients.",
);
const FILE_SERVER_KEY: Key = file(
    "server_key",
    "etcd/server.key; kubernetes-key.pem for `shared`",
    "Its key.",
);
const FILE_PEER: Key = file("peer", "etcd/peer.crt", "What etcd shows to members.");
const FILE_PEER_KEY: Key = file("peer_key", "etcd/peer.key", "Its key.");
const FILE_HEALTHCHECK: Key = file(
    "healthcheck",
    "etcd/healthcheck-client.crt",
    "What root's etcdctl on the node shows.",
);
const FILE_HEALTHCHECK_KEY: Key =
    file("healthcheck_key", "etcd/healthcheck-client.key", "Its key.");
const FILE_APISERVER: Key = file(
    "apiserver",
    "apiserver-etcd-client.crt",
    "What a Kubernetes API server on the node shows.",
);
const FILE_APISERVER_KEY: Key = file("apiserver_key", "apiserver-etcd-client.key", "Its key.");

static CLIENT: Section = Section {
    name: "pki.client",
    doc: "A further client certificate: in the admin bundle, on nodes, or both.",
    keys: &[
        key(
            "name",
            Shape::Text(&HOST),
            Mistake,
            "Names its files, NAME.crt and NAME.key, and its key.",
        ),
        key(
            "common_name",
            Shape::Text(&COMMON_NAME),
            Depends("its name"),
            "The certificate's common name: the user, once etcd's authentication is on.",
        )
        .aka(&["cn", "user"]),
        key(
            "organisation",
            Shape::Text(&COMMON_NAME),
            Depends("none"),
            "The certificate's organisation.",
        )
        .aka(&["o", "organization", "group"]),
        key(
            "days",
            DAYS,
            Depends("`leaf_days`"),
            "Days it is valid, from the lock's epoch.",
        ),
        key(
            "key",
            Shape::Choice(KINDS),
            Depends("as in `[pki]`"),
            "The kind of its key.",
        ),
        key(
            "admin",
            Shape::Flag,
            Default("true"),
            "Whether it is in the admin bundle.",
        ),
        key(
            "dir",
            Shape::Text(&PATH),
            Depends("on no node"),
            "The directory on nodes that holds it.",
        ),
        key(
            "nodes",
            Shape::List(&Shape::Text(&HOST)),
            Depends("with `dir`: every node"),
            "The nodes that hold it.",
        ),
        key(
            "owner",
            Shape::Choice(&[
                choice("root", "the administrator"),
                choice("etcd", "etcd's user"),
            ]),
            Default("\"root\""),
            "Who owns the key on nodes.",
        ),
        key(
            "mode",
            Shape::Choice(&[
                choice("0400", "its owner may read it"),
                choice("0440", "its owner and its group may read it"),
                choice("0600", "its owner may read and write it"),
                choice("0640", "likewise, and its group may read it"),
            ]),
            Default("\"0600\""),
            "The key's permissions on nodes.",
        ),
    ],
};

/// `[node.pki]`
pub static NODE_PKI: Section = Section {
    name: "node.pki",
    doc: "This node's certificates, where they differ. The cluster's CA signs them all. Nodes with \
          `layout = \"shared\"` hold one and the same certificate, with the names of these nodes, \
          so its `key`, `leaf_days` and `generation` are those of `[pki]`.",
    keys: &[
        LAYOUT.of_node(AS_CLUSTER),
        DIR.of_node("as in `[pki]`; with another `layout` its own"),
        KEY.of_node(AS_CLUSTER),
        LEAF_DAYS.of_node(AS_CLUSTER),
        GENERATION.of_node(AS_CLUSTER),
        key(
            "files",
            Shape::Table(&NODE_FILES),
            Depends("as in `[pki.files]`"),
            "Other names for this node's files.",
        ),
    ],
};

const AS_CLUSTER: &str = "as in `[pki]`";
