//! The only place that prints.
//!
//! Results go to standard output, everything about the work (progress, warnings, errors) to
//! standard error. On a terminal progress rewrites itself, elsewhere it is plain lines, with
//! `--quiet` nothing, with `--json` one JSON object a line.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use crate::error::{Failure, OrFail, Result};
use imgbuild_base::event::{Event, Events, Unit};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How the run talks to the user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Nothing but results and errors.
    pub(crate) quiet: bool,
    /// Machine-readable lines.
    pub(crate) json: bool,
    /// Colours.
    pub(crate) color: Color,
}

/// The terminal, as the commands use it.
#[derive(Clone)]
pub(crate) struct Terminal {
    style: Style,
    color: bool,
    events: Events,
    bars: MultiProgress,
}

impl Terminal {
    /// Sets up output in the given style.
    pub(crate) fn new(style: Style) -> Self {
        let live = std::io::stderr().is_terminal() && !style.quiet && !style.json;
        let color = match style.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
            }
        };
        let bars = MultiProgress::with_draw_target(if live {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        });
        let events = if style.quiet && !style.json {
            Events::new(|event| {
                if let Event::Warning(text) = event {
                    eprintln!("warning: {text}");
                }
            })
        } else if style.json {
            Events::new(|event| json_event(&event))
        } else if live {
            live_events(bars.clone(), color)
        } else {
            plain_events(color)
        };
        Self {
            style,
            color,
            events,
            bars,
        }
    }

    /// Where work reports.
    pub(crate) fn events(&self) -> Events {
        self.events.clone()
    }

    /// Whether colours are used.
    pub(crate) fn color(&self) -> bool {
        self.color
    }

    /// Where a live display may draw; nothing when output is not a terminal.
    pub(crate) fn live_bars(&self) -> Option<&MultiProgress> {
        (!self.bars.is_hidden()).then_some(&self.bars)
    }

    /// Whether there is somebody to ask.
    pub(crate) fn can_ask(&self) -> bool {
        !self.style.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks a question and waits for a line; what is not answered is an empty one.
    pub(crate) fn ask(&self, question: &str) -> Result<String> {
        let mut answer = String::new();
        self.bars
            .suspend(|| {
                eprint!("{question}");
                std::io::stdin().read_line(&mut answer)
            })
            .or_fail(Failure::Other)?;
        Ok(answer.trim().to_owned())
    }

    /// Prints a result for people; nothing in JSON mode.
    pub(crate) fn result(&self, text: &str) {
        if !self.style.json {
            self.bars.suspend(|| write_out(text));
        }
    }

    /// Prints a closing summary: a result that `--quiet` leaves out.
    pub(crate) fn summary(&self, text: &str) {
        if !self.style.quiet {
            self.result(text);
        }
    }

    /// Prints a result for programs; nothing outside JSON mode.
    pub(crate) fn json_result(&self, kind: &str, value: &impl Serialize) {
        if self.style.json {
            let line = serde_json::json!({ "imgbuild": 1, "type": kind, "data": value });
            write_out(&line.to_string());
        }
    }

    /// Prints a finished error text.
    pub(crate) fn error(&self, text: &str) {
        self.bars.suspend(|| eprintln!("{text}"));
    }
}

/// A closed pipe is the reader's way of saying "enough".
fn write_out(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end_matches('\n'));
}

/// Downloads of fewer bytes than this get no line of their own.
const LARGE: u64 = 4 << 20;

fn json_event(event: &Event) {
    let value = match event {
        Event::Started {
            id,
            what,
            total,
            unit,
        } => serde_json::json!({
            "event": "started", "id": id, "what": what, "total": total,
            "unit": match unit { Unit::Bytes => "bytes", Unit::Items => "items" },
        }),
        // A line per chunk would drown the reader.
        Event::Advanced { .. } => return,
        Event::Finished { id } => serde_json::json!({ "event": "finished", "id": id }),
        Event::Cached { what } => serde_json::json!({ "event": "cached", "what": what }),
        Event::Warning(text) => serde_json::json!({ "event": "warning", "text": text }),
        Event::Note(text) => serde_json::json!({ "event": "note", "text": text }),
    };
    let line = serde_json::json!({ "imgbuild": 1, "type": "event", "data": value });
    eprintln!("{line}");
}

fn warning(text: &str, color: bool) -> String {
    if color {
        format!("\u{1b}[1;33mwarning:\u{1b}[0m {text}")
    } else {
        format!("warning: {text}")
    }
}

fn live_events(bars: MultiProgress, color: bool) -> Events {
    let open: Mutex<HashMap<u64, ProgressBar>> = Mutex::new(HashMap::new());
    Events::new(move |event| {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started {
                id,
                what,
                total,
                unit,
            } => {
                let bar = bars.add(match total {
                    Some(total) => ProgressBar::new(total),
                    None => ProgressBar::new_spinner(),
                });
                bar.set_style(bar_style(total.is_some(), unit));
                bar.set_message(what);
                bar.enable_steady_tick(Duration::from_millis(120));
                open.insert(id, bar);
            }
            Event::Advanced { id, by } => {
                if let Some(bar) = open.get(&id) {
                    bar.inc(by);
                }
            }
            Event::Finished { id } => {
                if let Some(bar) = open.remove(&id) {
                    bar.finish_and_clear();
                }
            }
            Event::Warning(text) => bars.suspend(|| eprintln!("{}", warning(&text, color))),
            Event::Note(text) => bars.suspend(|| eprintln!("{text}")),
            Event::Cached { .. } => {}
        }
    })
}

/// The templates are constants of this file; one that does not parse falls back to
/// indicatif's own.
fn bar_style(known: bool, unit: Unit) -> ProgressStyle {
    let template = match (known, unit) {
        (true, Unit::Bytes) => {
            "{spinner} {msg:32!} {bar:24} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left"
        }
        (true, Unit::Items) => "{spinner} {msg:32!} {bar:24} {pos}/{len}",
        (false, _) => "{spinner} {msg} {elapsed}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn plain_events(color: bool) -> Events {
    struct Open {
        what: String,
        since: Instant,
    }
    let open: Arc<Mutex<HashMap<u64, Open>>> = Arc::default();
    Events::new(move |event| {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started {
                id,
                what,
                total,
                unit,
            } => {
                let size = match (total, unit) {
                    (Some(total), Unit::Bytes) => {
                        format!(" ({})", imgbuild_base::ByteSize::bytes(total))
                    }
                    (Some(total), Unit::Items) => format!(" ({total})"),
                    (None, _) => String::new(),
                };
                // A line for each of a hundred small downloads would hide the rest.
                if unit == Unit::Items || total.is_none_or(|total| total >= LARGE) {
                    eprintln!("{what}{size}");
                }
                let since = Instant::now();
                open.insert(id, Open { what, since });
            }
            Event::Finished { id } => {
                // Only what took a while is worth a second line.
                if let Some(Open { what, since }) = open.remove(&id)
                    && since.elapsed() >= Duration::from_secs(5)
                {
                    eprintln!("{what}: done after {:.1} s", since.elapsed().as_secs_f64());
                }
            }
            Event::Warning(text) => eprintln!("{}", warning(&text, color)),
            Event::Note(text) => eprintln!("{text}"),
            Event::Advanced { .. } | Event::Cached { .. } => {}
        }
    })
}

/// Lays rows out in columns, the last one ragged.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut head.iter().copied())];
    lines.extend(
        rows.iter()
            .map(|row| line(&mut row.iter().map(String::as_str))),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["e1".to_owned(), "12 MiB".to_owned()]];
        assert_eq!(table(&["node", "size"], &rows), "node  size\ne1    12 MiB");
    }
}
