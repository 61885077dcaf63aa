//! Who the node is: host name, machine-id, the names of its peers. Templates in `overlays/node`.

use crate::ComposeError;
use crate::layer::{Layer, Owner};
use crate::template::{Template, overlay};
use imgbuild_base::NodeName;
use imgbuild_pki::{ClusterSecret, KeyLabel};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::Node;
use imgbuild_recipe::values::DomainName;
use minijinja::context;

const HOSTS: Template = overlay!("node/hosts");

/// Where a node's layer says whose it is, for who looks at an image or a card: JSON with the
/// cluster's name and the node's.
pub const PLATE: &str = "etc/imgbuild-node.json";

/// Adds the identity's files to a node's layer.
pub(crate) fn add(
    layer: &mut Layer,
    recipe: &Recipe,
    node: &Node,
    secret: &ClusterSecret,
) -> Result<(), ComposeError> {
    layer.text("etc/hostname", format!("{}\n", node.hostname))?;
    layer.text("etc/hosts", hosts(recipe, node)?)?;
    // Names hold nothing that JSON would have to escape.
    let plate = format!(
        "{{\"cluster\":\"{}\",\"node\":\"{}\"}}\n",
        recipe.cluster.name, node.name
    );
    layer.text(PLATE, plate)?;
    layer.file(
        "etc/machine-id",
        0o444,
        Owner::ROOT,
        machine_id(secret, &node.name) + "\n",
    )
}

/// `/etc/hosts` with every node of the cluster, by its full name first where it has one.
fn hosts(recipe: &Recipe, own: &Node) -> Result<String, ComposeError> {
    let nodes: Vec<_> = recipe
        .nodes
        .iter()
        .map(|node| {
            let full = node.network.domain.as_ref();
            let full = full.map(|domain| format!("{}.{domain}", node.hostname));
            // The first is the canonical one: the host's.
            let name = Some(&node.name).filter(|name| *name.host() != node.hostname);
            let names: Vec<String> = full
                .into_iter()
                .chain([node.hostname.to_string()])
                .chain(name.map(ToString::to_string))
                .collect();
            let names = names.join(" ");
            context! { names, address => node.address.to_string() }
        })
        .collect();
    let entries: Vec<_> = own
        .network
        .hosts
        .iter()
        .map(|entry| {
            let names: Vec<&str> = entry.names().iter().map(DomainName::as_str).collect();
            context! { names => names.join(" "), address => entry.address().to_string() }
        })
        .collect();
    HOSTS.render(context! { nodes, entries })
}

/// The node's machine-id (machine-id(5)): 32 hexadecimal digits that form a version 4 UUID
/// (RFC 9562 5.4), derived from the cluster's secret.
#[must_use]
pub fn machine_id(secret: &ClusterSecret, node: &NodeName) -> String {
    let mut bytes: [u8; 16] = secret.derive_bytes(&KeyLabel::new(["machine-id", node.as_str()]));
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
