//! Every key of the language, walked through: a wrong value is refused by the reader, with its
//! place underlined and a hint, and by the JSON Schema, as a foreign validator understands it.
#![allow(clippy::unwrap_used)]

use imgbuild_recipe::etcd_options::{self, Keeper, Kind};
use imgbuild_recipe::language::{Absent, RECIPE, Section, Shape};
use imgbuild_recipe::{builtin, load, schema};
use jsonschema::Validator;
use toml::{Table, Value};

/// The smallest recipe.
const GOOD: &str = r#"
cluster = { name = "home" }
image = { board = "vm" }
network = { subnet = "10.0.0.0/24" }
node = [{ name = "a", address = "10.0.0.10" }]
"#;

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

fn json(table: &Table) -> serde_json::Value {
    serde_json::to_value(table).unwrap()
}

/// A value of the right form.
fn right(shape: &Shape) -> Value {
    match shape {
        Shape::Text(text) => text.example.into(),
        Shape::Integer { min, .. } => i64::try_from(*min).unwrap().into(),
        Shape::Flag => true.into(),
        Shape::Choice(choices) => choices[0].name.into(),
        Shape::List(item) => Value::Array(vec![right(item)]),
        Shape::Table(section) => Value::Table(required(section)),
        Shape::Tables(section) => Value::Array(vec![Value::Table(required(section))]),
        Shape::Map(map) => one(map.names.example, map.values.example.into()),
        Shape::EtcdOptions(_) => one("pre-vote", true.into()),
        Shape::Pairs(_) => Value::Table(Table::new()),
    }
}

/// A section with one key.
fn one(name: &str, value: Value) -> Value {
    Value::Table(Table::from_iter([(name.to_owned(), value)]))
}

/// A section with nothing but what it must have.
fn required(section: &Section) -> Table {
    let keys = section.keys.iter();
    keys.filter(|key| matches!(key.absent, Absent::Mistake))
        .map(|key| (key.name.to_owned(), right(&key.shape)))
        .collect()
}

/// Values that no key of this shape takes.
fn wrong(shape: &Shape) -> Vec<Value> {
    match shape {
        Shape::Text(_) => vec![7.into(), true.into(), "\u{7} no \"such\" value ".into()],
        Shape::Integer { min, max } => {
            let (min, max) = (i64::try_from(*min).unwrap(), i64::try_from(*max).unwrap());
            vec![
                "many".into(),
                1.5.into(),
                (min - 1).into(),
                (max + 1).into(),
            ]
        }
        Shape::Flag => vec!["yes".into(), 1.into()],
        Shape::Choice(_) => vec!["nonesuch".into(), 7.into()],
        Shape::List(item) => {
            let mut all = vec![right(item), 7.into()];
            all.extend(wrong(item).into_iter().map(|one| Value::Array(vec![one])));
            all
        }
        Shape::Table(_) | Shape::Tables(_) => vec![7.into(), "x".into()],
        Shape::Map(map) => vec![
            7.into(),
            one(map.names.example, 7.into()),
            one(map.names.example, "\u{7}".into()),
            one("no such name", map.values.example.into()),
        ],
        Shape::EtcdOptions(_) => {
            let mut all = vec![7.into(), one("no-such-option", true.into())];
            for option in etcd_options::ALL {
                let values = match option.kind {
                    _ if option.keeper != Keeper::Recipe => vec!["kept".into()],
                    Kind::Flag => vec!["true".into(), 1.into()],
                    Kind::Duration => vec!["soon".into(), 5.into()],
                    Kind::Number(_) => vec!["7".into(), (-1).into(), 1.5.into()],
                    Kind::Text => vec![7.into(), true.into()],
                    Kind::Path => vec!["here".into(), 7.into()],
                    Kind::Choice(_) => vec!["nonesuch".into(), 7.into()],
                    Kind::List | Kind::Joined => vec!["a".into(), Value::Array(vec![7.into()])],
                    Kind::Gates => vec![Value::Array(vec!["A=maybe".into()]), true.into()],
                };
                all.extend(values.into_iter().map(|value| one(option.name, value)));
            }
            all
        }
        Shape::Pairs(_) => vec![
            7.into(),
            "x".into(),
            one("nonesuch.x", 1.into()),
            one("vm.x", true.into()),
        ],
    }
}

/// A key with the way to it from the top.
struct Place {
    path: Vec<&'static str>,
    shape: &'static Shape,
}

/// Every key below `section`, sections included.
fn places(section: &'static Section, above: &[&'static str]) -> Vec<Place> {
    let mut all = Vec::new();
    for key in section.keys {
        let mut path = above.to_vec();
        path.push(key.name);
        let inner = match &key.shape {
            Shape::Table(inner) | Shape::Tables(inner) => places(inner, &path),
            _ => Vec::new(),
        };
        let shape = &key.shape;
        all.push(Place { path, shape });
        all.extend(inner);
    }
    all
}

/// A good recipe with `value` at `path`; sections on the way have what they must have.
fn with(path: &[&'static str], value: Value) -> Table {
    fn put(table: &mut Table, section: &'static Section, path: &[&'static str], value: Value) {
        let [name, rest @ ..] = path else {
            panic!("a path has a key")
        };
        let shape = &section.key(name).unwrap().shape;
        if rest.is_empty() {
            table.insert((*name).to_owned(), value);
            return;
        }
        let inner = table
            .entry((*name).to_owned())
            .or_insert_with(|| right(shape));
        match (shape, inner) {
            (Shape::Table(section), Value::Table(inner)) => put(inner, section, rest, value),
            (Shape::Tables(section), Value::Array(all)) => {
                put(all[0].as_table_mut().unwrap(), section, rest, value);
            }
            (shape, inner) => panic!("{name} is {shape:?} and has {inner}"),
        }
    }
    let mut recipe = GOOD.parse().unwrap();
    put(&mut recipe, &RECIPE, path, value);
    recipe
}

#[test]
fn every_wrong_value_is_underlined_with_a_hint_and_refused_by_the_schema() {
    let validator = validator();
    let places = places(&RECIPE, &[]);
    assert!(places.len() > 50, "the whole language is walked through");
    for place in &places {
        let name = place.path.join(".");
        for value in wrong(place.shape) {
            let recipe = with(&place.path, value.clone());
            assert!(
                !validator.is_valid(&json(&recipe)),
                "the schema takes {name} = {value}"
            );
            let text = toml::to_string(&recipe).unwrap();
            let errors = load(&text, "wrong.toml").expect_err(&format!("{name} = {value}"));
            let last = place.path.last().unwrap();
            let about = errors.mistakes().iter().find(|mistake| {
                mistake.message.contains(last)
                    && !mistake.label.is_empty()
                    && mistake.help.is_some()
            });
            assert!(
                about.is_some(),
                "{name} = {value}: no mistake names the key and has a hint: {:#?}",
                errors.mistakes()
            );
        }
    }
}

#[test]
fn what_must_be_there_is_missed_by_both() {
    let validator = validator();
    for place in places(&RECIPE, &[]) {
        let (Shape::Table(section) | Shape::Tables(section)) = place.shape else {
            continue;
        };
        for key in section.keys {
            if !matches!(key.absent, Absent::Mistake) {
                continue;
            }
            let mut path = place.path.clone();
            path.push(key.name);
            // A section whose every other required key is there.
            let mut table = required(section);
            table.remove(key.name);
            let value = match place.shape {
                Shape::Tables(_) => Value::Array(vec![Value::Table(table)]),
                _ => Value::Table(table),
            };
            let recipe = with(&place.path, value);
            assert!(!validator.is_valid(&json(&recipe)), "without {path:?}");
            let errors = load(&toml::to_string(&recipe).unwrap(), "missing.toml").unwrap_err();
            assert!(
                errors
                    .mistakes()
                    .iter()
                    .any(|mistake| mistake.message.contains(key.name)),
                "without {path:?}: {errors:?}"
            );
        }
    }
}

#[test]
fn the_schema_accepts_what_is_shipped_and_no_unknown_key() {
    let validator = validator();
    for recipe in &builtin::ALL {
        let mut table: Table = recipe.text.parse().unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&json(&table))
            .map(|error| format!("{}: {error}", error.instance_path))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", recipe.name);
        table["image"]
            .as_table_mut()
            .unwrap()
            .insert("colour".to_owned(), "red".into());
        assert!(!validator.is_valid(&json(&table)), "{}", recipe.name);
    }
}
