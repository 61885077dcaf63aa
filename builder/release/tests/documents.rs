//! Bills of materials and provenance against their published schemas, and against what they were
//! made from.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

use imgbuild_base::{Arch, Digest, Epoch};
use imgbuild_release::licence::Licence;
use imgbuild_release::manifest::{Builder, Packing};
use imgbuild_release::provenance::{Origin, Statement, StatementError};
use imgbuild_release::sbom::{Bom, BomError, Contained, Content};
use imgbuild_release::{FileRecord, Material, ReleasePath, json};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};

const EPOCH: Epoch = Epoch::from_u32(1_795_188_554);

fn materials() -> Vec<Material> {
    let digest = |text: &str| Digest::of(text.as_bytes());
    vec![
        Material::package("libc6", "2.41-12", "amd64", "trixie", digest("libc6")),
        Material::package(
            "raspi-firmware",
            "1:1.20250430+ds-2",
            "all",
            "trixie",
            digest("firmware"),
        ),
        Material::go_module("go.etcd.io/etcd/server/v3", "v3.6.16", digest("server")),
        Material::archive("v3.6.16", Arch::Amd64, digest("archive")),
        Material::toolchain("v0.0.1-go1.26.10.linux-amd64", digest("go")),
        Material::standard_library("1.26.10", digest("go")),
    ]
}

fn bom() -> Bom {
    let licences = [Licence::of_debian("GPL-2+"), Licence::of_debian("own")];
    let parts = materials()
        .into_iter()
        .filter(|material| material.kind.is_contained())
        .map(|material| Contained {
            copyright: Some(format!("/usr/share/doc/{}/copyright", material.name)),
            licences: match material.name.as_str() {
                "libc6" => licences.iter().cloned().collect(),
                _ => Default::default(),
            },
            files: match material.name.as_str() {
                "raspi-firmware" => [("start.elf".to_owned(), Digest::of(b"elf"))].into(),
                _ => Default::default(),
            },
            material,
        })
        .collect();
    let content = Content {
        name: "vm-3node",
        arch: Arch::Amd64,
        epoch: EPOCH,
        parts,
    };
    Bom::new(&content).unwrap()
}

fn schema(text: &str) -> jsonschema::Resource {
    jsonschema::Resource::from_contents(serde_json::from_str(text).unwrap()).unwrap()
}

/// The published schema of CycloneDX 1.6 with what it refers to.
fn validator() -> jsonschema::Validator {
    let at = |name: &str| format!("http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json");
    let whole = include_str!("schemas/bom-1.6.schema.json");
    let licences = schema(include_str!("schemas/spdx.schema.json"));
    let signatures = schema(include_str!("schemas/jsf-0.82.schema.json"));
    jsonschema::options()
        .should_validate_formats(true)
        .with_resource(at("spdx"), licences)
        .with_resource(at("jsf-0.82"), signatures)
        .build(&serde_json::from_str(whole).unwrap())
        .unwrap()
}

#[track_caller]
fn assert_valid(bom: &Value) {
    let validator = validator();
    let errors: Vec<String> = validator
        .iter_errors(bom)
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn a_bill_of_materials_is_valid_and_complete() {
    let text = json(&bom()).unwrap();
    assert_eq!(text, json(&bom()).unwrap(), "the same every time");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_valid(&value);
    assert_eq!(value["metadata"]["timestamp"], "2026-11-20T15:29:14Z");
    let components = value["components"].as_array().unwrap();
    assert_eq!(components.len(), 5, "all but the toolchain");
    let kinds: Vec<&str> = components
        .iter()
        .map(|one| one["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["library", "firmware", "library", "application", "library"]
    );
    let licences = &components[0]["licenses"];
    assert_eq!(
        *licences,
        json!([{"license": {"id": "GPL-2.0-or-later"}}, {"license": {"name": "own"}}])
    );
    assert_eq!(
        components[2]["licenses"],
        json!([{"license": {"name": "NOASSERTION"}}])
    );
    assert_eq!(components[1]["components"][0]["name"], "start.elf");

    let read = Bom::read(text.as_bytes()).unwrap();
    assert_eq!(read, bom());
    for material in materials() {
        let listed = read.contents().get(material.purl.as_str()).copied();
        let expected = material.kind.is_contained().then_some(material.digest);
        assert_eq!(listed, expected, "{}", material.purl);
    }
}

/// The judge judges: what is not CycloneDX does not pass.
#[test]
fn the_schema_refuses_what_is_no_bill() {
    let good = serde_json::to_value(bom()).unwrap();
    let spoil: [(&str, Value); 4] = [
        ("/components/0/type", json!("thing")),
        ("/components/0/licenses/0/license/id", json!("GPL-2+")),
        ("/components/0/hashes/0/content", json!("00")),
        ("/serialNumber", json!("7")),
    ];
    for (at, with) in spoil {
        let mut bad = good.clone();
        *bad.pointer_mut(at).unwrap() = with;
        assert!(!validator().is_valid(&bad), "{at}");
    }
}

#[test]
fn another_format_is_refused() {
    let text = json(&bom()).unwrap().replace("\"1.6\"", "\"1.4\"");
    assert!(matches!(
        Bom::read(text.as_bytes()),
        Err(BomError::Format(_))
    ));
    assert!(matches!(Bom::read(b"{}"), Err(BomError::Json(_))));
}

fn statement() -> Statement {
    let file = |path: &str| FileRecord {
        path: path.parse().unwrap(),
        size: 1,
        sha256: Digest::of(path.as_bytes()),
    };
    let outputs: Vec<(ReleasePath, Digest)> = ["manifest.json", "a.img.zst"]
        .map(|path| (path.parse().unwrap(), Digest::of(path.as_bytes())))
        .into();
    Statement::new(&Origin {
        name: "vm-3node",
        builder: &Builder::this(),
        epoch: EPOCH,
        recipe: &file("recipe/vm-3node.toml"),
        lock: &file("recipe/vm-3node.lock"),
        secrets: false,
        packing: Packing::Zstd,
        materials: &materials(),
        outputs: &outputs,
    })
}

/// The protocol buffers that in-toto and SLSA publish in place of JSON schemas.
fn protocol() -> DescriptorPool {
    let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemas");
    let mut compiler = protox::Compiler::new([schemas]).unwrap();
    compiler.include_imports(true);
    compiler
        .open_files([
            "in_toto_attestation/v1/statement.proto",
            "in_toto_attestation/predicates/provenance/v1/provenance.proto",
        ])
        .unwrap();
    compiler.descriptor_pool()
}

/// Whether a statement and the predicate in it are of the published forms: no field of another
/// name, no value of another type.
fn is_as_published(statement: &Value) -> Result<(), serde_json::Error> {
    let pool = protocol();
    let read = |name: &str, value: &Value| {
        let message = pool.get_message_by_name(name).unwrap();
        DynamicMessage::deserialize(message, value).map(|_| ())
    };
    read("in_toto_attestation.v1.Statement", statement)?;
    let provenance = "in_toto_attestation.predicates.provenance.v1.Provenance";
    read(provenance, &statement["predicate"])
}

#[test]
fn provenance_is_of_the_published_form() {
    let good = serde_json::to_value(statement()).unwrap();
    is_as_published(&good).unwrap();
    type Change = fn(&mut Value);
    let changes: [Change; 5] = [
        |value| value["subjects"] = value["subject"].clone(),
        |value| value["subject"][0]["digest"]["sha256"] = json!(7),
        |value| value["predicate"]["buildDefinition"]["buildTypes"] = json!("other"),
        |value| value["predicate"]["runDetails"]["builder"]["id"] = json!([]),
        |value| value["predicate"]["runDetails"]["metadata"] = json!({ "startedOn": "today" }),
    ];
    for change in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(is_as_published(&bad).is_err(), "{bad}");
    }
}

/// What the specifications of in-toto's attestation framework (Statement, ResourceDescriptor,
/// DigestSet) and of SLSA's provenance, both version 1, require beyond their forms.
#[test]
fn provenance_has_every_required_field() {
    let value = serde_json::to_value(statement()).unwrap();
    assert_eq!(value["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(value["predicateType"], "https://slsa.dev/provenance/v1");
    let hex = |text: &Value| {
        let text = text.as_str().unwrap();
        assert_eq!(text.len(), 64, "{text}");
        assert!(text.bytes().all(|b| b"0123456789abcdef".contains(&b)));
    };
    let subjects = value["subject"].as_array().unwrap();
    assert_eq!(subjects.len(), 2);
    for subject in subjects {
        assert!(!subject["name"].as_str().unwrap().is_empty());
        hex(&subject["digest"]["sha256"]);
    }
    let predicate = &value["predicate"];
    let definition = &predicate["buildDefinition"];
    assert!(definition["buildType"].as_str().unwrap().contains("://"));
    assert!(definition["externalParameters"].is_object());
    assert!(definition["internalParameters"].is_object());
    let dependencies = definition["resolvedDependencies"].as_array().unwrap();
    assert_eq!(dependencies.len(), 2 + 5, "all but the standard library");
    for dependency in dependencies {
        assert!(!dependency["uri"].as_str().unwrap().is_empty());
        let digests = dependency["digest"].as_object().unwrap();
        assert_eq!(digests.len(), 1);
        for (algorithm, digest) in digests {
            assert!(["sha256", "goModuleH1"].contains(&algorithm.as_str()));
            hex(digest);
        }
    }
    let builder = &predicate["runDetails"]["builder"];
    assert!(builder["id"].as_str().unwrap().contains("://"));
    assert!(builder["version"]["imgbuild"].is_string());
    // Nothing of the run: no clock, no machine.
    assert_eq!(predicate["runDetails"].as_object().unwrap().len(), 1);
}

#[test]
fn provenance_comes_back_as_it_was() {
    let text = serde_json::to_string(&statement()).unwrap();
    let read = Statement::read(text.as_bytes()).unwrap();
    assert_eq!(read, statement());
    assert!(read.is_by(&Builder::this()));
    let subject: ReleasePath = "manifest.json".parse().unwrap();
    assert_eq!(
        read.subjects()[&subject],
        Some(Digest::of(b"manifest.json"))
    );
    let other = text.replace("slsa.dev/provenance/v1", "slsa.dev/provenance/v2");
    assert!(matches!(
        Statement::read(other.as_bytes()),
        Err(StatementError::Type { .. })
    ));
}
