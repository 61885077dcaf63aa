//! What a build leaves: the files of every format asked for.
//!
//! Nodes' disks are put together once ([`NodeDisk`]) and written as whatever is wanted straight
//! from the layers: [`raw`] images, [`packed`] ones, [`block_maps`] beside both, what a
//! [`hypervisor`] reads, [`thin`] or whole. [`layers`] are the same content without a disk,
//! [`overlay`]s need none. An [`os_list`] and the files for [`libvirt`] tell of images that the
//! others have written. A file that is still what it would become is left alone; each is
//! recognised by a keyed digest of all that it is made from ([`target`]).

mod block_maps;
mod built;
mod hypervisor;
mod layers;
mod libvirt;
pub(crate) mod os_list;
mod overlay;
mod packed;
mod raw;
mod target;
mod thin;

pub(crate) use built::BuiltImage;

use crate::assembly::{Assembly, NodeLayer};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::image::Disk;
use crate::output::OutDir;
use crate::pipeline::Request;
use imgbuild_base::{Digest, Hasher};
use imgbuild_cluster::Composer;
use imgbuild_formats::compress::Codec;
use imgbuild_pki::ClusterSecret;
use imgbuild_recipe::resolved::{Format, Image, Node};
use os_list::BaseUrl;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// A node's disk, in memory.
struct NodeDisk<'a> {
    /// Whose it is.
    node: &'a Node,
    /// What is on it.
    disk: Disk,
    /// What it is made from, as a digest that only the secret's holder can compute.
    key: Digest,
}

impl NodeDisk<'_> {
    /// What the disk's file in a format is made from; `version` tells apart what the same disk
    /// was and is written as.
    fn key_of(&self, format: Format, version: &str) -> Digest {
        let mut hasher = Hasher::new();
        hasher
            .field(format.as_str())
            .field(version)
            .field(self.key.as_bytes());
        hasher.finish()
    }
}

/// What is written: all that was asked for and what that takes.
pub(crate) fn formats(
    asked: &[Format],
    image: &Image,
    base_url: Option<&BaseUrl>,
) -> Result<BTreeSet<Format>> {
    let mut formats: BTreeSet<Format> = asked.iter().copied().collect();
    let is_for = |format: &&Format| format.is_for(image.board, image.arch);
    if let Some(format) = formats.iter().find(|format| !is_for(format)) {
        let (board, arch) = (image.board, image.arch);
        let text = format!("{format} is not for the board {board} with {arch}");
        let words: Vec<&str> = Format::ALL
            .iter()
            .filter(is_for)
            .map(|one| one.as_str())
            .collect();
        return Err(CommandError::msg(Failure::Recipe, text)
            .hint(format!("its formats are {}", words.join(", "))));
    }
    if formats.contains(&Format::OsList) {
        base_url.ok_or_else(os_list::no_base_url)?;
        if os_list::image_format(&formats).is_none() {
            formats.insert(Format::ImgXz);
        }
    }
    if formats.contains(&Format::Libvirt) && libvirt::image_format(&formats).is_none() {
        formats.insert(Format::Qcow2);
    }
    Ok(formats)
}

/// Writes the files of a build, as far as they are not there already: by format, in the order of
/// the recipe. What earlier builds left and nothing asks for any more is removed.
pub(crate) fn write(
    assembly: &Assembly<'_>,
    composer: &Composer<'_>,
    secret: &ClusterSecret,
    out: &mut OutDir,
) -> Result<Vec<BuiltImage>> {
    let request = assembly.request();
    let wanted = |format| request.formats.contains(&format);
    let mut files = Vec::new();
    if request.formats.iter().any(|format| format.has_system()) {
        let own = assembly.node_layers(composer)?;
        let disks = disks(assembly, &own, secret)?;
        if wanted(Format::Img) {
            files.extend(raw::write(request, &disks, out)?);
        }
        for (format, codec) in [(Format::ImgZst, Codec::Zstd), (Format::ImgXz, Codec::Xz)] {
            if wanted(format) {
                files.extend(packed::write(request, format, codec, &disks, out)?);
            }
        }
        block_maps::write(&disks, &mut files, out)?;
        if wanted(Format::Qcow2) {
            files.extend(hypervisor::qcow2(request, &disks, out)?);
        }
        if wanted(Format::Qcow2Thin) {
            files.extend(thin::write(assembly, &disks, out)?);
        }
        if wanted(Format::Vmdk) {
            files.extend(hypervisor::vmdk(request, &disks, out)?);
        }
        if wanted(Format::Vhd) {
            files.extend(hypervisor::vhd(assembly, &disks, out)?);
        }
        if wanted(Format::Ova) {
            files.extend(hypervisor::ova(assembly, &disks, out)?);
        }
        if wanted(Format::Layers) {
            files.extend(layers::write(assembly, &own, &disks, out)?);
        }
        if wanted(Format::OsList) {
            let list = os_list::write(assembly, &disks, &files, out)?;
            files.push(list);
        }
        if wanted(Format::Libvirt) {
            files.extend(libvirt::write(assembly, &files, out)?);
        }
    }
    if wanted(Format::Overlay) {
        files.extend(overlay::write(assembly, composer, secret, out)?);
    }
    let current: BTreeSet<String> = files.iter().map(|file| file.name.clone()).collect();
    out.retain(|name| current.contains(name) || is_of_use(request, name))
        .or_fail(Failure::Storage)?;
    Ok(files)
}

fn disks<'a>(
    assembly: &Assembly<'_>,
    own: &[NodeLayer<'a>],
    secret: &ClusterSecret,
) -> Result<Vec<NodeDisk<'a>>> {
    own.par_iter()
        .map(|own| {
            Ok(NodeDisk {
                node: own.node,
                disk: assembly.disk(own)?,
                key: assembly.disk_key(secret, own)?,
            })
        })
        .collect()
}

/// Whether a file that this build did not write may stay: a node's in another format, or of a
/// node that was not wanted. Files that are named by their content are known to be of no use
/// only when this build wrote all of their kind.
fn is_of_use(request: &Request, name: &str) -> bool {
    let recipe = &request.project.recipe;
    let all = request.nodes().len() == recipe.nodes.len();
    let is_complete = |format| all && request.formats.contains(&format);
    if name.starts_with(layers::DIRECTORY) {
        return !is_complete(Format::Layers);
    }
    if name.starts_with(thin::BASE) {
        return !is_complete(Format::Qcow2Thin);
    }
    let own = name.strip_prefix(libvirt::DIRECTORY).unwrap_or(name);
    let whose = own.split_once('.').map_or(own, |(whose, _)| whose);
    let is_for_all = [os_list::NAME, libvirt::NETWORK, libvirt::SCRIPT].contains(&own);
    is_for_all || recipe.nodes.iter().any(|node| node.name.as_str() == whose)
}
