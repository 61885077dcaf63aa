//! The certificates.

use imgbuild_base::TreePath;
use serde::Serialize;

/// The certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pki {
    /// Which files there are.
    pub layout: PkiLayout,
    /// Days a leaf certificate is valid; at most `ca_days`.
    pub leaf_days: u32,
    /// Days the CA certificate is valid.
    pub ca_days: u32,
    /// Counted up to rotate every leaf key and certificate; starts at 1.
    pub generation: u32,
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
    /// peer, with the names and addresses of every node.
    Shared {
        /// `/etc/etcd` unless the recipe says otherwise.
        dir: TreePath,
    },
}
