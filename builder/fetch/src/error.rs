use crate::location::Location;
use imgbuild_base::{ByteSize, Digest};
use std::fmt;
use std::io;
use std::time::Duration;

/// What went wrong at one place.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The server answered with another status than "here it is".
    #[error("the server answered {code}{}", reason.as_deref().map(|it| format!(" {it}")).unwrap_or_default())]
    Status {
        /// The status (RFC 9110, section 15).
        code: u16,
        /// Its name, if it has one.
        reason: Option<String>,
    },
    /// There is no connection: no such host, nobody there, a certificate not trusted.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection ended too early.
    #[error("the connection broke off after {got} bytes: {why}")]
    Cut {
        /// How many bytes of the file there were by then.
        got: u64,
        /// What was seen of it.
        why: String,
    },
    /// Nothing came for too long.
    #[error("nothing came for {} s", limit.as_secs_f64())]
    Stalled {
        /// How long is too long.
        limit: Duration,
    },
    /// The file would be of another length.
    #[error("the server has a file of {found} bytes, expected {expected}")]
    WrongLength {
        /// The item's length.
        expected: u64,
        /// The one announced.
        found: u64,
    },
    /// More came than was asked for; the rest was not read.
    #[error("more than {} came, the rest was not read", ByteSize::bytes(*limit))]
    TooLong {
        /// How many bytes it should have been at most.
        limit: u64,
    },
    /// These are other bytes.
    #[error("wrong bytes: expected SHA-256 {expected}, got {found} ({len} bytes)")]
    WrongBytes {
        /// The item's digest.
        expected: Digest,
        /// What came.
        found: Digest,
        /// How many bytes came.
        len: u64,
    },
    /// A part of the file was asked for, and another part was sent.
    #[error("the server sent another part of the file than was asked for")]
    WrongPart,
    /// A local file cannot be read, or is not there.
    #[error("{0}")]
    Local(String),
    /// Another breach of the protocol.
    #[error("{0}")]
    Protocol(String),
    /// The place is in the network, which is not to be used.
    #[error("not asked: offline")]
    Offline,
}

impl Fault {
    /// Whether it is worth asking this place again.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::Status { code, .. } => matches!(code, 408 | 425 | 429 | 500..=599),
            Self::Connect(_) | Self::Cut { .. } | Self::Stalled { .. } | Self::Protocol(_) => true,
            Self::WrongLength { .. }
            | Self::TooLong { .. }
            | Self::WrongBytes { .. }
            | Self::WrongPart
            | Self::Local(_)
            | Self::Offline => false,
        }
    }
}

/// A place that was tried, and what came of it at last.
#[derive(Debug)]
pub struct Try {
    /// The place.
    pub location: Location,
    /// How often it was asked.
    pub times: u32,
    /// Its last fault.
    pub fault: Fault,
}

impl fmt::Display for Try {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.fault)?;
        if self.times > 1 {
            write!(f, " (asked {} times)", self.times)?;
        }
        Ok(())
    }
}

/// Why one item could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// No place had it.
    #[error("cannot fetch {what}{}", lines(tries))]
    Failed {
        /// The item.
        what: String,
        /// Every place, in order. Empty when the item has none.
        tries: Vec<Try>,
    },
    /// No local place had it, and the network is not to be used.
    #[error("{what} is not at hand, and imgbuild works offline{}", lines(tries))]
    Offline {
        /// The item.
        what: String,
        /// Every place, in order.
        tries: Vec<Try>,
    },
    /// It could not be written.
    #[error("cannot keep {what}")]
    Sink {
        /// The item.
        what: String,
        /// What the sink said.
        source: io::Error,
    },
    /// The download did not run to its end because the program has a fault.
    #[error("fetching {what} ended unexpectedly: {why}")]
    Broken {
        /// The item, or the whole list.
        what: String,
        /// What is known of it.
        why: String,
    },
}

fn lines(tries: &[Try]) -> String {
    if tries.is_empty() {
        return ": no mirror is known for it".to_owned();
    }
    let lines = tries.iter().map(|one| format!("\n  {one}"));
    format!(":{}", lines.collect::<String>())
}

/// Why fetching failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Some items could not be had; the others were fetched and kept. In the items' order.
    #[error("{}", each(.0))]
    Items(Vec<ItemError>),
    /// The runtime or the HTTP client could not be set up.
    #[error("cannot set up downloads: {0}")]
    Setup(String),
}

fn each(errors: &[ItemError]) -> String {
    let mut text = String::new();
    for error in errors {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&error.to_string());
        if let ItemError::Sink { source, .. } = error {
            text.push_str(&format!(": {source}"));
        }
    }
    text
}
