//! Container images (OCI image-spec 1.1) of one layer, and a read-only store of them that
//! podman uses in place (the overlay driver of containers/storage, as an additional image
//! store).
//!
//! An [`Image`] is a name, a tree of files and what is started. [`Image::assemble`] writes its
//! manifest and configuration and computes the digests everything is named by; [`store()`] lays
//! images out as podman finds them. Nothing is packed: the layer's archive is only hashed, its
//! files lie in the store as they are, so that a layer of a disk image that also holds them
//! elsewhere holds them once.
//!
//! ```text
//! overlay/LAYER/{diff/…, link}     the files; LAYER: SHA-256 of the layer's tar
//! overlay/l/LINK ─► ../LAYER/diff  a short name, because mount options are short
//! overlay-layers/layers.json       which layers there are
//! overlay-images/images.json       which images, by name
//! overlay-images/IMAGE/…           manifest and configuration; IMAGE: SHA-256 of the latter
//! overlay-{layers,images}/*.lock   empty; readers lock them
//! ```

mod layer;
mod reference;
mod store;
#[cfg(test)]
mod tests;

pub use reference::{Reference, ReferenceError};
pub use store::store;

use bytes::Bytes;
use imgbuild_base::{Arch, Digest, Epoch, PathError, Tree};
use layer::Layer;
use serde::Serialize;
use std::io;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image to be made.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name, with a tag.
    pub name: Reference,
    /// The machine its programs are for.
    pub arch: Arch,
    /// When it was made.
    pub created: Epoch,
    /// Its files.
    pub root: Tree,
    /// What is started when nothing else is asked for: a program and its arguments.
    pub entrypoint: Vec<String>,
    /// Variables, as `NAME=value`.
    pub environment: Vec<String>,
}

/// Why an image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// A path of the image, or the store's, cannot exist.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A file cannot be in a layer's archive, as when its path is too long.
    #[error("/{path} cannot be in an image: {source}")]
    Archive {
        /// Its path.
        path: String,
        /// What is wrong.
        source: io::Error,
    },
    /// Two images have the same name or content.
    #[error("the images {0} and {1} are the same: expected different names and files")]
    Twice(Reference, Reference),
    /// A time that cannot be written.
    #[error("the image's time cannot be written: {0}")]
    Time(String),
    /// Text that cannot be written.
    #[error("writing an image's description: {0}")]
    Json(#[from] serde_json::Error),
}

/// What an image comes down to.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// Its name.
    pub name: Reference,
    /// When it was made, as RFC 3339 has it.
    created: String,
    /// The manifest, by whose SHA-256 the image is pulled.
    pub manifest: Bytes,
    /// The configuration, whose SHA-256 is the image's id.
    pub config: Bytes,
    layer: Layer,
}

impl Image {
    /// Its manifest, configuration and digests. The JSON has no spaces, its keys in a fixed
    /// order: the same image gives the same bytes.
    ///
    /// # Errors
    /// [`OciError`] when a file cannot be in an archive.
    pub fn assemble(&self) -> Result<Assembled, OciError> {
        let layer = Layer::of(&self.root)?;
        let created = rfc3339(self.created)?;
        let diff = oci_digest(layer.digest);
        let config = serde_json::to_vec(&Config {
            architecture: self.arch.goarch(),
            config: Process {
                entrypoint: &self.entrypoint,
                env: &self.environment,
            },
            created: &created,
            history: [History { created: &created }],
            os: "linux",
            rootfs: RootFs {
                diff_ids: [&diff],
                kind: "layers",
            },
            variant: (self.arch == Arch::Armhf).then_some("v7"),
        })?;
        let manifest = serde_json::to_vec(&Manifest {
            config: Descriptor {
                digest: oci_digest(Digest::of(&config)),
                media_type: CONFIG,
                size: config.len() as u64,
            },
            layers: [Descriptor {
                digest: diff.clone(),
                media_type: LAYER,
                size: layer.size,
            }],
            media_type: MANIFEST,
            schema_version: 2,
        })?;
        Ok(Assembled {
            name: self.name.clone(),
            created,
            manifest: manifest.into(),
            config: config.into(),
            layer,
        })
    }
}

/// `sha256:` and 64 hexadecimal digits.
fn oci_digest(digest: Digest) -> String {
    format!("sha256:{digest}")
}

fn rfc3339(epoch: Epoch) -> Result<String, OciError> {
    let wrong = |error: &dyn std::fmt::Display| OciError::Time(error.to_string());
    let seconds = i64::try_from(epoch.seconds()).map_err(|error| wrong(&error))?;
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|error| wrong(&error))?
        .format(&Rfc3339)
        .map_err(|error| wrong(&error))
}

#[derive(Serialize)]
struct Config<'a> {
    architecture: &'a str,
    config: Process<'a>,
    created: &'a str,
    history: [History<'a>; 1],
    os: &'a str,
    rootfs: RootFs<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Process<'a> {
    entrypoint: &'a [String],
    env: &'a [String],
}

#[derive(Serialize)]
struct History<'a> {
    created: &'a str,
}

#[derive(Serialize)]
struct RootFs<'a> {
    diff_ids: [&'a str; 1],
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    config: Descriptor,
    layers: [Descriptor; 1],
    media_type: &'static str,
    schema_version: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    media_type: &'static str,
    size: u64,
}
