//! One table of the file, read against its section of the language.

mod map;
mod pairs;

pub(crate) use pairs::Pair;

use super::{Checker, Reported, mistake};
use crate::error::{nearest, one_of};
use crate::language::{Absent, Key, RECIPE, Section, Shape};
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A value and where it was written; for a default, the place of its section.
#[derive(Clone, Debug)]
pub(crate) struct Found<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
    pub(crate) written: bool,
}

impl<T> Found<T> {
    /// Another value, found at the same place.
    pub(crate) fn with<U>(&self, value: U) -> Found<U> {
        Found {
            value,
            span: self.span.clone(),
            written: self.written,
        }
    }
}

/// A key's value, or `None` when it was left out.
pub(crate) type Given<T> = Result<Option<Found<T>>, Reported>;

/// A table of the file, read against its section.
pub(crate) struct Table<'a> {
    checker: &'a Checker,
    section: &'static Section,
    entries: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    /// Keys that an unknown word was probably meant to be: not missing as well.
    meant: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The whole document.
    pub(crate) fn root(checker: &'a Checker, document: &'a Spanned<DeTable<'a>>) -> Self {
        Self::open(checker, &RECIPE, Some(document.get_ref()), 0..0)
    }

    fn open(
        checker: &'a Checker,
        section: &'static Section,
        entries: Option<&'a DeTable<'a>>,
        span: Range<usize>,
    ) -> Self {
        let mut table = Self {
            checker,
            section,
            entries,
            span,
            meant: Vec::new(),
        };
        for key in entries.into_iter().flat_map(|entries| entries.keys()) {
            if section.key(key.get_ref()).is_none() {
                let meant = table.unknown(key.get_ref(), key.span());
                table.meant.extend(meant);
            }
        }
        table
    }

    /// Complains about a word that is no key; returns the key it was probably meant to be.
    fn unknown(&self, word: &str, span: Range<usize>) -> Option<&'static str> {
        let place = match self.section.name {
            "" => "a recipe".to_owned(),
            name => format!("[{name}]"),
        };
        let keys = self.section.keys;
        let names = || keys.iter().map(|key| key.name);
        let lower = word.to_ascii_lowercase();
        let named_so = keys.iter().find(|key| key.aka.contains(&lower.as_str()));
        let meant = named_so
            .map(|key| key.name)
            .or_else(|| nearest(word, names()));
        let shared = self.section.cluster_s().and_then(|shared| {
            let key = shared.key(word)?;
            Some((shared, key.alone?))
        });
        let help = match (meant, shared) {
            (_, Some((shared, why))) => {
                format!("it is all nodes' together, in [{}]: {why}", shared.name)
            }
            (Some(name), None) => format!("did you mean `{name}`?"),
            (None, None) => match elsewhere(word) {
                Some(section) => format!("`{word}` belongs in [{section}]"),
                None => format!("{place} knows {}", one_of(names())),
            },
        };
        self.checker.report(
            mistake(span, format!("{place} has no key `{word}`"))
                .label("unknown key")
                .help(help),
        );
        meant
    }

    pub(crate) fn checker(&self) -> &'a Checker {
        self.checker
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The key as errors name it: `network.dns`.
    pub(crate) fn path(&self, key: &str) -> String {
        match self.section.name {
            "" => key.to_owned(),
            section => format!("{section}.{key}"),
        }
    }

    fn key(&self, name: &str) -> &'static Key {
        match self.section.key(name) {
            Some(key) => key,
            // The readers name their keys as literals; a test reads every section.
            None => unreachable!("{name} is not a key of [{}]", self.section.name),
        }
    }

    /// The value as written.
    fn written(&self, key: &Key) -> Option<&'a Spanned<DeValue<'a>>> {
        let entries = self.entries?;
        entries.get(key.name)
    }

    /// Reads a value where the file has one.
    fn given<T>(
        &self,
        name: &str,
        read: impl Fn(&Self, &'static Key, &Spanned<DeValue<'_>>) -> Result<T, Reported>,
    ) -> Given<T> {
        let key = self.key(name);
        match self.written(key) {
            None => Ok(None),
            Some(value) => Ok(Some(Found {
                value: read(self, key, value)?,
                span: value.span(),
                written: true,
            })),
        }
    }

    /// Reads a value that is written, or has a default in the language, or must be there.
    fn wanted<T>(
        &self,
        name: &str,
        read: impl Fn(&Self, &'static Key, &Spanned<DeValue<'_>>) -> Result<T, Reported>,
    ) -> Result<Found<T>, Reported> {
        if let Some(found) = self.given(name, &read)? {
            return Ok(found);
        }
        let key = self.key(name);
        if let Absent::Default(text) = key.absent
            && let Ok(value) = DeValue::parse(text)
        {
            return Ok(Found {
                value: read(self, key, &value)?,
                span: self.span(),
                written: false,
            });
        }
        Err(self.missing(key))
    }

    fn missing(&self, key: &Key) -> Reported {
        if self.meant.contains(&key.name) {
            return Reported(());
        }
        let example = match &key.shape {
            Shape::Text(text) => format!("add `{} = \"{}\"`", key.name, text.example),
            Shape::Choice(choices) => format!(
                "add `{} = ...` with one of {}",
                key.name,
                one_of(choices.iter().map(|choice| choice.name))
            ),
            Shape::Table(section) => format!("add a section [{}]: {}", section.name, section.doc),
            Shape::Tables(section) => {
                format!("add a section [[{}]]: {}", section.name, section.doc)
            }
            Shape::Pairs(pairs) => format!("for example `{}`", pairs.example),
            Shape::Integer { .. }
            | Shape::Flag
            | Shape::List(_)
            | Shape::Map(_)
            | Shape::EtcdOptions(_) => key.doc.to_owned(),
        };
        let label = match self.section.name {
            "" => "in this recipe".to_owned(),
            section => format!("in this [{section}]"),
        };
        self.checker.report(
            mistake(self.span(), format!("`{}` is missing", self.path(key.name)))
                .label(label)
                .help(example),
        )
    }

    fn wrong_type(&self, key: &Key, expected: &str, value: &Spanned<DeValue<'_>>) -> Reported {
        let found = value.get_ref().type_str();
        let message = format!(
            "`{}` must be {expected}, not {} {found}",
            self.path(key.name),
            if matches!(found, "integer" | "array") {
                "an"
            } else {
                "a"
            },
        );
        let found = mistake(value.span(), message).label(format!("expected {expected}"));
        let found = match (expected, value.get_ref()) {
            ("a string", DeValue::Integer(number)) => {
                found.help(format!("write it in quotes: \"{number}\""))
            }
            ("a whole number", DeValue::String(text)) if text.parse::<u64>().is_ok() => {
                found.help(format!("write it without quotes: {text}"))
            }
            ("an array", _) => found.help(format!("write it in brackets: {} = [...]", key.name)),
            ("a section", _) => found.help(format!("write a section [{}]", self.path(key.name))),
            ("one or more sections", _) => {
                found.help(format!("write each as [[{}]]", self.path(key.name)))
            }
            _ => found.help(key.doc),
        };
        self.checker.report(found)
    }

    fn read_text<T>(
        &self,
        key: &'static Key,
        shape: &'static Shape,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<T, Reported>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(text) = value.get_ref().as_str() else {
            return Err(self.wrong_type(key, "a string", value));
        };
        text.parse().map_err(|why: T::Err| {
            let found = mistake(value.span(), format!("`{}`: {why}", self.path(key.name)));
            self.checker.report(match shape {
                Shape::Text(form) => {
                    let help = match (form.mend)(text) {
                        Some(guess) if guess != text => format!("did you mean \"{guess}\"?"),
                        _ => format!("for example \"{}\"", form.example),
                    };
                    found.label(format!("expected: {}", form.what)).help(help)
                }
                _ => found,
            })
        })
    }

    fn read_choice<T: Copy>(
        &self,
        key: &'static Key,
        shape: &'static Shape,
        value: &Spanned<DeValue<'_>>,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, Reported> {
        let Some(text) = value.get_ref().as_str() else {
            return Err(self.wrong_type(key, "a string", value));
        };
        if let Some(found) = all.iter().copied().find(|&one| name(one) == text) {
            return Ok(found);
        }
        let choices: &[_] = match shape {
            Shape::Choice(choices) => choices,
            _ => &[],
        };
        let names = || choices.iter().map(|choice| choice.name);
        let help = match nearest(text, names()) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => choices
                .iter()
                .map(|choice| format!("{}: {}", choice.name, choice.doc))
                .collect::<Vec<_>>()
                .join("\n"),
        };
        let message = format!("`{}` cannot be {text:?}", self.path(key.name));
        Err(self.checker.report(
            mistake(value.span(), message)
                .label(format!("expected {}", one_of(names())))
                .help(help),
        ))
    }

    /// A string that must be there or has a default.
    pub(crate) fn text<T>(&self, name: &str) -> Result<Found<T>, Reported>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.wanted(name, |table, key, value| {
            table.read_text(key, &key.shape, value)
        })
    }

    /// A string, if written.
    pub(crate) fn given_text<T>(&self, name: &str) -> Given<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.given(name, |table, key, value| {
            table.read_text(key, &key.shape, value)
        })
    }

    /// One of some words, that must be there or has a default.
    pub(crate) fn choice<T: Copy>(
        &self,
        name: &str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<Found<T>, Reported> {
        self.wanted(name, |table, key, value| {
            table.read_choice(key, &key.shape, value, all, &word)
        })
    }

    /// One of some words, if written.
    pub(crate) fn given_choice<T: Copy>(
        &self,
        name: &str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Given<T> {
        self.given(name, |table, key, value| {
            table.read_choice(key, &key.shape, value, all, &word)
        })
    }

    fn read_number<T: TryFrom<u64>>(
        &self,
        key: &'static Key,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<T, Reported> {
        let (DeValue::Integer(number), Shape::Integer { min, max }) = (value.get_ref(), &key.shape)
        else {
            return Err(self.wrong_type(key, "a whole number", value));
        };
        u64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|number| (*min..=*max).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| {
                let message = format!("`{}` cannot be {number}", self.path(key.name));
                self.checker.report(
                    mistake(value.span(), message)
                        .label(format!("expected {min} to {max}"))
                        .help(key.doc),
                )
            })
    }

    /// A number that must be there or has a default.
    pub(crate) fn number<T: TryFrom<u64>>(&self, name: &str) -> Result<Found<T>, Reported> {
        self.wanted(name, Self::read_number)
    }

    /// A number, if written.
    pub(crate) fn given_number<T: TryFrom<u64>>(&self, name: &str) -> Given<T> {
        self.given(name, Self::read_number)
    }

    fn read_flag(&self, key: &'static Key, value: &Spanned<DeValue<'_>>) -> Result<bool, Reported> {
        let flag = value.get_ref().as_bool();
        flag.ok_or_else(|| self.wrong_type(key, "true or false", value))
    }

    /// true or false.
    pub(crate) fn flag(&self, name: &str) -> Result<Found<bool>, Reported> {
        self.wanted(name, Self::read_flag)
    }

    /// true or false, if written.
    pub(crate) fn given_flag(&self, name: &str) -> Given<bool> {
        self.given(name, Self::read_flag)
    }

    fn read_list<T>(
        &self,
        key: &'static Key,
        value: &Spanned<DeValue<'_>>,
        read: impl Fn(&'static Shape, &Spanned<DeValue<'_>>) -> Result<T, Reported>,
    ) -> Result<Vec<Found<T>>, Reported> {
        let (Some(array), Shape::List(shape)) = (value.get_ref().as_array(), &key.shape) else {
            return Err(self.wrong_type(key, "an array", value));
        };
        let read_all: Vec<Result<Found<T>, Reported>> = array
            .iter()
            .map(|item| {
                Ok(Found {
                    value: read(shape, item)?,
                    span: item.span(),
                    written: true,
                })
            })
            .collect();
        read_all.into_iter().collect()
    }

    /// Strings.
    pub(crate) fn texts<T>(&self, name: &str) -> Result<Vec<Found<T>>, Reported>
    where
        T: FromStr,
        T::Err: Display,
    {
        let list = self.wanted(name, |table, key, value| {
            table.read_list(key, value, |shape, item| table.read_text(key, shape, item))
        })?;
        Ok(list.value)
    }

    /// Strings, if written.
    pub(crate) fn given_texts<T>(&self, name: &str) -> Given<Vec<Found<T>>>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.given(name, |table, key, value| {
            table.read_list(key, value, |shape, item| table.read_text(key, shape, item))
        })
    }

    /// Words, if written.
    pub(crate) fn given_choices<T: Copy>(
        &self,
        name: &str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Given<Vec<Found<T>>> {
        self.given(name, |table, key, value| {
            table.read_list(key, value, |shape, item| {
                table.read_choice(key, shape, item, all, &word)
            })
        })
    }

    /// The section under `name`: without entries when it was left out and may be.
    pub(crate) fn table(&self, name: &str) -> Result<Table<'a>, Reported> {
        let key = self.key(name);
        let Shape::Table(section) = key.shape else {
            unreachable!("{name} is not a section");
        };
        match self.written(key) {
            Some(value) => match value.get_ref() {
                DeValue::Table(entries) => Ok(Table::open(
                    self.checker,
                    section,
                    Some(entries),
                    value.span(),
                )),
                _ => Err(self.wrong_type(key, "a section", value)),
            },
            None if matches!(key.absent, Absent::Mistake) => Err(self.missing(key)),
            None => Ok(Table::open(self.checker, section, None, self.span())),
        }
    }

    /// Whether the section is in the file.
    pub(crate) fn is_written(&self) -> bool {
        self.entries.is_some()
    }

    /// Where a key's value stands, if it is written.
    pub(crate) fn written_at(&self, name: &str) -> Option<Range<usize>> {
        self.written(self.key(name)).map(Spanned::span)
    }

    /// Whether a written value is what its absence means too.
    pub(crate) fn says_default(&self, name: &str) -> bool {
        let key = self.key(name);
        let (Some(written), Absent::Default(text)) = (self.written(key), &key.absent) else {
            return false;
        };
        DeValue::parse(text).is_ok_and(|default| same(written.get_ref(), default.get_ref()))
    }

    /// The keys that are written, each with the place of its value.
    pub(crate) fn written_keys(&self) -> impl Iterator<Item = (&'static str, Range<usize>)> {
        let keys = self.section.keys.iter();
        keys.filter_map(|key| Some((key.name, self.written(key)?.span())))
    }

    /// The sections under `name`: at least one, unless they may be left out.
    pub(crate) fn tables(&self, name: &str) -> Result<Vec<Table<'a>>, Reported> {
        let key = self.key(name);
        let Shape::Tables(section) = key.shape else {
            unreachable!("{name} is not a list of sections");
        };
        let needed = matches!(key.absent, Absent::Mistake);
        let Some(value) = self.written(key) else {
            return if needed {
                Err(self.missing(key))
            } else {
                Ok(Vec::new())
            };
        };
        let array: Option<&DeArray<'a>> = value.get_ref().as_array();
        let Some(array) = array else {
            return Err(self.wrong_type(key, "one or more sections", value));
        };
        if array.is_empty() && needed {
            return Err(self.checker.report(
                mistake(value.span(), format!("`{}` is empty", self.path(name)))
                    .label("expected at least one")
                    .help(format!("write each as [[{}]]", self.path(name))),
            ));
        }
        let opened: Vec<Result<Table<'a>, Reported>> = array
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::Table(entries) => Ok(Table::open(
                    self.checker,
                    section,
                    Some(entries),
                    item.span(),
                )),
                _ => Err(self.wrong_type(key, "one or more sections", item)),
            })
            .collect();
        opened.into_iter().collect()
    }
}

/// Whether two values say the same, wherever they are written.
fn same(one: &DeValue<'_>, other: &DeValue<'_>) -> bool {
    match (one, other) {
        (DeValue::Array(one), DeValue::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other.iter())
                    .all(|(one, other)| same(one.get_ref(), other.get_ref()))
        }
        (DeValue::Boolean(one), DeValue::Boolean(other)) => one == other,
        (DeValue::String(one), DeValue::String(other)) => one == other,
        _ => false,
    }
}

/// The section that has a key of that name: those at the top first.
fn elsewhere(word: &str) -> Option<&'static str> {
    let mut level: Vec<&'static Section> = vec![&RECIPE];
    while !level.is_empty() {
        let inner = level.iter().flat_map(|section| section.keys);
        let below: Vec<&'static Section> = inner
            .filter_map(|key| match key.shape {
                Shape::Table(section) | Shape::Tables(section) => Some(section),
                _ => None,
            })
            .collect();
        if let Some(section) = below.iter().find(|section| section.key(word).is_some()) {
            return Some(section.name);
        }
        level = below;
    }
    None
}
