//! What a run works with: the store, the network, the threads.

use crate::cli::args::GlobalArgs;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::project;
use imgbuild_base::{Digest, Events};
use imgbuild_etcd::Locations;
use imgbuild_fetch::mirrors::{self, AptSources, Archive, Mirror, MirrorConfig};
use imgbuild_fetch::{FetchOptions, Fetcher, Location};
use imgbuild_recipe::Recipe;
use imgbuild_store::{Object, Store};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The means of a run.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    /// What was built before.
    pub(crate) store: Store,
    /// Where inputs may be found instead of being fetched, besides `store`.
    pub(crate) inputs: Option<Store>,
    /// The way to what was not.
    pub(crate) fetcher: Arc<Fetcher>,
    /// Where Debian's archive may be had.
    pub(crate) mirrors: Vec<Mirror>,
    /// Where etcd's releases may be had.
    pub(crate) etcd: Locations,
    /// Whether the network is left alone.
    pub(crate) offline: bool,
    /// How many threads work.
    pub(crate) jobs: NonZeroUsize,
}

impl Means {
    /// Opens the store and settles where things come from. `snapshot` is the time of the
    /// snapshot archive that serves as the last resort.
    pub(crate) fn new(
        global: &GlobalArgs,
        recipe: &Recipe,
        snapshot: Option<&str>,
        events: &Events,
    ) -> Result<Self> {
        let jobs = global
            .jobs
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN);
        // Fails only when a pool was set up before, which has as many threads.
        let _ = rayon::ThreadPoolBuilder::new()
            .num_threads(jobs.get())
            .build_global();
        let path = project::store_path(global.store.as_deref())?;
        let store = open_store(&path, events)?;
        let options = FetchOptions {
            offline: global.offline,
            ..FetchOptions::default()
        };
        let etcd = match &global.etcd_mirror {
            Some(base) => Locations::at([base.as_str()]),
            None => Locations::upstream(),
        };
        Ok(Self {
            store,
            inputs: None,
            fetcher: Arc::new(Fetcher::new(options, events).or_fail(Failure::Fetch)?),
            mirrors: mirrors(global, recipe, snapshot)?,
            etcd,
            offline: global.offline,
            jobs,
        })
    }

    /// The same with an empty store at `path`, whose inputs come from this one.
    pub(crate) fn with_empty_store(&self, path: &Path, events: &Events) -> Result<Self> {
        Ok(Self {
            store: open_store(path, events)?,
            inputs: Some(self.store.clone()),
            ..self.clone()
        })
    }

    /// An input from the store that a second build takes them from, hashed again.
    pub(crate) fn input_at_hand(&self, digest: Digest) -> Result<Option<Object>> {
        let Some(inputs) = &self.inputs else {
            return Ok(None);
        };
        let Some(object) = inputs.object(digest).or_fail(Failure::Storage)? else {
            return Ok(None);
        };
        let bytes = object.bytes().or_fail(Failure::Storage)?;
        let copy = self.store.put(&bytes).or_fail(Failure::Storage)?;
        if copy.digest() != digest {
            let text = format!("the store's object {digest} is damaged");
            return Err(CommandError::msg(Failure::Verify, text)
                .hint("`imgbuild store verify` removes damaged objects"));
        }
        Ok(Some(copy))
    }

    /// Where a file of Debian's archive may be had.
    pub(crate) fn debian(&self, archive: Archive, path: &str) -> Result<Vec<Location>> {
        mirrors::candidates(&self.mirrors, archive, path).or_fail(Failure::Fetch)
    }
}

/// A store that cannot be written to still serves a build that needs nothing new.
fn open_store(path: &Path, events: &Events) -> Result<Store> {
    Store::open(path, events)
        .or_fail(Failure::Storage)
        .map_err(|error| {
            error
                .context(format!("opening the store {}", path.display()))
                .hint("give a directory you may write to with --store DIR")
        })
}

fn mirrors(global: &GlobalArgs, recipe: &Recipe, snapshot: Option<&str>) -> Result<Vec<Mirror>> {
    let config = MirrorConfig {
        recipe: recipe
            .image
            .mirrors
            .iter()
            .map(|mirror| mirror.as_str().to_owned())
            .collect(),
        flag: global.mirror.iter().map(|text| absolute(text)).collect(),
        environment: std::env::var("IMGBUILD_MIRROR").ok(),
        host: apt_sources(Path::new("/etc/apt")),
        snapshot: snapshot.map(str::to_owned),
    };
    mirrors::mirrors(&config).or_fail(Failure::Fetch)
}

/// A directory may be given relative to the working directory.
fn absolute(text: &str) -> String {
    if text.contains("://") {
        return text.to_owned();
    }
    std::path::absolute(text).map_or_else(|_| text.to_owned(), |path| path.display().to_string())
}

/// The host's apt sources, in the order apt reads them; what cannot be read is left out.
fn apt_sources(etc: &Path) -> Vec<AptSources> {
    let mut files: Vec<PathBuf> = fs_err::read_dir(etc.join("sources.list.d"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    files.sort();
    files.insert(0, etc.join("sources.list"));
    files
        .into_iter()
        .filter_map(|file| {
            let text = fs_err::read_to_string(&file).ok()?;
            match file.extension()?.to_str()? {
                "list" => Some(AptSources::OneLine(text)),
                "sources" => Some(AptSources::Deb822(text)),
                _ => None,
            }
        })
        .collect()
}
