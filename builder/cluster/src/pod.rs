//! etcd in a container: a pod's manifest where kubelet looks for static pods, and what makes
//! podman play it at boot, from the templates `overlays/etcd/etcd.{yaml,kube}`.
//!
//! The image is in the etcd layer, in an additional store of podman's: no registry is asked,
//! nothing is copied at the first boot, and a changed etcd layer changes the image too. What
//! podman writes is below /var. kubelet is not needed, and neither is what only it can do: the
//! probes of kubeadm's manifest are left out, since podman would ask them by a program that
//! the image has not got; systemd starts the pod again when it ends.

use crate::config::Rendered;
use crate::layer::{Layer, SystemIds};
use crate::layout::Files;
use crate::template::{Template, overlay};
use crate::{ComposeError, first_start, quote, unit};
use imgbuild_base::{Arch, TreePath};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::Node;
use minijinja::{Value, context};

const MANIFEST: Template = overlay!("etcd/etcd.yaml");
const KUBE: Template = overlay!("etcd/etcd.kube");
const STORAGE: &str = include_str!("../../../overlays/etcd/storage.conf");
const CONTAINERS: &str = include_str!("../../../overlays/etcd/containers.conf");

/// Where the manifest is, below the root: kubelet's directory of static pods.
pub const MANIFEST_PATH: &str = "etc/kubernetes/manifests/etcd.yaml";
/// Where the unit that podman's generator reads is, below the root.
pub const KUBE_PATH: &str = "etc/containers/systemd/etcd.kube";

/// What a pod runs.
pub(crate) struct Pod<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) node: &'a Node,
    /// The image's name.
    pub(crate) image: &'a str,
    /// Its settings, as flags.
    pub(crate) config: &'a Rendered,
    pub(crate) files: &'a Files,
    pub(crate) ids: SystemIds,
}

impl Pod<'_> {
    /// Adds the pod to its node's layer.
    pub(crate) fn add(&self, layer: &mut Layer) -> Result<(), ComposeError> {
        layer.text(MANIFEST_PATH, self.manifest()?)?;
        let kube = KUBE.render(context! {
            name => self.node.name.as_str(),
            cluster => self.recipe.cluster.name.as_str(),
            guard => first_start::command(&self.node.etcd)?,
            manifest => format!("/{MANIFEST_PATH}"),
        })?;
        layer.text(KUBE_PATH, kube)?;
        layer.text("etc/containers/storage.conf", STORAGE.to_owned())?;
        layer.text("etc/containers/containers.conf", CONTAINERS.to_owned())
    }

    fn manifest(&self) -> Result<String, ComposeError> {
        let arguments = self.config.arguments.iter();
        let arguments: Vec<String> = arguments.map(|text| quote::yaml(text)).collect();
        let mut volumes = Vec::new();
        for (nth, dir) in unit::directories(&self.node.etcd).enumerate() {
            let name = if nth == 0 { "etcd-data" } else { "etcd-wal" };
            volumes.push(volume(name, &unit::kept(dir)?, false));
        }
        volumes.push(volume("etcd-certs", &certificates(self.files)?, true));
        let mut environment = Vec::new();
        if self.recipe.image.arch == Arch::Armhf {
            environment.push(variable("ETCD_UNSUPPORTED_ARCH", "arm"));
        }
        for (name, value) in &self.node.tuning.environment {
            environment.push(variable(name.as_str(), value.as_str()));
        }
        MANIFEST.render(context! {
            name => self.node.name.as_str(),
            cluster => self.recipe.cluster.name.as_str(),
            image => self.image,
            arguments,
            environment,
            uid => self.ids.etcd.uid,
            gid => self.ids.etcd.gid,
            volumes,
        })
    }
}

/// The directory of what etcd itself uses, which is the CA certificate's in every layout.
fn certificates(files: &Files) -> Result<String, ComposeError> {
    let ca = TreePath::new(files.ca.trim_start_matches('/'))?;
    let dir = ca.parent().unwrap_or_else(|| ca.clone());
    Ok(dir.absolute())
}

fn variable(name: &str, value: &str) -> Value {
    context! { name => name, value => quote::yaml(value) }
}

/// A directory that the container sees where the node has it.
fn volume(name: &str, path: &str, read_only: bool) -> Value {
    context! { name => name, path => path, read_only => read_only }
}
