//! One file: its places, in order and again, until the right bytes have come.

use crate::error::{Fault, ItemError, Try};
use crate::fetcher::FetchOptions;
use crate::item::Item;
use crate::local;
use crate::location::Location;
use crate::sink::Target;
use backon::BackoffBuilder as _;
use imgbuild_base::event::{Events, Task, Unit};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode, Url};
use std::io;
use tokio::time::timeout;

/// How often one place may break off in one round as long as each time something came.
const RESUMES: u32 = 20;

/// How an attempt ends badly: by the place's fault, or by ours.
pub(crate) enum Broken {
    Fault(Fault),
    Sink(io::Error),
}

/// How long a file may be.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    Exactly(u64),
    AtMost(u64),
    Any,
}

impl Limit {
    /// The server says how long the whole file is.
    pub(crate) const fn announced(self, found: u64) -> Result<(), Fault> {
        match self {
            Self::Exactly(expected) if found != expected => {
                Err(Fault::WrongLength { expected, found })
            }
            Self::AtMost(limit) if found > limit => Err(Fault::TooLong { limit }),
            _ => Ok(()),
        }
    }

    /// So many bytes have come so far.
    pub(crate) const fn after(self, len: u64) -> Result<(), Fault> {
        match self {
            Self::Exactly(limit) | Self::AtMost(limit) if len > limit => {
                Err(Fault::TooLong { limit })
            }
            _ => Ok(()),
        }
    }

    /// The body has ended, and the transport found nothing wrong with it.
    pub(crate) fn ended(self, got: u64) -> Result<(), Fault> {
        match self {
            Self::Exactly(expected) if got < expected => Err(Fault::Cut {
                got,
                why: format!("expected {expected}"),
            }),
            _ => Ok(()),
        }
    }
}

/// What every download shares.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) options: FetchOptions,
    pub(crate) events: Events,
}

/// What is known of the places of one file.
struct History(Vec<(Location, u32, Option<Fault>)>);

impl History {
    fn new(places: &[Location]) -> Self {
        Self(
            places
                .iter()
                .map(|place| (place.clone(), 0, None))
                .collect(),
        )
    }

    fn into_error(self, what: &str, offline: bool) -> ItemError {
        let what = what.to_owned();
        let tries = self.0.into_iter().map(|(location, times, fault)| Try {
            location,
            times,
            fault: fault.unwrap_or(Fault::Offline),
        });
        let tries = tries.collect();
        if offline {
            ItemError::Offline { what, tries }
        } else {
            ItemError::Failed { what, tries }
        }
    }
}

impl Context {
    /// Fetches a pinned file.
    pub(crate) async fn item<T: Target>(
        &self,
        item: &Item,
        mut target: T,
    ) -> Result<T::Done, ItemError> {
        let limit = item.size.map_or(Limit::Any, Limit::Exactly);
        let sink = |source| ItemError::Sink {
            what: item.what.clone(),
            source,
        };
        let check = |target: &mut T| {
            let found = target.digest();
            if found == item.digest {
                return Ok(());
            }
            let len = target.len();
            target.restart().map_err(Broken::Sink)?;
            Err(Broken::Fault(Fault::WrongBytes {
                expected: item.digest,
                found,
                len,
            }))
        };
        let whole = item.size.is_some_and(|size| target.len() >= size);
        let at_hand = !target.is_empty() && whole && target.digest() == item.digest;
        if whole && !at_hand {
            target.restart().map_err(sink)?;
        }
        if !at_hand {
            self.rounds(&item.what, &item.candidates, limit, &mut target, check)
                .await?;
        }
        // Synchronising to the disk takes its time; other downloads go on meanwhile.
        tokio::task::block_in_place(|| target.commit()).map_err(sink)
    }

    /// Fills `target` from the first place that satisfies `check`; says which.
    pub(crate) async fn rounds<T: Target>(
        &self,
        what: &str,
        places: &[Location],
        limit: Limit,
        target: &mut T,
        check: impl Fn(&mut T) -> Result<(), Broken>,
    ) -> Result<Location, ItemError> {
        let total = match limit {
            Limit::Exactly(size) => Some(size),
            Limit::AtMost(_) | Limit::Any => None,
        };
        let task = self
            .events
            .start(format!("fetching {what}"), total, Unit::Bytes);
        task.advance(target.len());
        let mut history = History::new(places);
        let mut pauses = backon::ExponentialBuilder::default()
            .with_min_delay(self.options.pause)
            .with_max_times(self.options.retries)
            .build();
        loop {
            for (place, times, fault) in &mut history.0 {
                let offline = self.options.offline && !place.is_local();
                if offline || fault.as_ref().is_some_and(|fault| !fault.is_passing()) {
                    continue;
                }
                let tried = self.place(place, times, limit, target, &check, &task).await;
                match tried {
                    Ok(()) => return Ok(place.clone()),
                    Err(Broken::Fault(seen)) => {
                        self.events.note(format!("{what}: {place}: {seen}"));
                        *fault = Some(seen);
                    }
                    Err(Broken::Sink(source)) => {
                        let what = what.to_owned();
                        return Err(ItemError::Sink { what, source });
                    }
                }
            }
            let hope = |fault: &Option<Fault>| fault.as_ref().is_some_and(Fault::is_passing);
            let hope = history.0.iter().any(|(_, _, fault)| hope(fault));
            match pauses.next().filter(|_| hope) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(history.into_error(what, self.options.offline)),
            }
        }
    }

    /// Asks one place, again at once while that brings more of the file.
    async fn place<T: Target>(
        &self,
        place: &Location,
        times: &mut u32,
        limit: Limit,
        target: &mut T,
        check: &impl Fn(&mut T) -> Result<(), Broken>,
        task: &Task,
    ) -> Result<(), Broken> {
        // Only bytes whose digest is known may be put together from several answers.
        let pinned = !matches!(limit, Limit::AtMost(_));
        let mut resumes = if pinned { 0 } else { RESUMES };
        loop {
            if !pinned && !target.is_empty() {
                target.restart().map_err(Broken::Sink)?;
            }
            let before = target.len();
            *times += 1;
            let tried = match (place.as_url(), place.as_path()) {
                (Some(url), _) => self.request(url, limit, target, task).await,
                (None, Some(path)) => {
                    tokio::task::block_in_place(|| local::copy(path, target, limit, task))
                }
                (None, None) => Err(Broken::Fault(Fault::Offline)),
            };
            // Not until the file is complete is there a word on whether what an earlier
            // attempt left, perhaps from another place, was right.
            let tried = tried.and_then(|()| check(target));
            match tried {
                Err(Broken::Fault(Fault::Cut { .. } | Fault::Stalled { .. }))
                    if target.len() > before && resumes < RESUMES =>
                {
                    resumes += 1;
                }
                Err(Broken::Fault(
                    Fault::WrongBytes { .. } | Fault::WrongPart | Fault::TooLong { .. },
                )) if before > 0 && resumes < RESUMES => {
                    target.restart().map_err(Broken::Sink)?;
                    resumes = RESUMES;
                }
                Err(Broken::Fault(
                    fault @ (Fault::WrongBytes { .. } | Fault::WrongPart | Fault::TooLong { .. }),
                )) => {
                    target.restart().map_err(Broken::Sink)?;
                    return Err(Broken::Fault(fault));
                }
                other => return other,
            }
        }
    }

    /// One request, for what `target` does not have yet.
    async fn request<T: Target>(
        &self,
        url: &Url,
        limit: Limit,
        target: &mut T,
        task: &Task,
    ) -> Result<(), Broken> {
        let mut request = self.client.get(url.clone());
        let offset = target.len();
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let stall = self.options.stall_timeout;
        let stalled = || Broken::Fault(Fault::Stalled { limit: stall });
        let response = timeout(stall, request.send())
            .await
            .map_err(|_| stalled())?;
        let mut response = response.map_err(|error| Broken::Fault(sending(&error)))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if offset > 0 => {
                if range_start(&response) != Some(offset) {
                    return Err(Broken::Fault(Fault::WrongPart));
                }
            }
            StatusCode::OK => {
                if offset > 0 {
                    target.restart().map_err(Broken::Sink)?;
                }
            }
            // What we have is longer than what the server has.
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
                return Err(Broken::Fault(Fault::WrongPart));
            }
            status => {
                return Err(Broken::Fault(Fault::Status {
                    code: status.as_u16(),
                    reason: status.canonical_reason().map(str::to_owned),
                }));
            }
        }
        if let Some(len) = response.content_length() {
            let whole = target.len().saturating_add(len);
            limit.announced(whole).map_err(Broken::Fault)?;
        }
        loop {
            let piece = timeout(stall, response.chunk())
                .await
                .map_err(|_| stalled())?;
            let piece = piece.map_err(|error| {
                Broken::Fault(Fault::Cut {
                    got: target.len(),
                    why: reason(&error),
                })
            })?;
            let Some(piece) = piece else {
                return limit.ended(target.len()).map_err(Broken::Fault);
            };
            let len = piece.len() as u64;
            limit.after(target.len() + len).map_err(Broken::Fault)?;
            target.write_all(&piece).map_err(Broken::Sink)?;
            task.advance(len);
        }
    }
}

/// Where the part in a response begins (RFC 9110, section 14.4).
fn range_start(response: &Response) -> Option<u64> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (start, _) = value.strip_prefix("bytes ")?.split_once('-')?;
    start.parse().ok()
}

fn sending(error: &reqwest::Error) -> Fault {
    if error.is_connect() {
        Fault::Connect(reason(error))
    } else {
        Fault::Protocol(reason(error))
    }
}

/// The innermost cause: the outer ones only say that there was an error.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
