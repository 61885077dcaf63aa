//! Which certificates a node holds, and where: the two layouts that are in use.
//!
//! | layout | authority | certificates |
//! |---|---|---|
//! | kubeadm | `etcd-ca` | `etcd/server`, `etcd/peer` (both server and client, the node's names), `etcd/healthcheck-client`, `apiserver-etcd-client` (clients) |
//! | shared | `Kubernetes` | `kubernetes.pem` (server and client, the names of all nodes that share it), the same on all of them |
//!
//! The cluster has one authority, called as its layout has it, and nodes may differ in layout.
//! The files may have other names, and the recipe may add client certificates. In both the keys
//! etcd uses belong to etcd, the others to root; all are 0600. Names, common
//! names, organisations and usages are those kubeadm writes, and those of the walkthroughs
//! that use one pair for everything.

use crate::ComposeError;
use crate::layer::{Layer, Owner, SystemIds, plain};
use imgbuild_base::{Epoch, TreePath};
use imgbuild_pki::{
    AltName, Authority, AuthoritySpec, ClusterSecret, Issued, KeyLabel, LeafSpec, Usage, Validity,
};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{
    FilePair, KeyKind, KeyOwner, LeafPki, Node, NodePki, PkiAuthority, PkiClient, PkiLayout,
};
use imgbuild_recipe::values::{FileName, San, SubjectName};
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

/// Where a node's certificates are.
///
/// # Errors
/// [`ComposeError::Path`] when the directory would need quoting.
pub fn files(pki: &NodePki) -> Result<Files, ComposeError> {
    let dir = plain(pki.layout.dir(), "the directory of the certificates")?;
    let at = |name: &FileName| format!("{dir}/{name}");
    let names = &pki.files;
    Ok(Files {
        ca: at(&names.ca),
        server_cert: at(&names.server.cert),
        server_key: at(&names.server.key),
        peer_cert: at(&names.peer.cert),
        peer_key: at(&names.peer.key),
        client_cert: at(&names.healthcheck.cert),
        client_key: at(&names.healthcheck.key),
    })
}

/// The authority that the cluster's secret gives for the recipe, at `epoch`.
pub(crate) fn authority(
    recipe: &Recipe,
    secret: &ClusterSecret,
    epoch: Epoch,
) -> Result<Authority, ComposeError> {
    let PkiAuthority::Derived {
        common_name,
        key,
        days,
    } = &recipe.pki.authority
    else {
        return Err(ComposeError::OwnAuthority);
    };
    let spec = AuthoritySpec {
        label: KeyLabel::new(["ca", "etcd"]),
        common_name: (*common_name).to_owned(),
        kind: kind(*key),
        generation: 1,
        validity: Validity::starting(epoch, *days)?,
    };
    Ok(Authority::derive(secret, &spec)?)
}

/// A recipe's kind of key as the crate that makes it names it.
const fn kind(key: KeyKind) -> imgbuild_pki::KeyKind {
    match key {
        KeyKind::P256 => imgbuild_pki::KeyKind::P256,
        KeyKind::Rsa2048 => imgbuild_pki::KeyKind::Rsa2048,
        KeyKind::Rsa4096 => imgbuild_pki::KeyKind::Rsa4096,
        KeyKind::Ed25519 => imgbuild_pki::KeyKind::Ed25519,
    }
}

/// What every certificate of a cluster is issued with.
pub(crate) struct Issuing<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) secret: &'a ClusterSecret,
    pub(crate) epoch: Epoch,
}

/// Whom a certificate is for.
pub(crate) struct Subject<'a> {
    pub(crate) label: KeyLabel,
    pub(crate) common_name: &'a str,
    pub(crate) organisation: Option<&'a str>,
    pub(crate) names: Vec<AltName>,
    pub(crate) usage: Usage,
}

impl<'a> Subject<'a> {
    /// A client without names.
    pub(crate) const fn client(label: KeyLabel, common_name: &'a str) -> Self {
        Self {
            label,
            common_name,
            organisation: None,
            names: Vec::new(),
            usage: Usage::Client,
        }
    }
}

impl Issuing<'_> {
    /// Issues one certificate.
    pub(crate) fn issue(
        &self,
        subject: Subject<'_>,
        leaf: LeafPki,
    ) -> Result<Issued, ComposeError> {
        let spec = LeafSpec {
            label: subject.label,
            common_name: subject.common_name.to_owned(),
            organisation: subject.organisation.map(str::to_owned),
            names: subject.names,
            usage: subject.usage,
            kind: kind(leaf.key),
            generation: leaf.generation,
            validity: self.validity(leaf)?,
        };
        Ok(self.authority.issue(self.secret, &spec)?)
    }

    /// When a certificate holds.
    pub(crate) fn validity(&self, leaf: LeafPki) -> Result<Validity, ComposeError> {
        let wanted = Validity::starting(self.epoch, leaf.days)?;
        Ok(wanted.not_before_that_of(self.authority.certificate().validity()))
    }

    /// Issues a client certificate of the recipe's. It is the same wherever it is.
    pub(crate) fn client(&self, client: &PkiClient) -> Result<Issued, ComposeError> {
        let label = KeyLabel::new(["client", client.name.as_str()]);
        let subject = Subject {
            organisation: client.organisation.as_ref().map(SubjectName::as_str),
            ..Subject::client(label, client.common_name.as_str())
        };
        self.issue(subject, client.leaf)
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
    let (dir, files) = (node.pki.layout.dir(), &node.pki.files);
    let ca = format!("{dir}/{}", files.ca);
    layer.certificate(&ca, issuing.authority.certificate())?;
    match node.pki.layout {
        PkiLayout::Kubeadm { .. } => add_kubeadm(layer, node, issuing, ids)?,
        PkiLayout::Shared { .. } => {
            let subject = Subject {
                label: KeyLabel::new(["shared", "kubernetes"]),
                common_name: "kubernetes",
                organisation: Some("Kubernetes"),
                names: alt_names(recipe.nodes.iter().filter(|node| shares(node))),
                usage: Usage::ServerAndClient,
            };
            let issued = issuing.issue(subject, recipe.pki.leaf)?;
            pair(layer, dir, &files.server, ids.etcd, &issued)?;
        }
    }
    for client in &recipe.pki.clients {
        let here = client.place.as_ref();
        let Some(place) = here.filter(|place| place.nodes.contains(&node.name)) else {
            continue;
        };
        let issued = issuing.client(client)?;
        let owner = match place.owner {
            KeyOwner::Root => Owner::ROOT,
            KeyOwner::Etcd => ids.etcd,
        };
        let at = format!("{}/{}", place.dir, client.name);
        layer.text(&format!("{at}.crt"), issued.pem())?;
        let (path, mode) = (format!("{at}.key"), place.mode.bits());
        layer.file(&path, mode, owner, issued.key.expose().to_owned())?;
    }
    Ok(())
}

fn pair(
    layer: &mut Layer,
    dir: &TreePath,
    names: &FilePair,
    owner: Owner,
    issued: &Issued,
) -> Result<(), ComposeError> {
    layer.text(&format!("{dir}/{}", names.cert), issued.pem())?;
    layer.key(&format!("{dir}/{}", names.key), owner, &issued.key)
}

/// Whether a node holds the certificate that nodes share.
fn shares(node: &Node) -> bool {
    matches!(node.pki.layout, PkiLayout::Shared { .. })
}

fn add_kubeadm(
    layer: &mut Layer,
    node: &Node,
    issuing: &Issuing<'_>,
    ids: SystemIds,
) -> Result<(), ComposeError> {
    let name = node.name.as_str();
    let names = || alt_names([node]);
    let both = Usage::ServerAndClient;
    let files = &node.pki.files;
    let healthcheck = "kube-etcd-healthcheck-client";
    let apiserver = "kube-apiserver-etcd-client";
    let client = Usage::Client;
    // The label is kubeadm's name of the file, whatever the recipe calls it.
    let mut pairs = vec![
        ("etcd/server", name, names(), both, ids.etcd, &files.server),
        ("etcd/peer", name, names(), both, ids.etcd, &files.peer),
        (
            "etcd/healthcheck-client",
            healthcheck,
            Vec::new(),
            client,
            Owner::ROOT,
            &files.healthcheck,
        ),
    ];
    if let Some(files) = &files.apiserver {
        let label = "apiserver-etcd-client";
        pairs.push((label, apiserver, Vec::new(), client, Owner::ROOT, files));
    }
    for (label, common_name, names, usage, owner, files) in pairs {
        let subject = Subject {
            label: KeyLabel::new(["kubeadm", label, name]),
            common_name,
            organisation: None,
            names,
            usage,
        };
        let issued = issuing.issue(subject, node.pki.leaf)?;
        pair(layer, node.pki.layout.dir(), files, owner, &issued)?;
    }
    Ok(())
}

/// What a server certificate for `nodes` holds for: their names, localhost, their addresses,
/// the loopback addresses, and what the recipe adds. Names come before addresses, nothing
/// twice.
fn alt_names<'a>(nodes: impl IntoIterator<Item = &'a Node> + Clone) -> Vec<AltName> {
    let dns = |name: &str| AltName::Dns(name.to_owned());
    let mut wanted: Vec<AltName> = nodes
        .clone()
        .into_iter()
        .flat_map(Node::names)
        .map(|name| dns(name.as_str()))
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
