//! From a recipe to a directory that can be published: the list of verbs.
//!
//! Without [`Request::secrets`] no secret is read, made or needed, and nothing in the release
//! tells of one. What the files say of each other is in [`imgbuild_release`]; [`crate::verify`]
//! holds a release against it.

mod documents;
mod images;
pub(crate) mod materials;
mod notes;
mod staging;

use crate::assembly::{Assembly, Blank};
use crate::error::{Failure, OrFail, Result};
use crate::image::{Disk, Layer};
use crate::passphrase;
use crate::pipeline;
use crate::project;
use documents::Documents;
use images::Planned;
use imgbuild_release::manifest::{ImageRecord, Packing};
use imgbuild_release::sign::SigningKey;
use imgbuild_release::{FileRecord, Manifest, ReleasePath};
use staging::{Access, Staging};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The sums of all files but these two.
pub(crate) const SUMS: &str = "SHA256SUMS";
/// The signature of the sums.
pub(crate) const SIGNATURE: &str = "SHA256SUMS.minisig";
/// What the images are made of.
pub(crate) const MANIFEST: &str = "manifest.json";
/// How the release came about.
pub(crate) const PROVENANCE: &str = "provenance.intoto.jsonl";
/// What a person reads first.
const NOTES: &str = "RELEASE.md";

/// What is to be released, and how.
pub(crate) struct Request {
    /// What is built.
    pub(crate) build: pipeline::Request,
    /// Where the release goes.
    pub(crate) out: PathBuf,
    /// Whether nodes' own images are part of it, with their private keys.
    pub(crate) secrets: bool,
    /// How images are packed.
    pub(crate) packing: Packing,
    /// Who signs, if anybody.
    pub(crate) key: Option<SigningKey>,
}

/// A finished release.
#[derive(Debug)]
pub(crate) struct Released {
    /// Its directory.
    pub(crate) path: PathBuf,
    /// What it says of itself.
    pub(crate) manifest: Manifest,
    /// Every file but the sums and their signature, with its length and digest.
    pub(crate) files: Vec<FileRecord>,
    /// The number and the text of the key that checks it, if it is signed.
    pub(crate) key: Option<(String, String)>,
}

/// Makes a release.
pub(crate) fn release(request: &Request) -> Result<Released> {
    let build = &request.build;
    let access = match request.secrets {
        true => Access::Private,
        false => Access::Public,
    };
    let staging = Staging::open(&request.out, access, &build.events)?;
    let assembly = Assembly::realise(build, build.plan()?)?;
    let images = write_images(request, &assembly, &staging)?;
    let layers = write_layers(&assembly, &staging)?;
    let documents = Documents {
        request,
        assembly: &assembly,
        staging: &staging,
    };
    let (manifest, files) = documents.write(images, layers)?;
    let key = request.key.as_ref();
    Ok(Released {
        path: staging.publish()?,
        manifest,
        files,
        key: key.map(|key| (key.id().to_string(), key.public().to_line())),
    })
}

/// The images for anybody, and with secrets those of the nodes.
fn write_images(
    request: &Request,
    assembly: &Assembly<'_>,
    staging: &Staging,
) -> Result<Vec<ImageRecord>> {
    let build = &request.build;
    let blanks = assembly.blanks()?;
    let mut planned: Vec<Planned<'_>> = blanks
        .iter()
        .enumerate()
        .map(|(at, blank)| Planned {
            stem: stem(build, at, blank),
            nodes: blank.nodes.iter().map(ToString::to_string).collect(),
            access: Access::Public,
            disk: &blank.disk.image,
        })
        .collect();
    let own = match request.secrets {
        true => own_disks(build, assembly)?,
        false => Vec::new(),
    };
    planned.extend(own.iter().map(|(node, disk)| Planned {
        stem: format!("{node}.SECRET"),
        nodes: vec![node.clone()],
        access: Access::Private,
        disk: &disk.image,
    }));
    images::write(&planned, request.packing, staging, &build.events)
}

/// What a blank image is called: after its first node where nodes do not all have the same.
fn stem(build: &pipeline::Request, at: usize, blank: &Blank) -> String {
    let plain = format!(
        "{}-{}",
        build.project.name(),
        build.project.recipe.image.arch
    );
    match (at, blank.nodes.first()) {
        (0, _) | (_, None) => plain,
        (_, Some(node)) => format!("{plain}-{node}"),
    }
}

/// The disks of all nodes, with their names.
fn own_disks(build: &pipeline::Request, assembly: &Assembly<'_>) -> Result<Vec<(String, Disk)>> {
    let passphrases = passphrase::read(&build.project, &build.nodes())?;
    let (secret, _) = project::secret(build.secret_path())?;
    let composer = build.composer(&secret)?.with_passphrases(passphrases);
    let layers = assembly.node_layers(&composer)?;
    layers
        .iter()
        .map(|own| Ok((own.node.name.to_string(), assembly.disk(own)?)))
        .collect()
}

/// The layers that nodes share, each once.
fn write_layers(assembly: &Assembly<'_>, staging: &Staging) -> Result<Vec<FileRecord>> {
    let grounds = assembly.shared().grounds().iter();
    let layers: BTreeMap<&str, &Layer> = grounds
        .flat_map(|ground| &ground.layers)
        .map(|layer| (layer.name.as_str(), layer))
        .collect();
    layers
        .into_values()
        .map(|layer| staging.put(path(&format!("layers/{}", layer.name))?, layer.body.bytes()))
        .collect()
}

fn path(text: &str) -> Result<ReleasePath> {
    text.parse().or_fail(Failure::Other)
}
