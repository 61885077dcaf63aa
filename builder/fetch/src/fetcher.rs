use crate::download::{Context, Limit};
use crate::error::{FetchError, ItemError};
use crate::item::Item;
use crate::location::Location;
use crate::sink::{Buffer, Memory, Sink, Target};
use crate::unverified::Unverified;
use bytes::Bytes;
use imgbuild_base::Events;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How to fetch.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// How many files at once; at least one.
    pub jobs: usize,
    /// Whether to leave the network alone: only local places are read then.
    pub offline: bool,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long nothing may come on one.
    pub stall_timeout: Duration,
    /// How many rounds over the places follow the first.
    pub retries: usize,
    /// The pause before the second round; it doubles with each.
    pub pause: Duration,
    /// What servers are told of us.
    pub user_agent: String,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            jobs: 8,
            offline: false,
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            retries: 3,
            pause: Duration::from_secs(1),
            user_agent: concat!("imgbuild/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Fetches files; the crate's documentation says how.
pub struct Fetcher {
    runtime: Runtime,
    context: Arc<Context>,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Fetcher")
            .field(&self.context.options)
            .finish()
    }
}

impl Fetcher {
    /// Sets up the runtime and the HTTP client; nothing is asked for yet. Call it from
    /// ordinary threads only, as everything else here: not from within a runtime.
    ///
    /// # Errors
    /// [`FetchError::Setup`].
    pub fn new(options: FetchOptions, events: &Events) -> Result<Self, FetchError> {
        // Fails only when there is one already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = || {
            reqwest::Client::builder()
                .user_agent(options.user_agent.clone())
                .connect_timeout(options.connect_timeout)
                .tcp_keepalive(Duration::from_secs(30))
        };
        let client = client().build().or_else(|error| {
            // A machine without CA certificates can still use http: hashes are what counts.
            let built = client().tls_certs_only([]).build();
            if built.is_ok() {
                events.warn(format!(
                    "no https: no CA certificates can be loaded ({error:?}); \
                     install ca-certificates or set SSL_CERT_FILE"
                ));
            }
            built.map_err(|_| FetchError::Setup(error.to_string()))
        })?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("fetch")
            .build()
            .map_err(|error| FetchError::Setup(error.to_string()))?;
        Ok(Self {
            runtime,
            context: Arc::new(Context {
                client,
                options,
                events: events.clone(),
            }),
        })
    }

    /// Fetches all items into the sink, side by side; gives what each became, in their order.
    ///
    /// # Errors
    /// [`FetchError::Items`] with every item that failed; the others were fetched and kept.
    pub fn fetch_all<S: Sink>(
        &self,
        items: Vec<Item>,
        sink: Arc<S>,
    ) -> Result<Vec<<S::Target as Target>::Done>, FetchError> {
        let slots = Arc::new(Semaphore::new(self.context.options.jobs.max(1)));
        let number = items.len();
        self.runtime.block_on(async move {
            let mut tasks = JoinSet::new();
            for (index, item) in items.into_iter().enumerate() {
                let (context, sink) = (self.context.clone(), sink.clone());
                let slots = slots.clone();
                tasks.spawn(async move {
                    // The semaphore is never closed; if it were, there would be no limit.
                    let _slot = slots.acquire().await.ok();
                    let begun = tokio::task::block_in_place(|| sink.begin(&item));
                    let fetched = match begun {
                        Ok(target) => context.item(&item, target).await,
                        Err(source) => Err(ItemError::Sink {
                            what: item.what.clone(),
                            source,
                        }),
                    };
                    (index, fetched)
                });
            }
            let mut done: Vec<Option<_>> = (0..number).map(|_| None).collect();
            let mut failed = Vec::new();
            while let Some(joined) = tasks.join_next().await {
                match joined {
                    Ok((index, Ok(one))) => done[index] = Some(one),
                    Ok((index, Err(error))) => failed.push((index, error)),
                    Err(error) => failed.push((
                        number,
                        ItemError::Broken {
                            what: "files".to_owned(),
                            why: error.to_string(),
                        },
                    )),
                }
            }
            if failed.is_empty() {
                return Ok(done.into_iter().flatten().collect());
            }
            failed.sort_by_key(|(index, _)| *index);
            let failed = failed.into_iter().map(|(_, error)| error);
            Err(FetchError::Items(failed.collect()))
        })
    }

    /// Fetches items into memory; gives their bytes, in their order.
    ///
    /// # Errors
    /// As [`Self::fetch_all`].
    pub fn fetch_bytes(&self, items: Vec<Item>) -> Result<Vec<Bytes>, FetchError> {
        self.fetch_all(items, Arc::new(Memory))
    }

    /// Fetches a file of at most `max_size` bytes whose digest nobody knows, from the first
    /// place that has it; says which that was. To reject what one place gave and ask the next,
    /// call it with one candidate at a time.
    ///
    /// # Errors
    /// [`FetchError::Items`] with one item.
    pub fn get_unpinned(
        &self,
        what: &str,
        candidates: &[Location],
        max_size: u64,
    ) -> Result<(Unverified<Bytes>, Location), FetchError> {
        let context = &self.context;
        self.runtime.block_on(async {
            let mut buffer = Buffer::default();
            let limit = Limit::AtMost(max_size);
            let from = context
                .rounds(what, candidates, limit, &mut buffer, |_| Ok(()))
                .await
                .map_err(|error| FetchError::Items(vec![error]))?;
            let bytes = buffer.commit().map_err(|source| {
                let what = what.to_owned();
                FetchError::Items(vec![ItemError::Sink { what, source }])
            })?;
            Ok((Unverified::new(bytes), from))
        })
    }
}
