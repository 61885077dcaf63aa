//! Sections whose keys are names of the user's own.

use super::{Found, Pair, Table};
use crate::checker::{Reported, mistake};
use crate::language::{Shape, Text};
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use toml::Spanned;
use toml::de::DeValue;

/// Names with what stands behind them.
pub(crate) type Entries<'a> = Vec<(Spanned<String>, &'a Spanned<DeValue<'a>>)>;

impl<'a> Table<'a> {
    /// What stands in the section of free names under `name`, in its order; nothing when it
    /// was left out.
    pub(crate) fn entries(&self, name: &str) -> Result<Entries<'a>, Reported> {
        let key = self.key(name);
        let Some(value) = self.written(key) else {
            return Ok(Vec::new());
        };
        let DeValue::Table(entries) = value.get_ref() else {
            return Err(self.wrong_type(key, "a section", value));
        };
        let mut found: Vec<_> = entries
            .iter()
            .map(|(name, value)| {
                let text = name.get_ref().to_string();
                (Spanned::new(name.span(), text), value)
            })
            .collect();
        found.sort_by_key(|(name, _)| name.span().start);
        Ok(found)
    }

    /// The names and values of a section of free names, in its order.
    pub(crate) fn map<N, V>(&self, name: &str) -> Result<Vec<Pair<N, V>>, Reported>
    where
        N: FromStr,
        N::Err: Display,
        V: FromStr,
        V::Err: Display,
    {
        let key = self.key(name);
        let Shape::Map(map) = key.shape else {
            unreachable!("{name} is not a section of free names");
        };
        let read_all: Vec<Result<_, Reported>> = self
            .entries(name)?
            .into_iter()
            .map(|(own, value)| {
                let path = format!("{}.{}", map.name, own.get_ref());
                let known = self.read_form(map.names, map.name, own.get_ref(), own.span());
                let value_text = value.get_ref().as_str().ok_or_else(|| {
                    self.checker.report(
                        mistake(value.span(), format!("`{path}` must be a string"))
                            .label("expected a string")
                            .help(format!("write it in quotes: {} = \"...\"", own.get_ref())),
                    )
                });
                let read = value_text
                    .and_then(|text| self.read_form(map.values, &path, text, value.span()));
                Ok((known?, read?))
            })
            .collect();
        read_all.into_iter().collect()
    }

    /// A string of a form, wherever it stands.
    fn read_form<T>(
        &self,
        form: &'static Text,
        path: &str,
        text: &str,
        span: Range<usize>,
    ) -> Result<Found<T>, Reported>
    where
        T: FromStr,
        T::Err: Display,
    {
        match text.parse() {
            Ok(value) => Ok(Found {
                value,
                span,
                written: true,
            }),
            Err(why) => {
                let why: T::Err = why;
                let help = match (form.mend)(text) {
                    Some(guess) if guess != text => format!("did you mean \"{guess}\"?"),
                    _ => format!("for example \"{}\"", form.example),
                };
                Err(self.checker.report(
                    mistake(span, format!("`{path}`: {why}"))
                        .label(format!("expected: {}", form.what))
                        .help(help),
                ))
            }
        }
    }
}
