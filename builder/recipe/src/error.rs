//! The mistakes of a recipe, all of them, each pointing at its place in the file.

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use std::fmt;
use std::ops::Range;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong and what was expected.
    pub message: String,
    /// The bytes of the file it is about.
    pub span: Range<usize>,
    /// A few words under the underlined place.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
    /// A second place that matters, with its own words: the first of two equal names.
    pub also: Option<(Range<usize>, String)>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

impl Diagnostic for Mistake {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let main = LabeledSpan::new_primary_with_span(Some(self.label.clone()), self.span.clone());
        let also = self
            .also
            .iter()
            .map(|(span, text)| LabeledSpan::new_with_span(Some(text.clone()), span.clone()));
        Some(Box::new(std::iter::once(main).chain(also)))
    }
}

/// Everything that is wrong with a recipe: at least one [`Mistake`], in the order of the file.
/// Render it with any of miette's report handlers; the mistakes are its related diagnostics.
#[derive(Debug)]
pub struct RecipeErrors {
    source: NamedSource<String>,
    mistakes: Vec<Mistake>,
}

impl RecipeErrors {
    pub(crate) fn new(file_name: &str, text: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| (mistake.span.start, mistake.span.end));
        mistakes.dedup();
        Self {
            source: NamedSource::new(file_name, text.to_owned()).with_language("toml"),
            mistakes,
        }
    }

    /// The mistakes in the order of the file.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The file's name as it was given.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.source.name()
    }
}

impl fmt::Display for RecipeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mistakes.len() {
            1 => write!(f, "the recipe {} has a mistake", self.file_name()),
            many => write!(f, "the recipe {} has {many} mistakes", self.file_name()),
        }
    }
}

impl std::error::Error for RecipeErrors {}

impl Diagnostic for RecipeErrors {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(
            self.mistakes
                .iter()
                .map(|mistake| mistake as &dyn Diagnostic),
        ))
    }
}

/// The candidate that `word` was probably meant to be.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let most = 1 + word.chars().count() / 4;
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = strsim::osa_distance(&word, candidate);
            let begins = word.len() >= 3 && candidate.starts_with(&word);
            (distance <= most || begins).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` or `c`, each in backquotes.
pub(crate) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}
