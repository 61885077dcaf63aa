//! The JSON Schema and the reference, both written from [`crate::language`].

use crate::language::{Absent, RECIPE, Section, Shape};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// A JSON Schema (draft 2020-12) of a recipe, for editors that know TOML. It knows every key,
/// type, word and pattern; what holds between keys only the reader checks.
#[must_use]
pub fn schema() -> Value {
    let mut schema = section_schema(&RECIPE);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "imgbuild recipe".into();
    schema
}

fn section_schema(section: &Section) -> Value {
    let mut properties = Map::new();
    for key in section.keys {
        let mut value = shape_schema(&key.shape);
        value["description"] = key.doc.into();
        if let Absent::Default(text) = key.absent
            && let Some(default) = default_json(text)
        {
            value["default"] = default;
        }
        properties.insert(key.name.to_owned(), value);
    }
    let required: Vec<&str> = section
        .keys
        .iter()
        .filter(|key| matches!(key.absent, Absent::Mistake))
        .map(|key| key.name)
        .collect();
    json!({
        "type": "object",
        "description": section.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn shape_schema(shape: &Shape) -> Value {
    match shape {
        Shape::Text(text) => json!({
            "type": "string",
            "pattern": text.pattern,
            "examples": [text.example],
        }),
        Shape::Integer { min, max } => json!({
            "type": "integer",
            "minimum": min,
            "maximum": max,
        }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Choice(choices) => json!({
            "enum": choices.iter().map(|choice| choice.name).collect::<Vec<_>>(),
        }),
        Shape::List(item) => json!({ "type": "array", "items": shape_schema(item) }),
        Shape::Table(section) => section_schema(section),
        Shape::Tables(section) => json!({
            "type": "array",
            "minItems": 1,
            "items": section_schema(section),
        }),
    }
}

/// A default of the language (a TOML value) as JSON.
fn default_json(text: &str) -> Option<Value> {
    let table: toml::Table = format!("value = {text}").parse().ok()?;
    serde_json::to_value(table.get("value")?).ok()
}

/// The recipe's reference in Markdown: a table of keys for each section.
#[must_use]
pub fn reference() -> String {
    let mut text = format!("# Recipe reference\n\n{}\n", RECIPE.doc);
    section_reference(&mut text, &RECIPE);
    text
}

fn section_reference(text: &mut String, section: &Section) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "\n| key | type | when left out | meaning |\n|---|---|---|---|"
    );
    for key in section.keys {
        let absent = match key.absent {
            Absent::Mistake => "required".to_owned(),
            Absent::Default(value) => format!("`{value}`"),
            Absent::Depends(words) => words.to_owned(),
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {absent} | {}{} |",
            key.name,
            shape_words(&key.shape),
            key.doc,
            choice_words(&key.shape),
        );
    }
    for key in section.keys {
        let (header, inner) = match key.shape {
            Shape::Table(inner) => (format!("[{}]", inner.name), inner),
            Shape::Tables(inner) => (format!("[[{}]]", inner.name), inner),
            _ => continue,
        };
        let _ = writeln!(text, "\n## `{header}`\n\n{}", inner.doc);
        section_reference(text, inner);
    }
}

fn shape_words(shape: &Shape) -> String {
    match shape {
        Shape::Text(form) => form.what.to_owned(),
        Shape::Integer { min, max } => format!("{min} to {max}"),
        Shape::Flag => "true or false".to_owned(),
        Shape::Choice(choices) => choices
            .iter()
            .map(|choice| format!("`\"{}\"`", choice.name))
            .collect::<Vec<_>>()
            .join(", "),
        Shape::List(item) => format!("array of {}", shape_words(item)),
        Shape::Table(_) => "section".to_owned(),
        Shape::Tables(_) => "sections, at least one".to_owned(),
    }
}

fn choice_words(shape: &Shape) -> String {
    match shape {
        Shape::Choice(choices) => choices
            .iter()
            .map(|choice| format!(" `{}`: {}.", choice.name, choice.doc))
            .collect(),
        Shape::List(item) => choice_words(item),
        _ => String::new(),
    }
}
