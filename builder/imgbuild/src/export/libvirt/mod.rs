//! What libvirt needs to run the cluster: `libvirt/network.xml`, a domain for each node in
//! `libvirt/NODE.domain.xml`, and `libvirt/virt-install.sh`, which makes all of it from the images.
//!
//! No file has a path of the building machine in it: disks are named as volumes of a storage
//! pool, to which the script copies them, so that the built images stay as they are. The
//! images bring their addresses; nothing is configured from outside.

mod domain;
mod network;
mod script;

use super::BuiltImage;
use super::target::{self, Target};
use crate::assembly::Assembly;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::output::OutDir;
use imgbuild_base::{Arch, Digest};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Format, Node};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::io::Write as _;

/// The directory.
pub(super) const DIRECTORY: &str = "libvirt/";
/// The network's file.
pub(super) const NETWORK: &str = "network.xml";
/// The script.
pub(super) const SCRIPT: &str = "virt-install.sh";
/// The storage pool that libvirt's own tools use.
const POOL: &str = "default";
/// Memory of a machine in MiB: twice of what suffices.
const MEMORY: u32 = 512;

/// A node as libvirt sees it.
struct Guest<'a> {
    node: &'a Node,
    /// The image's file in the output directory.
    image: &'a str,
    /// The name of the machine and of its disk: libvirt's names are the host's, not the
    /// cluster's.
    name: String,
    /// Its network card's address.
    mac: String,
}

/// The cluster as libvirt sees it.
struct Cluster<'a> {
    recipe: &'a Recipe,
    /// The name of its network.
    name: &'a str,
    /// What libvirt calls the images' format.
    driver: &'static str,
    /// Files that the images build upon.
    bases: Vec<&'a str>,
    guests: Vec<Guest<'a>>,
}

/// The format that the machines' disks are in, of all that is written.
pub(super) fn image_format(formats: &BTreeSet<Format>) -> Option<Format> {
    [Format::Qcow2, Format::Qcow2Thin, Format::Img]
        .into_iter()
        .find(|format| formats.contains(format))
}

/// Writes the files for the nodes among `images`, as far as they are not there already.
pub(super) fn write(
    assembly: &Assembly<'_>,
    images: &[BuiltImage],
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let request = assembly.request();
    let format = image_format(&request.formats);
    let cluster = cluster(&request.project.recipe, &request.nodes(), format, images)?;
    let mut texts = vec![
        (None, NETWORK.to_owned(), network::xml(&cluster)),
        (None, SCRIPT.to_owned(), script::text(&cluster)),
    ];
    for guest in &cluster.guests {
        let name = format!("{}.domain.xml", guest.node.name);
        texts.push((Some(guest.node), name, domain::xml(&cluster, guest)));
    }
    let files: Vec<(Target<'_>, &str)> = texts
        .iter()
        .map(|(node, name, text)| {
            let name = format!("{DIRECTORY}{name}");
            let key = Digest::of(text.as_bytes());
            (Target::new(out, Format::Libvirt, *node, name, key), &**text)
        })
        .collect();
    let digests: Vec<Digest> = files
        .par_iter()
        .filter(|(target, _)| target.is_missing())
        .map(|(target, text)| {
            out.write(&target.name, |mut file| file.write_all(text.as_bytes()))?;
            Ok(Digest::of(text.as_bytes()))
        })
        .collect::<std::io::Result<_>>()
        .or_fail(Failure::Storage)?;
    let targets = files.into_iter().map(|(target, _)| target).collect();
    target::all_done(targets, digests, out)
}

fn cluster<'a>(
    recipe: &'a Recipe,
    nodes: &[&'a Node],
    format: Option<Format>,
    images: &'a [BuiltImage],
) -> Result<Cluster<'a>> {
    let name = recipe.cluster.name.as_str();
    let of_format: Vec<&BuiltImage> = images
        .iter()
        .filter(|image| Some(image.format) == format)
        .collect();
    let guest = |node: &&'a Node| {
        let image = of_format.iter().find(|image| image.is_of(&node.name));
        let image = image.ok_or_else(|| {
            let text = format!("{} has no image for libvirt", node.name);
            CommandError::msg(Failure::Other, text)
        })?;
        Ok(Guest {
            node,
            image: &image.name,
            name: format!("{name}-{}", node.name),
            mac: mac(node),
        })
    };
    Ok(Cluster {
        recipe,
        name,
        driver: match format {
            Some(Format::Img) => "raw",
            _ => "qcow2",
        },
        bases: of_format
            .iter()
            .filter(|image| image.owner.is_none())
            .map(|image| image.name.as_str())
            .collect(),
        guests: nodes.iter().map(guest).collect::<Result<_>>()?,
    })
}

/// The address of a node's network card: the one by which the node finds it, or one that
/// follows from the node's name, as in `imgbuild run`.
fn mac(node: &Node) -> String {
    let own = node.network.mac.map(|mac| mac.octets());
    let octets = own.unwrap_or_else(|| imgbuild_lab::mac_of(&node.name));
    octets.map(|octet| format!("{octet:02x}")).join(":")
}

/// What libvirt calls an architecture, and the machine that is emulated.
const fn machine(arch: Arch) -> (&'static str, &'static str) {
    match arch {
        Arch::Amd64 => ("x86_64", "q35"),
        Arch::Arm64 => ("aarch64", "virt"),
        Arch::Armhf => ("armv7l", "virt"),
    }
}

impl Guest<'_> {
    /// The name of its disk in the pool.
    fn volume(&self, cluster: &Cluster<'_>) -> String {
        format!("{}.{}", self.name, cluster.driver)
    }
}

#[cfg(test)]
mod tests;
