//! What `--json` prints, held against the committed schema.

use super::repository;
use jsonschema::Validator;
use serde_json::Value;

/// `docs/output.schema.json`, which besides lets no field pass that it does not name.
pub fn output_schema() -> Validator {
    let text = fs_err::read_to_string(repository().join("docs/output.schema.json")).unwrap();
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    for definition in schema["$defs"].as_object_mut().unwrap().values_mut() {
        close(definition);
    }
    jsonschema::draft202012::new(&schema).unwrap()
}

fn close(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if object.contains_key("properties") {
        object.insert("additionalProperties".to_owned(), false.into());
    }
    let variants = object.get_mut("oneOf").and_then(Value::as_array_mut);
    variants.into_iter().flatten().for_each(close);
}
