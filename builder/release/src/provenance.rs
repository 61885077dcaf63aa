//! How a release came about: SLSA provenance v1 in an in-toto statement v1.
//!
//! The build type is this program's way to make a release. Its external parameters: `name`, the
//! release's; `recipe` and `lock`, the files of the release that decided it; `secrets`, whether
//! nodes' own images are part of it; `packing`. Its one internal parameter is `epoch`, the time
//! that stands for "now". Resolved dependencies are recipe, lock and all that the lock pins. The
//! same release comes out of every run, so there is nothing to say of the run itself.

use crate::file::{FileRecord, ReleasePath};
use crate::manifest::{Builder, Packing};
use crate::material::{Material, MaterialKind};
use imgbuild_base::{Digest, Epoch};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The statement's type (in-toto attestation framework v1).
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// The predicate's type (SLSA v1).
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// What a build of this kind is.
const BUILD_TYPE: &str = "https://imgbuild.invalid/release/v1";
/// Who builds: this program, wherever it runs.
const BUILDER: &str = "https://imgbuild.invalid/builder";

/// What is stated about which files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: ReleasePath,
    digest: BTreeMap<String, Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BuildDefinition {
    build_type: String,
    external_parameters: External,
    internal_parameters: Internal,
    resolved_dependencies: Vec<Resource>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct External {
    name: String,
    recipe: ReleasePath,
    lock: ReleasePath,
    secrets: bool,
    packing: Packing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Internal {
    epoch: Epoch,
}

/// A resource descriptor (in-toto attestation framework v1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    uri: String,
    digest: BTreeMap<String, Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunDetails {
    builder: BuilderId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuilderId {
    id: String,
    version: BTreeMap<String, String>,
}

/// What a release was made from, and what came out.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// The release's name.
    pub name: &'a str,
    /// The program.
    pub builder: &'a Builder,
    /// The time that stands for "now".
    pub epoch: Epoch,
    /// The recipe, as a file of the release.
    pub recipe: &'a FileRecord,
    /// The lock, as a file of the release.
    pub lock: &'a FileRecord,
    /// Whether nodes' own images are part of it.
    pub secrets: bool,
    /// How images are packed.
    pub packing: Packing,
    /// What the lock pins.
    pub materials: &'a [Material],
    /// What came out.
    pub outputs: &'a [(ReleasePath, Digest)],
}

/// Why a text is no such statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not JSON of this form.
    #[error("the provenance cannot be read: {0}")]
    Format(#[from] serde_json::Error),
    /// Another statement.
    #[error("the provenance is of the type {found}, expected {expected}")]
    Type {
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl Statement {
    /// States how the outputs came about.
    #[must_use]
    pub fn new(origin: &Origin<'_>) -> Self {
        let mut outputs = origin.outputs.to_vec();
        outputs.sort();
        let own = [origin.recipe, origin.lock].into_iter();
        let own = own.map(|file| Resource {
            uri: file.path.to_string(),
            digest: digest("sha256", file.sha256),
        });
        let fetched = origin.materials.iter().filter(|one| one.kind.is_fetched());
        let mut materials: Vec<&Material> = fetched.collect();
        materials.sort();
        Self {
            kind: STATEMENT.to_owned(),
            subject: outputs
                .into_iter()
                .map(|(name, sha256)| Subject {
                    name,
                    digest: digest("sha256", sha256),
                })
                .collect(),
            predicate_type: PREDICATE.to_owned(),
            predicate: Predicate {
                build_definition: BuildDefinition {
                    build_type: BUILD_TYPE.to_owned(),
                    external_parameters: External {
                        name: origin.name.to_owned(),
                        recipe: origin.recipe.path.clone(),
                        lock: origin.lock.path.clone(),
                        secrets: origin.secrets,
                        packing: origin.packing,
                    },
                    internal_parameters: Internal {
                        epoch: origin.epoch,
                    },
                    resolved_dependencies: own.chain(materials.into_iter().map(resource)).collect(),
                },
                run_details: RunDetails {
                    builder: BuilderId {
                        id: BUILDER.to_owned(),
                        version: [(origin.builder.name.clone(), origin.builder.version.clone())]
                            .into(),
                    },
                },
            },
        }
    }

    /// Reads the text.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn read(text: &[u8]) -> Result<Self, StatementError> {
        let statement: Self = serde_json::from_slice(text)?;
        let types = [
            (&statement.kind, STATEMENT),
            (&statement.predicate_type, PREDICATE),
            (&statement.predicate.build_definition.build_type, BUILD_TYPE),
        ];
        for (found, expected) in types {
            if found != expected {
                let found = found.clone();
                return Err(StatementError::Type { found, expected });
            }
        }
        Ok(statement)
    }

    /// The files it is about, with their SHA-256.
    #[must_use]
    pub fn subjects(&self) -> BTreeMap<&ReleasePath, Option<Digest>> {
        let subjects = self.subject.iter();
        subjects
            .map(|one| (&one.name, one.digest.get("sha256").copied()))
            .collect()
    }

    /// What the files were made from, by its URI.
    #[must_use]
    pub fn dependencies(&self) -> BTreeMap<&str, Option<Digest>> {
        let all = self.predicate.build_definition.resolved_dependencies.iter();
        all.map(|one| (one.uri.as_str(), one.digest.values().next().copied()))
            .collect()
    }

    /// The name of the release it is about.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.predicate.build_definition.external_parameters.name
    }

    /// Whether nodes' own images are part of it, and how images are packed.
    #[must_use]
    pub fn wishes(&self) -> (bool, Packing) {
        let wishes = &self.predicate.build_definition.external_parameters;
        (wishes.secrets, wishes.packing)
    }

    /// The time that stood for "now".
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.predicate.build_definition.internal_parameters.epoch
    }

    /// Whether that program made them.
    #[must_use]
    pub fn is_by(&self, builder: &Builder) -> bool {
        let found = &self.predicate.run_details.builder;
        found.id == BUILDER && found.version.get(&builder.name) == Some(&builder.version)
    }
}

fn resource(material: &Material) -> Resource {
    // The framework's name for Go's hash of a module (in-toto, "DigestSet").
    let algorithm = match material.kind {
        MaterialKind::GoModule => "goModuleH1",
        _ => "sha256",
    };
    Resource {
        uri: material.purl.clone(),
        digest: digest(algorithm, material.digest),
    }
}

fn digest(algorithm: &str, digest: Digest) -> BTreeMap<String, Digest> {
    [(algorithm.to_owned(), digest)].into()
}
