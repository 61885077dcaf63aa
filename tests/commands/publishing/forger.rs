//! What somebody does who wants a changed release to pass.

use super::{SUMS, names, value};
use crate::support::inputs::sha256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;

/// Changes a JSON file.
pub(super) fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut content = value(file);
    change(&mut content);
    fs_err::write(file, serde_json::to_string_pretty(&content).unwrap() + "\n").unwrap();
}

/// Writes the sums anew, as somebody does who wants what was changed to pass.
pub(super) fn fix_sums(release: &Path) {
    let lines: String = names(release)
        .into_iter()
        .filter(|name| !name.starts_with(SUMS))
        .map(|name| format!("{}  {name}\n", sha256(&release.join(&name))))
        .collect();
    fs_err::write(release.join(SUMS), lines).unwrap();
}

/// Brings the manifest's records of files in line with the files.
pub(super) fn fix_manifest(release: &Path) {
    fn visit(value: &mut Value, release: &Path) {
        match value {
            Value::Object(fields) => {
                if let Some(path) = fields.get("path").and_then(Value::as_str) {
                    let file = release.join(path);
                    let size = fs_err::metadata(&file).unwrap().len();
                    let digest = sha256(&file);
                    fields.insert("size".to_owned(), json!(size));
                    fields.insert("sha256".to_owned(), json!(digest));
                }
                fields.values_mut().for_each(|value| visit(value, release));
            }
            Value::Array(values) => values.iter_mut().for_each(|value| visit(value, release)),
            _ => {}
        }
    }
    edit(&release.join("manifest.json"), |manifest| {
        visit(manifest, release)
    });
}

/// Brings the provenance in line with the files, without its signature.
pub(super) fn fix_provenance(release: &Path) {
    let file = release.join("provenance.intoto.jsonl");
    let mut envelope = value(&file);
    let payload = STANDARD
        .decode(envelope["payload"].as_str().unwrap())
        .unwrap();
    let mut statement: Value = serde_json::from_slice(&payload).unwrap();
    for subject in statement["subject"].as_array_mut().unwrap() {
        let digest = sha256(&release.join(subject["name"].as_str().unwrap()));
        subject["digest"]["sha256"] = json!(digest);
    }
    let definition = &mut statement["predicate"]["buildDefinition"];
    for input in definition["resolvedDependencies"].as_array_mut().unwrap() {
        let uri = input["uri"].as_str().unwrap().to_owned();
        if uri.starts_with("recipe/") {
            input["digest"]["sha256"] = json!(sha256(&release.join(uri)));
        }
    }
    envelope["payload"] = json!(STANDARD.encode(serde_json::to_vec(&statement).unwrap()));
    envelope["signatures"] = json!([]);
    fs_err::write(&file, serde_json::to_string(&envelope).unwrap() + "\n").unwrap();
}
