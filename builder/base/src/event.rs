//! What long work reports upwards.
//!
//! Crates below the command line never print: they send [`Event`]s through an [`Events`]
//! handle, and the one module that owns the terminal decides how each is shown.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One report. A piece of work is named by the number its [`Event::Started`] carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Work began. `total` is in `unit`s, when it is known beforehand.
    Started {
        /// Names this piece of work in later events.
        id: u64,
        /// What is being done, as a gerund with its object: "fetching libc6".
        what: String,
        /// How much there is to do.
        total: Option<u64>,
        /// What `total` counts.
        unit: Unit,
    },
    /// That much more of it is done.
    Advanced {
        /// The work.
        id: u64,
        /// How much was added.
        by: u64,
    },
    /// It ended well.
    Finished {
        /// The work.
        id: u64,
    },
    /// A result was found and nothing had to be done.
    Cached {
        /// What was found.
        what: String,
    },
    /// Something the user should know that does not stop the work.
    Warning(String),
    /// Something worth a line when the user asked for detail.
    Note(String),
}

/// What a progress total counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Items,
}

/// A handle through which work reports. Cheap to clone, shared between threads.
#[derive(Clone)]
pub struct Events {
    sink: Arc<dyn Fn(Event) + Send + Sync>,
    next: Arc<AtomicU64>,
}

impl Events {
    /// Reports go to `sink`.
    pub fn new(sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self {
            sink: Arc::new(sink),
            next: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Reports go nowhere.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    /// Sends one event.
    pub fn send(&self, event: Event) {
        (self.sink)(event);
    }

    /// Sends a warning.
    pub fn warn(&self, text: impl Into<String>) {
        self.send(Event::Warning(text.into()));
    }

    /// Sends a note.
    pub fn note(&self, text: impl Into<String>) {
        self.send(Event::Note(text.into()));
    }

    /// Says that a result was at hand.
    pub fn cached(&self, what: impl Into<String>) {
        self.send(Event::Cached { what: what.into() });
    }

    /// Begins a piece of work; the returned [`Task`] reports its progress and its end.
    #[must_use]
    pub fn start(&self, what: impl Into<String>, total: Option<u64>, unit: Unit) -> Task {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.send(Event::Started {
            id,
            what: what.into(),
            total,
            unit,
        });
        Task {
            events: self.clone(),
            id,
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

/// A piece of work under way; its end is reported when it is dropped.
#[derive(Debug)]
pub struct Task {
    events: Events,
    id: u64,
}

impl Task {
    /// Reports that `by` more is done.
    pub fn advance(&self, by: u64) {
        self.events.send(Event::Advanced { id: self.id, by });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.events.send(Event::Finished { id: self.id });
    }
}
