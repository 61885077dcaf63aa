//! Which certificates a node holds, and where: the two layouts that are in use.
//!
//! | layout | authority | certificates |
//! |---|---|---|
//! | kubeadm | `etcd-ca` | `etcd/server`, `etcd/peer` (both server and client, the node's names), `etcd/healthcheck-client`, `apiserver-etcd-client` (clients) |
//! | shared | `Kubernetes` | `kubernetes.pem` (server and client, every node's names), the same on all nodes |
//!
//! In both the keys etcd uses belong to etcd, the others to root; all are 0600. Names, common
//! names, organisations and usages are those kubeadm writes, and those of the walkthroughs
//! that use one pair for everything.

use crate::ComposeError;
use crate::layer::{Layer, Owner, SystemIds, plain};
use imgbuild_base::TreePath;
use imgbuild_pki::{
    AltName, Authority, AuthoritySpec, ClusterSecret, Issued, KeyLabel, LeafSpec, Usage, Validity,
};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Node, PkiLayout};
use imgbuild_recipe::values::San;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a node finds its certificates, as absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The authority's certificate, trusted for clients and peers.
    pub ca: String,
    /// What etcd shows to clients.
    pub server_cert: String,
    /// Its key.
    pub server_key: String,
    /// What etcd shows to other members.
    pub peer_cert: String,
    /// Its key.
    pub peer_key: String,
    /// What root's etcdctl shows.
    pub client_cert: String,
    /// Its key.
    pub client_key: String,
}

/// Where the certificates of `layout` are.
///
/// # Errors
/// [`ComposeError::Path`] when the directory would need quoting.
pub fn files(layout: &PkiLayout) -> Result<Files, ComposeError> {
    let dir = match layout {
        PkiLayout::Kubeadm { dir } | PkiLayout::Shared { dir } => {
            plain(dir, "the directory of the certificates")?
        }
    };
    let at = |name: &str| format!("{dir}/{name}");
    Ok(match layout {
        PkiLayout::Kubeadm { .. } => Files {
            ca: at("etcd/ca.crt"),
            server_cert: at("etcd/server.crt"),
            server_key: at("etcd/server.key"),
            peer_cert: at("etcd/peer.crt"),
            peer_key: at("etcd/peer.key"),
            client_cert: at("etcd/healthcheck-client.crt"),
            client_key: at("etcd/healthcheck-client.key"),
        },
        PkiLayout::Shared { .. } => Files {
            ca: at("ca.pem"),
            server_cert: at("kubernetes.pem"),
            server_key: at("kubernetes-key.pem"),
            peer_cert: at("kubernetes.pem"),
            peer_key: at("kubernetes-key.pem"),
            client_cert: at("kubernetes.pem"),
            client_key: at("kubernetes-key.pem"),
        },
    })
}

/// The authority of the recipe's cluster, derived from its secret.
pub(crate) fn authority(
    recipe: &Recipe,
    secret: &ClusterSecret,
    validity: Validity,
) -> Result<Authority, ComposeError> {
    let common_name = match recipe.pki.layout {
        PkiLayout::Kubeadm { .. } => "etcd-ca",
        PkiLayout::Shared { .. } => "Kubernetes",
    };
    let spec = AuthoritySpec {
        label: KeyLabel::new(["ca", "etcd"]),
        common_name: common_name.to_owned(),
        generation: 1,
        validity,
    };
    Ok(Authority::derive(secret, &spec)?)
}

/// What every certificate of a cluster is issued with.
pub(crate) struct Issuing<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) secret: &'a ClusterSecret,
    pub(crate) generation: u32,
    pub(crate) validity: Validity,
}

impl Issuing<'_> {
    /// Issues one certificate.
    pub(crate) fn issue(
        &self,
        label: KeyLabel,
        common_name: &str,
        organisation: Option<&str>,
        names: Vec<AltName>,
        usage: Usage,
    ) -> Result<Issued, ComposeError> {
        let spec = LeafSpec {
            label,
            common_name: common_name.to_owned(),
            organisation: organisation.map(str::to_owned),
            names,
            usage,
            generation: self.generation,
            validity: self.validity,
        };
        Ok(self.authority.issue(self.secret, &spec)?)
    }
}

/// Adds a node's certificates and keys to its layer.
pub(crate) fn add(
    layer: &mut Layer,
    recipe: &Recipe,
    node: &Node,
    issuing: &Issuing<'_>,
    ids: SystemIds,
) -> Result<(), ComposeError> {
    match &recipe.pki.layout {
        PkiLayout::Kubeadm { dir } => add_kubeadm(layer, dir, node, issuing, ids),
        PkiLayout::Shared { dir } => add_shared(layer, dir, recipe, issuing, ids),
    }
}

fn add_kubeadm(
    layer: &mut Layer,
    dir: &TreePath,
    node: &Node,
    issuing: &Issuing<'_>,
    ids: SystemIds,
) -> Result<(), ComposeError> {
    let name = node.name.as_str();
    let names = || alt_names([node]);
    let both = Usage::ServerAndClient;
    let pairs = [
        ("etcd/server", name, names(), both, ids.etcd),
        ("etcd/peer", name, names(), both, ids.etcd),
        (
            "etcd/healthcheck-client",
            "kube-etcd-healthcheck-client",
            Vec::new(),
            Usage::Client,
            Owner::ROOT,
        ),
        (
            "apiserver-etcd-client",
            "kube-apiserver-etcd-client",
            Vec::new(),
            Usage::Client,
            Owner::ROOT,
        ),
    ];
    layer.certificate(
        &format!("{dir}/etcd/ca.crt"),
        issuing.authority.certificate(),
    )?;
    for (file, common_name, names, usage, owner) in pairs {
        let label = KeyLabel::new(["kubeadm", file, name]);
        let issued = issuing.issue(label, common_name, None, names, usage)?;
        layer.certificate(&format!("{dir}/{file}.crt"), &issued.certificate)?;
        layer.key(&format!("{dir}/{file}.key"), owner, &issued.key)?;
    }
    Ok(())
}

fn add_shared(
    layer: &mut Layer,
    dir: &TreePath,
    recipe: &Recipe,
    issuing: &Issuing<'_>,
    ids: SystemIds,
) -> Result<(), ComposeError> {
    let issued = issuing.issue(
        KeyLabel::new(["shared", "kubernetes"]),
        "kubernetes",
        Some("Kubernetes"),
        alt_names(&recipe.nodes),
        Usage::ServerAndClient,
    )?;
    layer.certificate(&format!("{dir}/ca.pem"), issuing.authority.certificate())?;
    layer.certificate(&format!("{dir}/kubernetes.pem"), &issued.certificate)?;
    layer.key(&format!("{dir}/kubernetes-key.pem"), ids.etcd, &issued.key)
}

/// What a server certificate for `nodes` holds for: their names, localhost, their addresses,
/// the loopback addresses, and what the recipe adds. Names come before addresses, nothing
/// twice.
fn alt_names<'a>(nodes: impl IntoIterator<Item = &'a Node> + Clone) -> Vec<AltName> {
    let dns = |name: &str| AltName::Dns(name.to_owned());
    let mut wanted: Vec<AltName> = nodes
        .clone()
        .into_iter()
        .map(|node| dns(node.name.as_str()))
        .collect();
    wanted.push(dns("localhost"));
    wanted.extend(
        nodes
            .clone()
            .into_iter()
            .map(|node| AltName::Ip(node.address)),
    );
    wanted.push(AltName::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    wanted.push(AltName::Ip(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    for san in nodes.into_iter().flat_map(|node| &node.extra_sans) {
        wanted.push(match san {
            San::Dns(name) => dns(name),
            San::Ip(address) => AltName::Ip(*address),
        });
    }
    wanted.sort_by_key(|name| matches!(name, AltName::Ip(_)));
    let mut names = Vec::new();
    for name in wanted {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
