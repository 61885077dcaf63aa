//! Reads a parsed TOML document against the [`crate::language`] and gathers mistakes.
//!
//! Reading goes on after a mistake. A reader that cannot go on returns [`Reported`], which
//! only this module can make: a value that is missing has always been complained about.

mod table;

pub(crate) use table::{Found, Given, Pair, Table};

use crate::error::Mistake;
use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;
use toml::Spanned;
use toml::de::DeTable;

/// Proof that a mistake was reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reported(());

/// Gathers mistakes.
#[derive(Default)]
pub(crate) struct Checker {
    mistakes: RefCell<Vec<Mistake>>,
}

impl Checker {
    /// Takes a mistake.
    pub(crate) fn report(&self, mistake: Mistake) -> Reported {
        self.mistakes.borrow_mut().push(mistake);
        Reported(())
    }

    /// Everything that was reported.
    pub(crate) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }
}

/// A mistake at `span`; add to it with [`Mistake::label`] and its like.
pub(crate) fn mistake(span: Range<usize>, message: impl Into<String>) -> Mistake {
    Mistake {
        message: message.into(),
        span,
        label: "here".to_owned(),
        help: None,
        also: None,
    }
}

impl Mistake {
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.also = Some((span, label.into()));
        self
    }
}

/// The document, or every syntax error in it.
pub(crate) fn parse<'a>(
    checker: &Checker,
    text: &'a str,
) -> Result<Spanned<DeTable<'a>>, Reported> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut failed = None;
    for error in errors {
        let at = error.span().unwrap_or(0..0);
        let message: Cow<'_, str> = match error.message() {
            "" => "this is no TOML".into(),
            message => message.into(),
        };
        failed = Some(checker.report(
            mistake(at.start.min(text.len())..at.end.min(text.len()), message)
                .label("here the file stops being TOML")
                .help("a line is `key = value`, `[section]` or `[[section]]`; text stands in \"quotes\""),
        ));
    }
    failed.map_or(Ok(document), Err)
}
