use crate::layer::Layer;
use crate::layout::{self, Issuing, Subject};
use crate::network::Passphrases;
use crate::pod::Pod;
use crate::{
    Below, CLOCK_FLOOR, ComposeError, Quorum, Sources, SystemIds, access, admin, config, etcdctl,
    files, first_start, identity, kernel, network, overlay, unit, units,
};
use imgbuild_base::{Digest, Epoch, Tree};
use imgbuild_pki::{Authority, ClusterSecret, Issued, KeyLabel};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Node, Run};

/// Makes the node layers and the admin bundle of one cluster.
///
/// The same recipe, secret, epoch, sources and layers below give the same bytes. Nodes are independent of each
/// other: [`Composer::node`] may be called from several threads, and for some nodes only.
pub struct Composer<'a> {
    recipe: &'a Recipe,
    secret: &'a ClusterSecret,
    authority: Authority,
    epoch: Epoch,
    sources: &'a Sources,
    passphrases: Passphrases,
}

/// What a summary says about a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How many members may fail.
    pub quorum: Quorum,
    /// When the first certificate ends.
    pub certificates_until: Epoch,
    /// When the authority's certificate ends.
    pub authority_until: Epoch,
    /// What the user should know though it is no mistake, in sentences.
    pub warnings: Vec<String>,
}

/// A client certificate that somebody asks for by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientRequest<'a> {
    /// The common name.
    pub common_name: &'a str,
    /// The organisation.
    pub organisation: Option<&'a str>,
    /// Days it is valid, unless as many as the recipe's certificates.
    pub days: Option<u32>,
}

impl<'a> Composer<'a> {
    /// A composer with the authority that the cluster's secret gives. `epoch` is the lock's:
    /// the "now" of certificates, file times and the clock's floor; `sources` are the files
    /// beside the recipe that it names.
    ///
    /// # Errors
    /// [`ComposeError`] when the recipe's validities lead beyond 2106.
    pub fn new(
        recipe: &'a Recipe,
        secret: &'a ClusterSecret,
        epoch: Epoch,
        sources: &'a Sources,
    ) -> Result<Self, ComposeError> {
        let authority = layout::authority(recipe, secret, epoch)?;
        Ok(Self::with_authority(
            recipe, secret, epoch, sources, authority,
        ))
    }

    /// A composer with an authority brought by the user.
    #[must_use]
    pub const fn with_authority(
        recipe: &'a Recipe,
        secret: &'a ClusterSecret,
        epoch: Epoch,
        sources: &'a Sources,
        authority: Authority,
    ) -> Self {
        Self {
            recipe,
            secret,
            authority,
            epoch,
            sources,
            passphrases: Passphrases::new(),
        }
    }

    /// The same with the passphrases of the recipe's wireless networks. Without them no layer
    /// can be made for a node that is on one.
    #[must_use]
    pub fn with_passphrases(self, passphrases: Passphrases) -> Self {
        Self {
            passphrases,
            ..self
        }
    }

    /// The authority that signs.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    fn issuing(&self) -> Issuing<'_> {
        Issuing {
            authority: &self.authority,
            secret: self.secret,
            epoch: self.epoch,
        }
    }

    /// The layer of `node`, one of the recipe's, above the layers `below`. It holds private keys: it belongs into no
    /// store, and its plain digest into no log ([`Composer::seal`] makes one that tells
    /// nothing).
    ///
    /// # Errors
    /// [`ComposeError`] when a path or name of the recipe cannot be used.
    pub fn node(&self, node: &Node, below: &Below) -> Result<Tree, ComposeError> {
        let mut layer = Layer::new(self.epoch);
        identity::add(&mut layer, self.recipe, node, self.secret)?;
        network::add(&mut layer, self.recipe, node, &self.passphrases)?;
        access::add(&mut layer, &self.recipe.image, node, self.secret, below)?;
        let run = node.etcd.run;
        self.member(&mut layer, node, below.ids(), run)?;
        // podman makes no directories for another user, and StateDirectory= reaches only below
        // /var/lib.
        let made: String = unit::directories(&node.etcd)
            .filter(|dir| run == Run::StaticPod || !dir.is_within("var/lib"))
            .map(|dir| format!("d {} 0700 etcd etcd\n", dir.absolute()))
            .collect();
        if !made.is_empty() {
            layer.text("etc/tmpfiles.d/etcd.conf", made)?;
        }
        layer.stamp(CLOCK_FLOOR, self.clock_floor())?;
        let (system, sources) = (&node.system, self.sources);
        kernel::add(&mut layer, &system.kernel)?;
        units::add(&mut layer, &system.units, below, sources)?;
        files::add(&mut layer, &node.etcd, &system.files, below, sources)?;
        Ok(layer.into_tree())
    }

    /// What makes a machine this member of the cluster, whatever else it is: certificates,
    /// configuration, unit or pod, and tools.
    fn member(
        &self,
        layer: &mut Layer,
        node: &Node,
        ids: SystemIds,
        run: Run,
    ) -> Result<(), ComposeError> {
        let files = layout::files(&node.pki)?;
        let settings = config::settings(self.recipe, node, &files)?;
        let rendered = config::render(&node.etcd, &settings)?;
        layout::add(layer, self.recipe, node, &self.issuing(), ids)?;
        match (run, node.etcd.container_image()) {
            (Run::StaticPod, Some(image)) => {
                let pod = Pod {
                    recipe: self.recipe,
                    node,
                    image: &image,
                    config: &rendered,
                    files: &files,
                    ids,
                };
                pod.add(layer)?;
            }
            _ => {
                let text = unit::unit(self.recipe, node, &rendered)?;
                layer.text("etc/systemd/system/etcd.service", text)?;
                layer.enable("etcd.service", "/etc/systemd/system")?;
            }
        }
        if let Some((path, text)) = rendered.file {
            layer.text(&path, text)?;
        }
        first_start::add(layer)?;
        let wrapper = etcdctl::wrapper(node, &files)?;
        layer.file(etcdctl::WRAPPER, 0o755, crate::Owner::ROOT, wrapper)
    }

    /// The part of `node` for a machine that has an operating system already; see
    /// [`overlay`](crate::overlay). As secret as the layer is.
    ///
    /// # Errors
    /// [`ComposeError`] as [`Composer::node`].
    pub fn overlay(&self, node: &Node) -> Result<Tree, ComposeError> {
        let mut layer = Layer::new(self.epoch);
        // A pod would need podman there, and the number of etcd's user.
        self.member(&mut layer, node, overlay::IDS, Run::Service)?;
        overlay::finish(layer, &node.etcd, self.epoch)
    }

    /// A node's certificates and keys, at the paths where its layer has them; who owns them is
    /// not settled.
    ///
    /// # Errors
    /// As [`Composer::node`].
    pub fn certificates(&self, node: &Node) -> Result<Tree, ComposeError> {
        let mut layer = Layer::new(self.epoch);
        let ids = SystemIds {
            etcd: crate::Owner::ROOT,
        };
        layout::add(&mut layer, self.recipe, node, &self.issuing(), ids)?;
        Ok(layer.into_tree())
    }

    /// The admin bundle; its files are at the root of the tree.
    ///
    /// # Errors
    /// [`ComposeError`] as [`Composer::node`].
    pub fn admin(&self) -> Result<Tree, ComposeError> {
        let mut layer = Layer::new(self.epoch);
        admin::add(&mut layer, self.recipe, &self.issuing())?;
        Ok(layer.into_tree())
    }

    /// A digest of a node's layer that may be remembered: only who holds the secret can
    /// compute it, so that it confirms no guess about the keys inside.
    #[must_use]
    pub fn seal(&self, layer: &Tree) -> Digest {
        let label = KeyLabel::new(["node-layer"]);
        self.secret.keyed_digest(&label, layer.digest().as_bytes())
    }

    /// The earliest time at which a node's clock may start: the lock's epoch, or later when an
    /// authority brought by the user starts later.
    fn clock_floor(&self) -> Epoch {
        self.epoch
            .max(self.authority.certificate().validity().not_before())
    }

    /// Issues a client certificate that the recipe does not name: its key depends on the
    /// common name alone, so that it can be issued again.
    ///
    /// # Errors
    /// [`ComposeError`] when it cannot be made.
    pub fn client(&self, wanted: &ClientRequest<'_>) -> Result<Issued, ComposeError> {
        let subject = Subject {
            organisation: wanted.organisation,
            ..Subject::client(
                KeyLabel::new(["issued-client", wanted.common_name]),
                wanted.common_name,
            )
        };
        let mut leaf = self.recipe.pki.leaf;
        leaf.days = wanted.days.unwrap_or(leaf.days);
        self.issuing().issue(subject, leaf)
    }

    /// What a summary says.
    ///
    /// # Errors
    /// [`ComposeError::Validity`] when a validity leads beyond 2106.
    pub fn facts(&self) -> Result<Facts, ComposeError> {
        let recipe = self.recipe;
        let issuing = self.issuing();
        let leaves = std::iter::once(recipe.pki.leaf)
            .chain(recipe.nodes.iter().map(|node| node.pki.leaf))
            .chain(recipe.pki.clients.iter().map(|client| client.leaf));
        let mut until = self.authority.certificate().validity().not_after();
        for leaf in leaves {
            until = until.min(issuing.validity(leaf)?.not_after());
        }
        Ok(Facts {
            quorum: Quorum::of(self.recipe.nodes.len()),
            certificates_until: until,
            authority_until: self.authority.certificate().validity().not_after(),
            warnings: self
                .recipe
                .warnings
                .iter()
                .map(ToString::to_string)
                .collect(),
        })
    }
}
