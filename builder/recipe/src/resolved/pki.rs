//! The certificates.

use crate::values::{BesidePath, FileName, SubjectName};
use imgbuild_base::{HostName, NodeName, TreePath};
use serde::Serialize;

/// Who signs certificates, and those that are no node's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pki {
    /// Who signs.
    pub authority: PkiAuthority,
    /// Of the nodes together that share a certificate, and of the administrator.
    pub leaf: LeafPki,
    /// Further client certificates, names distinct.
    pub clients: Vec<PkiClient>,
}

/// A node's certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodePki {
    /// Which files there are, and where.
    pub layout: PkiLayout,
    /// What the files are called.
    pub files: PkiFiles,
    /// What they are issued with; the cluster's where the layout is the shared one.
    pub leaf: LeafPki,
}

/// What a certificate is issued with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LeafPki {
    /// The kind of its key.
    pub key: KeyKind,
    /// Days it is valid; at most the CA's.
    pub days: u32,
    /// Counted up to rotate key and certificate; starts at 1.
    pub generation: u32,
}

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum PkiAuthority {
    /// An authority derived from the cluster's secret.
    Derived {
        /// Its common name, which is that of the cluster's layout.
        common_name: &'static str,
        /// The kind of its key.
        key: KeyKind,
        /// Days its certificate is valid.
        days: u32,
    },
    /// An authority of the user's.
    Own {
        /// Its certificate's file, and those above it.
        cert: BesidePath,
        /// Its key's file, unless it is given by a flag.
        key: Option<BesidePath>,
    },
}

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// ECDSA on P-256.
    P256,
    /// RSA with 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA with 4096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    /// Ed25519.
    Ed25519,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::P256, Self::Rsa2048, Self::Rsa4096, Self::Ed25519];

    /// The name as recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa4096 => "rsa-4096",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// Which certificate files a node holds, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "style")]
pub enum PkiLayout {
    /// kubeadm's: separate server, peer, healthcheck-client and apiserver-etcd-client.
    Kubeadm {
        /// `/etc/kubernetes/pki` unless the recipe says otherwise.
        dir: TreePath,
    },
    /// One pair, `kubernetes.pem` and `kubernetes-key.pem`, beside `ca.pem`, for server and
    /// peer, with the names and addresses of every node that has this layout.
    Shared {
        /// `/etc/etcd` unless the recipe says otherwise.
        dir: TreePath,
    },
}

impl PkiLayout {
    /// The directory of the certificates.
    #[must_use]
    pub const fn dir(&self) -> &TreePath {
        match self {
            Self::Kubeadm { dir } | Self::Shared { dir } => dir,
        }
    }
}

/// The names of the certificate files below their directory. In the shared layout the three
/// pairs are one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PkiFiles {
    /// The authority's certificate.
    pub ca: FileName,
    /// What etcd shows to clients.
    pub server: FilePair,
    /// What etcd shows to members.
    pub peer: FilePair,
    /// What root's etcdctl shows.
    pub healthcheck: FilePair,
    /// What a Kubernetes API server shows; none in the shared layout.
    pub apiserver: Option<FilePair>,
}

/// A certificate's file and its key's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilePair {
    /// The certificate.
    pub cert: FileName,
    /// The key.
    pub key: FileName,
}

/// A further client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PkiClient {
    /// Names its files and its key.
    pub name: HostName,
    /// The certificate's common name.
    pub common_name: SubjectName,
    /// The certificate's organisation.
    pub organisation: Option<SubjectName>,
    /// What it is issued with.
    pub leaf: LeafPki,
    /// Whether it is in the admin bundle.
    pub admin: bool,
    /// Where nodes have it, if any do.
    pub place: Option<ClientPlace>,
}

/// Where nodes have a client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientPlace {
    /// Its directory.
    pub dir: TreePath,
    /// The nodes, all of the recipe's.
    pub nodes: Vec<NodeName>,
    /// Who owns the key.
    pub owner: KeyOwner,
    /// The key's permissions.
    pub mode: KeyMode,
}

/// Who owns a key on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyOwner {
    /// root.
    Root,
    /// etcd's user.
    Etcd,
}

impl KeyOwner {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Root, Self::Etcd];

    /// The name as recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Etcd => "etcd",
        }
    }
}

/// The permissions of a key on a node: never for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct KeyMode(u16);

impl KeyMode {
    /// Every one.
    pub const ALL: [Self; 4] = [Self(0o400), Self(0o440), Self(0o600), Self(0o640)];

    /// The permission bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// As recipes write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self.0 {
            0o400 => "0400",
            0o440 => "0440",
            0o640 => "0640",
            _ => "0600",
        }
    }
}
