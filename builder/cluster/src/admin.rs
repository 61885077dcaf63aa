//! The bundle with which people reach a new cluster at once: the authority's certificate, a
//! client certificate, variables for etcdctl, the nodes' ssh host keys. Templates in
//! `overlays/node/admin`.

use crate::config;
use crate::layer::{Layer, Owner};
use crate::layout::{Issuing, Subject};
use crate::template::{Template, overlay};
use crate::{ComposeError, Quorum, access};
use imgbuild_pki::KeyLabel;
use imgbuild_recipe::Recipe;
use minijinja::context;

const ENV: Template = overlay!("node/admin/env");
const README: Template = overlay!("node/admin/README.md");

/// The common name of the bundle's certificate: the user who may do everything once etcd's
/// authentication is switched on.
pub const USER: &str = "root";

/// Adds the bundle's files, at the root of its tree.
pub(crate) fn add(
    layer: &mut Layer,
    recipe: &Recipe,
    issuing: &Issuing<'_>,
) -> Result<(), ComposeError> {
    let label = KeyLabel::new(["admin", USER]);
    let client = issuing.issue(Subject::client(label, USER), recipe.pki.leaf)?;
    layer.certificate("ca.crt", issuing.authority.certificate())?;
    layer.text("client.crt", client.pem())?;
    layer.key("client.key", Owner::ROOT, &client.key)?;
    let mut clients = Vec::new();
    for client in recipe.pki.clients.iter().filter(|client| client.admin) {
        let issued = issuing.client(client)?;
        let name = &client.name;
        layer.text(&format!("{name}.crt"), issued.pem())?;
        layer.key(&format!("{name}.key"), Owner::ROOT, &issued.key)?;
        let user = client.common_name.as_str();
        clients.push(context! { name => name.as_str(), user });
    }

    let endpoints: Vec<String> = recipe.nodes.iter().flat_map(config::client_urls).collect();
    let cluster = recipe.cluster.name.as_str();
    layer.text(
        "env",
        ENV.render(context! { cluster, endpoints => endpoints.join(",") })?,
    )?;
    let members: Vec<String> = recipe
        .nodes
        .iter()
        .map(|node| format!("{} ({})", node.name, node.address))
        .collect();
    let first = recipe.nodes.first();
    let readme = README.render(context! {
        cluster,
        user => USER,
        clients,
        ssh => recipe.any_ssh(),
        endpoint => endpoints.first(),
        address => first.map(|node| node.address.to_string()),
        members => members.join(", "),
        quorum => Quorum::of(recipe.nodes.len()).to_string(),
    })?;
    layer.text("README.md", readme)?;

    if recipe.any_ssh() {
        let mut lines = String::new();
        for node in recipe.nodes.iter().filter(|node| node.access.ssh.is_some()) {
            let key = access::host_key(issuing.secret, node)?;
            let names = node.names().map(ToString::to_string);
            let names: Vec<String> = names.chain([node.address.to_string()]).collect();
            lines.push_str(&key.known_hosts_line(&names));
        }
        layer.text("ssh_known_hosts", lines)?;
    }
    Ok(())
}
