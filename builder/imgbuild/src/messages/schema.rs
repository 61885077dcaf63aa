//! The JSON Schema of [`Message`], and the same for people to read.

use super::{Message, VERSION};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// A JSON Schema (draft 2020-12) of one line of `--json`.
pub(crate) fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<Message>()
        .to_value();
    schema["title"] = "imgbuild --json".into();
    schema["description"] = "One line of what `imgbuild --json` prints.".into();
    schema["type"] = "object".into();
    schema["properties"] = json!({
        "imgbuild": { "const": VERSION, "description": "The version of this schema." },
    });
    schema["required"] = json!(["imgbuild"]);
    schema
}

/// The messages in Markdown: a section for each, with a table of its fields.
pub(crate) fn reference() -> String {
    let schema = schema();
    let page = Page {
        definitions: &schema["$defs"],
    };
    let mut text = format!(
        "# What `--json` prints\n\n\
         With `--json` every command prints one JSON object a line: results on standard output, how \
         the work goes on standard error. A line is\n\n\
         ```json\n{{\"imgbuild\": {VERSION}, \"type\": \"TYPE\", \"data\": DATA}}\n```\n\n\
         where `imgbuild` is the version of this format. Within a version, fields and types may be \
         added: ignore those you do not know. A field is always there; what may be unknown is \
         null. A command that fails ends with a line of type `error` and the exit code that it \
         names; an interrupted one (130) with none. `--quiet` leaves only warnings on standard error. \
         The texts of `--help` and `--version` stay texts.\n\n\
         [output.schema.json](output.schema.json) is the same as a JSON Schema (draft 2020-12). Both \
         are made by `imgbuild reference --output`.\n"
    );
    for message in list(&schema["oneOf"]) {
        let kind = words(&message["properties"]["type"]["const"]);
        let data = page.resolve(&message["properties"]["data"]);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n## `{kind}`\n\n{}", words(&message["description"]));
        page.data(&mut text, data);
    }
    text
}

/// What is referred to.
struct Page<'a> {
    definitions: &'a Value,
}

impl<'a> Page<'a> {
    /// The schema itself, where another is only named.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        schema["$ref"]
            .as_str()
            .and_then(|name| name.strip_prefix("#/$defs/"))
            .map_or(schema, |name| &self.definitions[name])
    }

    /// The data of a message.
    fn data(&self, text: &mut String, data: &'a Value) {
        let variants = list(&data["oneOf"]);
        if !variants.is_empty() {
            for variant in variants {
                let _ = write!(text, "\n{}\n", words(&variant["description"]));
                self.table(text, variant);
            }
            return;
        }
        if data["properties"].is_null() {
            let _ = write!(text, "\n`data`: {}.\n", self.kind(data));
        }
        self.table(text, data);
    }

    fn table(&self, text: &mut String, schema: &'a Value) {
        let mut rows = Vec::new();
        self.rows(&mut rows, "", schema);
        if rows.is_empty() {
            return;
        }
        let _ = write!(text, "\n| field | is | meaning |\n|---|---|---|\n");
        for [path, kind, meaning] in rows {
            let _ = writeln!(text, "| `{path}` | {kind} | {meaning} |");
        }
    }

    /// The fields of a schema and of all that is in it, by their paths.
    fn rows(&self, rows: &mut Vec<[String; 3]>, path: &str, schema: &'a Value) {
        let none = Map::new();
        for (name, field) in schema["properties"].as_object().unwrap_or(&none) {
            let path = match path {
                "" => name.clone(),
                outer => format!("{outer}.{name}"),
            };
            let inner = self.not_null(self.resolve(field));
            let choices: String = list(&inner["oneOf"])
                .iter()
                .filter(|choice| choice["const"].is_string())
                .map(|choice| {
                    let doc = words(&choice["description"]);
                    format!(" `{}`: {doc}", words(&choice["const"]))
                })
                .collect();
            let meaning = match words(&field["description"]) {
                "" => words(&inner["description"]),
                own => own,
            };
            rows.push([
                path.clone(),
                self.kind(field),
                format!("{meaning}{choices}"),
            ]);
            self.rows(rows, &path, inner);
        }
        if let Some(items) = schema.get("items") {
            self.rows(rows, &format!("{path}[]"), self.resolve(items));
        }
        if let Some(values) = schema.get("additionalProperties") {
            let path = format!("{path}.*");
            self.rows(rows, path.trim_start_matches('.'), self.resolve(values));
        }
    }

    /// The other one of a schema and null.
    fn not_null(&self, schema: &'a Value) -> &'a Value {
        let some = list(&schema["anyOf"])
            .iter()
            .find(|one| one["type"] != "null");
        some.map_or(schema, |one| self.resolve(one))
    }

    /// What a value is, in words.
    fn kind(&self, schema: &'a Value) -> String {
        let resolved = self.resolve(schema);
        let nullable = resolved["anyOf"].is_array()
            || list(&resolved["type"]).iter().any(|kind| kind == "null");
        let inner = self.not_null(resolved);
        let name = match &inner["type"] {
            Value::Array(kinds) => kinds.first().map_or("", words),
            kind => words(kind),
        };
        let constant = words(&inner["const"]);
        let shown = match name {
            _ if !constant.is_empty() => format!("`\"{constant}\"`"),
            "boolean" => "true or false".to_owned(),
            "array" => format!("array of {}s", self.kind(&inner["items"])),
            "object" => match inner.get("additionalProperties") {
                Some(values) if values.is_object() => {
                    format!("object by name, each {}", self.kind(values))
                }
                _ => "object".to_owned(),
            },
            "" if inner["oneOf"].is_array() => "string".to_owned(),
            "" => "anything".to_owned(),
            plain => plain.to_owned(),
        };
        match nullable {
            true => format!("{shown} or null"),
            false => shown,
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn words(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_says_what_it_means() {
        for line in reference().lines().filter(|line| line.starts_with("| `")) {
            let meaning = line.trim_end_matches('|').rsplit('|').next().unwrap();
            let tag = line.contains("| `\"");
            assert!(tag || !meaning.trim().is_empty(), "no meaning: {line}");
        }
    }

    #[test]
    fn nothing_refers_to_what_is_not_there() {
        let schema = schema();
        let text = schema.to_string();
        for name in text.split("#/$defs/").skip(1) {
            let name = name.split('"').next().unwrap();
            assert!(schema["$defs"][name].is_object(), "{name}");
        }
    }
}
