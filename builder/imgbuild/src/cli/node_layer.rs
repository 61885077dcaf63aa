//! `imgbuild node-layer`: the one file that makes a published image a node's.

use super::args::{GlobalArgs, NodeLayerArgs};
use crate::error::{Failure, OrFail, Result};
use crate::image::Layer;
use crate::messages::{self, Message};
use crate::output::{make_private_dir, put_file};
use crate::pipeline;
use crate::terminal::Terminal;

/// Runs `imgbuild node-layer`.
pub(crate) fn node_layer(
    terminal: &Terminal,
    global: &GlobalArgs,
    args: &NodeLayerArgs,
) -> Result<()> {
    let build = args.keys.build(vec![args.node.clone()]);
    let request = super::request(terminal, global, &args.name, &build)?;
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| request.out.join("layers"));
    let layers = pipeline::node_layers(&request, |_, own| {
        Ok((own.node.name.clone(), own.layer.clone()))
    })?;
    if !out.exists() {
        // A directory of the user's own keeps its permissions; the file is private.
        make_private_dir(&out).or_fail(Failure::Storage)?;
    }
    for (node, Layer { name, body }) in layers {
        put_file(&out, &name, body.bytes(), 0o600).or_fail(Failure::Storage)?;
        let path = out.join(&name);
        terminal.message(&Message::NodeLayer(messages::card::NodeLayer {
            node: node.to_string(),
            path: path.clone(),
            sha256: body.digest().to_string(),
            size: body.bytes().len() as u64,
        }));
        terminal.result(&path.display().to_string());
        terminal.events().note(format!(
            "it holds the keys of {node}: copy it into layers/ on the boot partition of a published \
             image, in place of any other 20-….squashfs"
        ));
    }
    Ok(())
}
