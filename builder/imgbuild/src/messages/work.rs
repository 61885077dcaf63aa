//! How work goes, and how it fails: what every command may say.

use imgbuild_base::event;
use schemars::JsonSchema;
use serde::Serialize;

/// A report about the work.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// A piece of work began.
    Started {
        /// Names it in later events.
        id: u64,
        /// What is being done.
        what: String,
        /// How much there is to do; null when that is not known beforehand.
        total: Option<u64>,
        /// What `total` counts.
        unit: Unit,
    },
    /// A piece of work ended.
    Finished {
        /// The work.
        id: u64,
    },
    /// A result was at hand and nothing had to be done.
    Cached {
        /// What was found.
        what: String,
    },
    /// Something the user should know that does not stop the work.
    Warning {
        /// The warning.
        text: String,
    },
    /// Something about the work.
    Note {
        /// The note.
        text: String,
    },
}

/// What a total counts.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Items,
}

impl Event {
    /// The event for programs, if they are told of it.
    pub(crate) fn of(event: event::Event) -> Option<Self> {
        Some(match event {
            event::Event::Started {
                id,
                what,
                total,
                unit,
            } => Self::Started {
                id,
                what,
                total,
                unit: match unit {
                    event::Unit::Bytes => Unit::Bytes,
                    event::Unit::Items => Unit::Items,
                },
            },
            // A line per chunk would drown the reader.
            event::Event::Advanced { .. } => return None,
            event::Event::Finished { id } => Self::Finished { id },
            event::Event::Cached { what } => Self::Cached { what },
            event::Event::Warning(text) => Self::Warning { text },
            event::Event::Note(text) => Self::Note { text },
        })
    }
}

/// Why a command failed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Error {
    /// The exit code.
    pub(crate) exit_code: u8,
    /// What happened. Mistakes of a recipe are laid out over several lines, underlined in its text.
    pub(crate) text: String,
    /// What to do next, where something is to be said about that.
    pub(crate) hint: Option<String>,
}
