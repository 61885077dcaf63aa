//! The JSON Schema and the reference, both written from [`crate::language`].

use crate::etcd_options::{self, Keeper, Kind};
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
        if matches!(
            (&key.shape, &key.absent),
            (Shape::Tables(_), Absent::Mistake)
        ) {
            value["minItems"] = 1.into();
        }
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
            "items": section_schema(section),
        }),
        Shape::Map(map) => json!({
            "type": "object",
            "description": map.doc,
            "patternProperties": { (map.names.pattern): {
                "type": "string",
                "pattern": map.values.pattern,
                "examples": [map.values.example],
            } },
            "additionalProperties": false,
        }),
        Shape::EtcdOptions(section) => options_schema(section),
        // Tables too: that is how a dotted name without quotes reads.
        Shape::Pairs(pairs) => json!({
            "type": "object",
            "propertyNames": { "pattern": pairs.pattern },
            "additionalProperties": { "type": ["string", "integer", "object"] },
        }),
    }
}

/// etcd's options that a recipe may set; which release has which only the reader checks.
fn options_schema(section: &Section) -> Value {
    let properties: Map<String, Value> = etcd_options::free(None)
        .map(|option| {
            let mut value = match option.kind {
                Kind::Flag => json!({ "type": "boolean" }),
                Kind::Number(most) => json!({ "type": "integer", "minimum": 0, "maximum": most }),
                Kind::Choice(words) => json!({ "enum": words }),
                Kind::Duration => json!({
                    "type": "string",
                    "pattern": "^(0|([0-9.]+(ns|us|ms|s|m|h))+)$",
                }),
                Kind::Text => json!({ "type": "string" }),
                Kind::Path => json!({ "type": "string", "pattern": "^/" }),
                Kind::List | Kind::Joined => json!({
                    "type": "array",
                    "items": { "type": "string", "pattern": "^[^,]+$" },
                }),
                Kind::Gates => json!({
                    "type": "array",
                    "items": { "type": "string", "pattern": "^[A-Za-z0-9]+=(true|false)$" },
                }),
            };
            value["description"] = format!("etcd {}", option.series_text()).into();
            (option.name.to_owned(), value)
        })
        .collect();
    json!({
        "type": "object",
        "description": section.doc,
        "properties": properties,
        "required": [],
        "additionalProperties": false,
    })
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
    alone_reference(&mut text);
    text
}

/// The keys that nodes cannot have of their own, and why.
fn alone_reference(text: &mut String) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "\n## What nodes cannot have of their own\n\nEvery other key of the cluster's is a node's \
         too, in its section of that name; `image.packages` is `node.packages`, and \
         `pki.extra_sans` is `node.extra_sans`: what a node says there is added.\n\n\
         | key | why it is the cluster's alone |\n|---|---|"
    );
    for section in RECIPE.sections() {
        for key in section.keys {
            if let Some(why) = key.alone {
                let _ = writeln!(text, "| `{}.{}` | {why} |", section.name, key.name);
            }
        }
    }
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
        let mut words = shape_words(&key.shape);
        if matches!(
            (&key.shape, &key.absent),
            (Shape::Tables(_), Absent::Mistake)
        ) {
            words.push_str(", at least one");
        }
        let _ = writeln!(
            text,
            "| `{}` | {words} | {absent} | {}{} |",
            key.name,
            key.doc,
            choice_words(&key.shape),
        );
    }
    for key in section.keys {
        let (header, inner) = match key.shape {
            Shape::Table(inner) => (format!("[{}]", inner.name), inner),
            Shape::Tables(inner) => (format!("[[{}]]", inner.name), inner),
            Shape::Map(map) => {
                let _ = writeln!(text, "\n## `[{}]`\n\n{}", map.name, map.doc);
                let _ = writeln!(
                    text,
                    "\nEvery key is {} (such as `{}`), every value {} (such as `\"{}\"`).",
                    with_article(map.names.what),
                    map.names.example,
                    with_article(map.values.what),
                    map.values.example,
                );
                continue;
            }
            Shape::EtcdOptions(inner) => {
                let _ = writeln!(text, "\n## `[{}]`\n\n{}", inner.name, inner.doc);
                // The table stands once, with the cluster's section.
                if inner.name == "etcd.options" {
                    options_reference(text);
                }
                continue;
            }
            _ => continue,
        };
        let _ = writeln!(text, "\n## `{header}`\n\n{}", inner.doc);
        section_reference(text, inner);
    }
}

/// The options that a recipe may set, and those it may not with the key to use instead.
fn options_reference(text: &mut String) {
    let _ = writeln!(text, "\n| option | value | etcd |\n|---|---|---|");
    for option in etcd_options::free(None) {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} |",
            option.name,
            option.kind.describe(),
            option.series_text()
        );
    }
    let _ = writeln!(
        text,
        "\nEverything else that etcd knows has a key of its own or follows from the recipe:\n\n\
         | option | instead |\n|---|---|"
    );
    for option in etcd_options::ALL {
        let _ = match option.keeper {
            Keeper::Recipe => continue,
            Keeper::Key(key) => writeln!(text, "| `{}` | `{key}` |", option.name),
            Keeper::Builder(why) => writeln!(text, "| `{}` | {why} |", option.name),
        };
    }
}

fn with_article(words: &str) -> String {
    let article = if words.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {words}")
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
        Shape::Table(_) | Shape::Map(_) | Shape::EtcdOptions(_) => "section".to_owned(),
        Shape::Tables(_) => "sections".to_owned(),
        Shape::Pairs(pairs) => format!("section, a {} each", pairs.what),
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
