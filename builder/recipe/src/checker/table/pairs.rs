//! Sections whose keys are the user's.

use super::{Found, Table};
use crate::checker::{Reported, mistake};
use crate::language::{Pairs, Shape};
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A name and what it is set to.
pub(crate) type Pair<K, V> = (Found<K>, Found<V>);

impl Table<'_> {
    /// The names under `key` and what they are set to, strings or whole numbers, in the order
    /// of the names. TOML reads a dotted name without quotes as tables in tables: both ways of
    /// writing it are the same here.
    pub(crate) fn pairs<K, V>(&self, key: &str) -> Result<Vec<Pair<K, V>>, Reported>
    where
        K: FromStr,
        K::Err: Display,
        V: FromStr,
        V::Err: Display,
    {
        let key = self.key(key);
        let Shape::Pairs(form) = key.shape else {
            unreachable!("{} is not a section of free keys", key.name);
        };
        let Some(value) = self.written(key) else {
            return Ok(Vec::new());
        };
        let DeValue::Table(entries) = value.get_ref() else {
            return Err(self.wrong_type(key, "a section", value));
        };
        let mut flat = Vec::new();
        flatten("", None, entries, &mut flat);
        let path = self.path(key.name);
        let read: Vec<Result<Pair<K, V>, Reported>> = flat
            .into_iter()
            .map(|(name, span, value)| self.pair(form, &path, &name, span, value))
            .collect();
        read.into_iter().collect()
    }

    fn pair<K, V>(
        &self,
        form: &Pairs,
        path: &str,
        name: &str,
        span: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Pair<K, V>, Reported>
    where
        K: FromStr,
        K::Err: Display,
        V: FromStr,
        V::Err: Display,
    {
        let example = || format!("for example `{}`", form.example);
        let key = name.parse::<K>().map_err(|why| {
            self.checker.report(
                mistake(span.clone(), format!("`{path}`: {why}"))
                    .label(format!("expected: {}", form.what))
                    .help(example()),
            )
        });
        let text = match value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Ok(number.to_string()),
                    Err(_) => Err("a smaller number, or text in quotes"),
                }
            }
            DeValue::Boolean(true) => Err("1 in place of true"),
            DeValue::Boolean(false) => Err("0 in place of false"),
            _ => Err("a whole number, or text in quotes"),
        };
        let text = text.map_err(|expected| {
            let found = value.get_ref().type_str();
            self.checker.report(
                mistake(
                    value.span(),
                    format!("`{path}.{name}` cannot be of type {found}"),
                )
                .label(format!("expected {expected}"))
                .help(example()),
            )
        });
        let value_found = text.and_then(|text| {
            text.parse::<V>().map_err(|why| {
                self.checker.report(
                    mistake(value.span(), format!("`{path}.{name}`: {why}"))
                        .label("expected one line of text")
                        .help(example()),
                )
            })
        });
        let (key, value_found) = (key?, value_found?);
        let key = Found {
            value: key,
            span,
            written: true,
        };
        let value_found = Found {
            value: value_found,
            span: value.span(),
            written: true,
        };
        Ok((key, value_found))
    }
}

/// Leaves with their dotted names; a name's place runs from its first part to its last.
fn flatten<'t, 'a>(
    prefix: &str,
    start: Option<usize>,
    table: &'t DeTable<'a>,
    flat: &mut Vec<(String, Range<usize>, &'t Spanned<DeValue<'a>>)>,
) {
    for (key, value) in table {
        let name = match prefix {
            "" => key.get_ref().to_string(),
            prefix => format!("{prefix}.{}", key.get_ref()),
        };
        // A header such as [kernel.sysctl.vm] is elsewhere: then the last part must do.
        let start = start.filter(|&start| start < key.span().start);
        let start = start.unwrap_or(key.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => flatten(&name, Some(start), inner, flat),
            _ => flat.push((name, start..key.span().end, value)),
        }
    }
}
