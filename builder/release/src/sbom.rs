//! What images contain, as a CycloneDX 1.6 bill of materials (ECMA-424).
//!
//! Hashes of Go modules are those of go.sum under the name of SHA-256, as CycloneDX's own tools
//! for Go write them; the property `imgbuild:hash` says so. What a package's copyright file says
//! in a machine's words is under `licenses`; for the rest there is NOASSERTION. The property
//! `imgbuild:copyright` names the file of the package that has the text.

use crate::licence::Licence;
use crate::manifest::Builder;
use crate::material::{Material, MaterialKind};
use imgbuild_base::{Arch, Digest, Epoch};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What is in the images of an architecture.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    /// The release's name.
    pub name: &'a str,
    /// The architecture.
    pub arch: Arch,
    /// The time that stands for "now".
    pub epoch: Epoch,
    /// All that is contained, in any order.
    pub parts: Vec<Contained>,
}

/// Something that images contain.
#[derive(Clone, Debug)]
pub struct Contained {
    /// What.
    pub material: Material,
    /// Its licences, if they are known.
    pub licences: BTreeSet<Licence>,
    /// The file that has the licences' texts.
    pub copyright: Option<String>,
    /// Files of it that boot partitions hold as they are, with their SHA-256.
    pub files: BTreeMap<String, Digest>,
}

/// A bill of materials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bom {
    bom_format: String,
    spec_version: String,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Metadata {
    timestamp: String,
    tools: Tools,
    component: Component,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Tools {
    components: Vec<Component>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Component {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "bom-ref", default, skip_serializing_if = "String::is_empty")]
    reference: String,
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenceChoice>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    purl: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hash {
    alg: String,
    content: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LicenceChoice {
    license: Licence,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Property {
    name: String,
    value: String,
}

impl Bom {
    /// The bill of these contents.
    ///
    /// # Errors
    /// When the time is one that no calendar has, or the bill cannot be encoded.
    pub fn new(content: &Content<'_>) -> Result<Self, BomError> {
        let mut parts: Vec<&Contained> = content.parts.iter().collect();
        parts.sort_by(|a, b| a.material.cmp(&b.material));
        let builder = Builder::this();
        let mut bom = Self {
            bom_format: "CycloneDX".to_owned(),
            spec_version: "1.6".to_owned(),
            serial_number: String::new(),
            version: 1,
            metadata: Metadata {
                timestamp: timestamp(content.epoch)?,
                tools: Tools {
                    components: vec![Component {
                        kind: "application".to_owned(),
                        name: builder.name,
                        version: builder.version,
                        ..Component::default()
                    }],
                },
                component: Component {
                    kind: "operating-system".to_owned(),
                    reference: format!("{}-{}", content.name, content.arch),
                    name: content.name.to_owned(),
                    ..Component::default()
                },
            },
            components: parts.into_iter().map(component).collect(),
        };
        bom.serial_number = serial(&serde_json::to_vec(&bom)?);
        Ok(bom)
    }

    /// Reads the text.
    ///
    /// # Errors
    /// [`BomError`] when it is no CycloneDX 1.6 of this form.
    pub fn read(text: &[u8]) -> Result<Self, BomError> {
        let bom: Self = serde_json::from_slice(text)?;
        match (&*bom.bom_format, &*bom.spec_version) {
            ("CycloneDX", "1.6") => Ok(bom),
            (format, version) => Err(BomError::Format(format!("{format} {version}"))),
        }
    }

    /// All that is contained, by package URL, with its hash.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<&str, Digest> {
        let parts = self.components.iter();
        parts
            .filter_map(|part| Some((part.purl.as_str(), part.hashes.first()?.content)))
            .collect()
    }

    /// Whose bill it is, and which program made it.
    #[must_use]
    pub fn about(&self) -> (&str, Option<Builder>) {
        let tool = self.metadata.tools.components.first();
        let builder = tool.map(|tool| Builder {
            name: tool.name.clone(),
            version: tool.version.clone(),
        });
        (&self.metadata.component.name, builder)
    }
}

/// Why there is no bill.
#[derive(Debug, thiserror::Error)]
pub enum BomError {
    /// Not JSON of this form.
    #[error("the bill of materials cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Something else.
    #[error("the bill of materials is {0}, expected CycloneDX 1.6")]
    Format(String),
    /// No date.
    #[error("the time {0} has no date")]
    Time(Epoch),
}

fn component(part: &Contained) -> Component {
    let material = &part.material;
    let property = |name: &str, value: &str| Property {
        name: format!("imgbuild:{name}"),
        value: value.to_owned(),
    };
    let mut properties: Vec<Property> = Vec::new();
    if let Some(file) = &part.copyright {
        properties.push(property("copyright", file));
    }
    match material.kind {
        MaterialKind::GoModule => properties.push(property("hash", "h1 in go.sum")),
        MaterialKind::StandardLibrary => properties.push(property("hash", "of the toolchain")),
        _ => {}
    }
    let unknown = [Licence::not_asserted()];
    let known = part.licences.iter();
    let licences: Vec<&Licence> = match part.licences.is_empty() {
        true => unknown.iter().collect(),
        false => known.collect(),
    };
    Component {
        kind: match material.kind {
            MaterialKind::Package | MaterialKind::GoModule | MaterialKind::StandardLibrary => {
                "library"
            }
            MaterialKind::Firmware => "firmware",
            MaterialKind::Archive | MaterialKind::Toolchain => "application",
        }
        .to_owned(),
        reference: material.purl.clone(),
        name: material.name.clone(),
        version: material.version.clone(),
        hashes: vec![sha256(material.digest)],
        licenses: licences
            .into_iter()
            .map(|one| LicenceChoice {
                license: one.clone(),
            })
            .collect(),
        purl: material.purl.clone(),
        components: part.files.iter().map(file).collect(),
        properties,
    }
}

fn file((path, digest): (&String, &Digest)) -> Component {
    Component {
        kind: "file".to_owned(),
        name: path.clone(),
        hashes: vec![sha256(*digest)],
        ..Component::default()
    }
}

fn sha256(content: Digest) -> Hash {
    Hash {
        alg: "SHA-256".to_owned(),
        content,
    }
}

fn timestamp(epoch: Epoch) -> Result<String, BomError> {
    let seconds = i64::try_from(epoch.seconds()).ok();
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.ok_or(BomError::Time(epoch))
}

/// A UUID that follows from the bill (RFC 9562, version 8: a hash of one's own).
fn serial(bom: &[u8]) -> String {
    let mut id = [0; 16];
    id.copy_from_slice(&Digest::of(bom).as_bytes()[..16]);
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    let hex = hex::encode(id);
    let (a, b, c, d, e) = (
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    );
    format!("urn:uuid:{a}-{b}-{c}-{d}-{e}")
}
