//! Images as containers/storage keeps them with its overlay driver (`images.go`, `layers.go`
//! and `drivers/overlay` of that project say what is where).

use super::{Assembled, Image, OciError, oci_digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use imgbuild_base::{Digest, Epoch, Meta, Tree, TreePath};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A store of `images` in the directory `at`, to be named among `additionalimagestores` in
/// storage.conf(5). All of its files but the images' own are of time `epoch`.
///
/// # Errors
/// [`OciError`] when an image cannot be made, or two are the same.
pub fn store(images: &[Image], at: &TreePath, epoch: Epoch) -> Result<Tree, OciError> {
    let assembled = images
        .iter()
        .map(Image::assemble)
        .collect::<Result<Vec<_>, _>>()?;
    for (nth, image) in assembled.iter().enumerate() {
        let same = |other: &&Assembled| {
            other.name == image.name || other.layer.digest == image.layer.digest
        };
        if let Some(other) = assembled.iter().take(nth).find(same) {
            return Err(OciError::Twice(other.name.clone(), image.name.clone()));
        }
    }
    let mut store = Store {
        tree: Tree::new(),
        at,
        epoch,
    };
    for image in &assembled {
        store.put_layer(image)?;
        store.put_image(image)?;
    }
    let layers: Vec<LayerRecord<'_>> = assembled.iter().map(LayerRecord::of).collect();
    store.put("overlay-layers/layers.json", serde_json::to_vec(&layers)?)?;
    store.put("overlay-layers/layers.lock", Vec::new())?;
    let images: Vec<ImageRecord<'_>> = assembled.iter().map(ImageRecord::of).collect();
    store.put("overlay-images/images.json", serde_json::to_vec(&images)?)?;
    store.put("overlay-images/images.lock", Vec::new())?;
    Ok(store.tree)
}

struct Store<'a> {
    tree: Tree,
    at: &'a TreePath,
    epoch: Epoch,
}

impl Store<'_> {
    fn put(&mut self, path: &str, bytes: impl Into<Bytes>) -> Result<(), OciError> {
        let meta = Meta::root(0o644, self.epoch);
        self.tree.put_file(self.at.join(path)?, meta, bytes);
        Ok(())
    }

    fn put_layer(&mut self, image: &Assembled) -> Result<(), OciError> {
        let dir = format!("overlay/{}", image.layer.digest);
        let link = link(image.layer.digest);
        let diff = self.at.join(&format!("{dir}/diff"))?;
        self.tree
            .put_dir(diff.clone(), Meta::root(0o755, self.epoch));
        for (path, entry) in image.layer.root.iter() {
            self.tree.put(diff.join(path.as_str())?, entry.clone());
        }
        let target = format!("../{}/diff", image.layer.digest);
        let short = self.at.join(&format!("overlay/l/{link}"))?;
        self.tree.put_link(short, target, self.epoch);
        self.put(&format!("{dir}/link"), link)
    }

    fn put_image(&mut self, image: &Assembled) -> Result<(), OciError> {
        let dir = format!("overlay-images/{}", Digest::of(&image.config));
        for (name, bytes) in big_data(image) {
            self.put(&format!("{dir}/{}", file_name(&name)), bytes)?;
        }
        Ok(())
    }
}

/// The short name of a layer: 26 capitals and digits, which podman makes by chance and we from
/// the layer's digest.
fn link(layer: Digest) -> String {
    layer.to_string().to_uppercase().chars().take(26).collect()
}

/// What is kept with an image, by name: the manifest (under two), and the configuration.
fn big_data(image: &Assembled) -> BTreeMap<String, Bytes> {
    let manifest = oci_digest(Digest::of(&image.manifest));
    let config = oci_digest(Digest::of(&image.config));
    BTreeMap::from([
        ("manifest".to_owned(), image.manifest.clone()),
        (format!("manifest-{manifest}"), image.manifest.clone()),
        (config, image.config.clone()),
    ])
}

/// The file for a name: the name itself if it is lower-case letters, digits and dots only, else
/// `=` and its base64.
fn file_name(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.';
    if name.bytes().all(plain) {
        name.to_owned()
    } else {
        format!("={}", BASE64.encode(name))
    }
}

/// An entry of layers.json.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct LayerRecord<'a> {
    id: String,
    created: &'a str,
    compressed_diff_digest: String,
    compressed_size: u64,
    diff_digest: String,
    diff_size: u64,
    #[serde(rename = "uidset")]
    users: &'a BTreeSet<u32>,
    #[serde(rename = "gidset")]
    groups: &'a BTreeSet<u32>,
}

impl<'a> LayerRecord<'a> {
    fn of(image: &'a Assembled) -> Self {
        let layer = &image.layer;
        Self {
            id: layer.digest.to_string(),
            created: &image.created,
            compressed_diff_digest: oci_digest(layer.digest),
            compressed_size: layer.size,
            diff_digest: oci_digest(layer.digest),
            diff_size: layer.size,
            users: &layer.users,
            groups: &layer.groups,
        }
    }
}

/// An entry of images.json.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ImageRecord<'a> {
    id: String,
    digest: String,
    names: [&'a str; 1],
    layer: String,
    created: &'a str,
    big_data_names: Vec<String>,
    big_data_sizes: BTreeMap<String, usize>,
    big_data_digests: BTreeMap<String, String>,
}

impl<'a> ImageRecord<'a> {
    fn of(image: &'a Assembled) -> Self {
        let data = big_data(image);
        let digest = |bytes: &Bytes| oci_digest(Digest::of(bytes));
        Self {
            id: Digest::of(&image.config).to_string(),
            digest: digest(&image.manifest),
            names: [image.name.as_str()],
            layer: image.layer.digest.to_string(),
            created: &image.created,
            big_data_names: data.keys().cloned().collect(),
            big_data_sizes: data.iter().map(|(k, v)| (k.clone(), v.len())).collect(),
            big_data_digests: data.iter().map(|(k, v)| (k.clone(), digest(v))).collect(),
        }
    }
}
