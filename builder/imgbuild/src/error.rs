//! What ends a command early: one kind, one exit code, one hint.

use crate::messages::work;
use std::fmt;

/// Why a command failed, in the terms of the documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Anything that has no code of its own.
    Other,
    /// The command line is wrong.
    Usage,
    /// The recipe has mistakes, or there is no such recipe.
    Recipe,
    /// The lock is missing, damaged, or does not match its recipe.
    Lock,
    /// An input could not be fetched from anywhere.
    Fetch,
    /// Bytes or signatures are not what they must be.
    Verify,
    /// The store or the output directory cannot be used.
    Storage,
    /// Two builds of the same thing differ: ours, or ours and upstream's.
    Difference,
    /// The cluster did not reach the state that was asked for.
    Cluster,
    /// A device is not written to, or does not hold what was written.
    Device,
}

impl Failure {
    /// Every kind with its exit code and meaning; the manual page is made from this. 130 is an
    /// interrupted run.
    pub(crate) const ALL: [(Self, u8, &'static str); 10] = [
        (Self::Other, 1, "something else went wrong"),
        (Self::Usage, 2, "the command line is wrong"),
        (Self::Recipe, 3, "the recipe has mistakes or was not found"),
        (
            Self::Lock,
            4,
            "the lock is missing or does not match its recipe",
        ),
        (
            Self::Fetch,
            5,
            "an input could not be fetched from anywhere",
        ),
        (Self::Verify, 6, "a hash or a signature is wrong"),
        (
            Self::Storage,
            7,
            "the store or the output cannot be read or written",
        ),
        (Self::Difference, 8, "two builds of the same thing differ"),
        (Self::Cluster, 9, "the cluster did not become healthy"),
        (
            Self::Device,
            10,
            "a device is refused, or does not hold what was written",
        ),
    ];

    /// The process's exit code.
    pub(crate) fn exit_code(self) -> u8 {
        Self::ALL
            .iter()
            .find(|(kind, ..)| *kind == self)
            .map_or(1, |(_, code, _)| *code)
    }
}

/// A failed command: kind, what happened (outermost context first) and what to do next.
#[derive(Debug)]
pub(crate) struct CommandError {
    failure: Failure,
    chain: Vec<String>,
    hint: Option<String>,
    /// Already laid out for people (a recipe's underlined mistakes): shown instead of the chain.
    rendered: Option<String>,
}

/// What commands return.
pub(crate) type Result<T, E = CommandError> = std::result::Result<T, E>;

impl CommandError {
    /// From an error and all its causes.
    pub(crate) fn new(failure: Failure, error: &dyn std::error::Error) -> Self {
        let mut chain: Vec<String> = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors repeat their cause in their own text.
            if !chain.last().is_some_and(|last| last.ends_with(&text)) {
                chain.push(text);
            }
            cause = error.source();
        }
        Self {
            failure,
            chain,
            hint: None,
            rendered: None,
        }
    }

    /// From a text.
    pub(crate) fn msg(failure: Failure, text: impl Into<String>) -> Self {
        Self {
            failure,
            chain: vec![text.into()],
            hint: None,
            rendered: None,
        }
    }

    /// From a report that is already laid out.
    pub(crate) fn rendered(failure: Failure, report: String) -> Self {
        Self {
            failure,
            chain: Vec::new(),
            hint: None,
            rendered: Some(report),
        }
    }

    /// Adds what was being done, as a gerund with its object.
    pub(crate) fn context(mut self, text: impl Into<String>) -> Self {
        self.chain.insert(0, text.into());
        self
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint.get_or_insert(text.into());
        self
    }

    /// Puts another hint in place of the one it has.
    pub(crate) fn with_hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// What kind of failure it is.
    pub(crate) fn failure(&self) -> Failure {
        self.failure
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        self.failure.exit_code()
    }

    /// The error for programs.
    pub(crate) fn message(&self) -> work::Error {
        work::Error {
            exit_code: self.exit_code(),
            text: self.rendered.clone().unwrap_or_else(|| self.to_string()),
            hint: self.hint.clone(),
        }
    }

    /// The text for standard error.
    pub(crate) fn render(&self, color: bool) -> String {
        if let Some(report) = &self.rendered {
            return report.clone();
        }
        let paint = |code: &str, text: &str| {
            if color {
                format!("\u{1b}[{code}m{text}\u{1b}[0m")
            } else {
                text.to_owned()
            }
        };
        let mut text = format!("{} {self}", paint("1;31", "error:"));
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\n  {} {hint}", paint("1;36", "help:")));
        }
        text
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain.join(": "))
    }
}

/// Gives any error its kind where it passes into the command line.
pub(crate) trait OrFail<T> {
    /// The value, or a [`CommandError`] of this kind.
    fn or_fail(self, failure: Failure) -> Result<T>;
}

impl<T, E: std::error::Error> OrFail<T> for std::result::Result<T, E> {
    fn or_fail(self, failure: Failure) -> Result<T> {
        self.map_err(|error| CommandError::new(failure, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let mut codes: Vec<u8> = Failure::ALL
            .iter()
            .map(|(kind, ..)| kind.exit_code())
            .collect();
        codes.dedup();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn context_comes_first_and_the_hint_last() {
        let error = CommandError::msg(Failure::Lock, "no lock")
            .context("building x")
            .hint("run imgbuild lock x");
        assert_eq!(
            error.render(false),
            "error: building x: no lock\n  help: run imgbuild lock x"
        );
    }
}
