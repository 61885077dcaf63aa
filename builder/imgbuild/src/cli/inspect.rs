//! `imgbuild inspect`: what an image or a card is.

use crate::error::{CommandError, Failure, Result};
use crate::inspect::Inspection;
use crate::medium::{Medium, no_image};
use crate::messages::Message;
use crate::opened::Opened;
use crate::summary::date;
use crate::terminal::{Terminal, table};
use imgbuild_base::ByteSize;
use imgbuild_formats::source::Source;
use std::path::Path;

/// Runs `imgbuild inspect`.
pub(crate) fn inspect(terminal: &Terminal, path: &Path) -> Result<()> {
    let medium = Medium::open(path)?;
    let size = medium.size();
    let disk = Opened::new(&medium).map_err(|error| no_image(path, &error))?;
    let found = Inspection::of(&disk, size)
        .map_err(|error| error.context(format!("inspecting {}", path.display())))?;
    terminal.message(&Message::Inspect(found.message()));
    terminal.result(&text(&found));
    match found.layers.iter().find(|layer| !layer.sound) {
        None => Ok(()),
        Some(layer) => {
            let text = format!(
                "{} is damaged: the SHA-256 of its content is {}",
                layer.name, layer.sha256
            );
            Err(CommandError::msg(Failure::Verify, text)
                .hint("write the image anew; a layer's name ends with its digest's first digits"))
        }
    }
}

fn text(found: &Inspection) -> String {
    let unknown = || "unknown".to_owned();
    let mut lines = vec![
        ("board", found.board.map_or_else(unknown, str::to_owned)),
        ("architecture", found.arch.clone().unwrap_or_else(unknown)),
        ("Debian", found.debian.clone().unwrap_or_else(unknown)),
        ("etcd", found.etcd.clone().unwrap_or_else(unknown)),
    ];
    match &found.node {
        Some(plate) => {
            lines.push(("cluster", plate.cluster.clone()));
            lines.push(("node", plate.node.clone()));
        }
        None => lines.push((
            "node",
            "none: it starts once a node's layer lies in layers/ on its boot partition \
             (imgbuild node-layer)"
                .to_owned(),
        )),
    }
    if let Some(until) = found.until() {
        lines.push(("certificates", format!("the first ends on {}", date(until))));
    }
    let disk = format!(
        "{}, {} with {} partition{}",
        ByteSize::bytes(found.size),
        found.table,
        found.partitions,
        if found.partitions == 1 { "" } else { "s" }
    );
    lines.push(("disk", disk));
    let mut text: String = lines
        .iter()
        .map(|(what, value)| format!("{what:<13} {value}\n"))
        .collect();
    if !found.certificates.is_empty() {
        let rows: Vec<Vec<String>> = found
            .certificates
            .iter()
            .map(|one| vec![one.file.clone(), one.subject.clone(), date(one.until)])
            .collect();
        let head = ["certificate", "subject", "valid until"];
        text.push_str(&format!("\n{}\n", table(&head, &rows)));
    }
    let rows: Vec<Vec<String>> = found
        .layers
        .iter()
        .map(|layer| {
            let state = if layer.sound { "" } else { "DAMAGED" };
            vec![
                layer.name.clone(),
                ByteSize::bytes(layer.size).to_string(),
                layer.sha256.to_string(),
                state.to_owned(),
            ]
        })
        .collect();
    let head = ["layer", "size", "sha256", ""];
    text.push_str(&format!("\n{}", table(&head, &rows)));
    text
}
