//! Downloads that end up in the store.

use crate::error::{CommandError, Failure, Result};
use imgbuild_base::Digest;
use imgbuild_fetch::{Fault, FetchError, Item, ItemError, Sink, Target};
use imgbuild_store::{Object, ObjectWriter, Store};
use std::io::{self, Write};
use std::sync::mpsc::Sender;

/// Puts fetched files into the store and tells of each as soon as it is there.
pub(crate) struct StoreSink {
    store: Store,
    done: Sender<Object>,
}

impl StoreSink {
    /// A sink into `store`; each finished object is sent to `done`.
    pub(crate) fn new(store: &Store, done: Sender<Object>) -> Self {
        Self {
            store: store.clone(),
            done,
        }
    }
}

/// A download on its way into the store.
pub(crate) struct Download {
    writer: ObjectWriter,
    expected: Digest,
    size: Option<u64>,
    done: Sender<Object>,
}

impl Sink for StoreSink {
    type Target = Download;

    fn begin(&self, item: &Item) -> io::Result<Download> {
        let writer = self
            .store
            .partial_writer(item.digest)
            .map_err(io::Error::from)?;
        Ok(Download {
            writer,
            expected: item.digest,
            size: item.size,
            done: self.done.clone(),
        })
    }
}

impl Write for Download {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Target for Download {
    type Done = Object;

    fn len(&self) -> u64 {
        self.writer.len()
    }

    fn digest(&self) -> Digest {
        self.writer.digest()
    }

    fn restart(&mut self) -> io::Result<()> {
        self.writer.restart().map_err(io::Error::from)
    }

    fn commit(self) -> io::Result<Object> {
        let object = self
            .writer
            .commit_expecting(self.expected, self.size)
            .map_err(io::Error::from)?;
        // Nobody waits any more when the build failed meanwhile; the object is there anyway.
        let _ = self.done.send(object.clone());
        Ok(object)
    }
}

/// Whether a place had a file, but not the one that was asked for.
fn is_another_file(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::WrongBytes { .. } | Fault::WrongLength { .. } | Fault::TooLong { .. }
    )
}

/// The failure of a fetch as the user sees it: wrong bytes are another matter than none.
pub(crate) fn fetch_failed(error: &FetchError) -> CommandError {
    let FetchError::Items(items) = error else {
        return CommandError::new(Failure::Fetch, error);
    };
    let is_wrong = |item: &ItemError| match item {
        ItemError::Failed { tries, .. } | ItemError::Offline { tries, .. } => {
            tries.iter().any(|one| is_another_file(&one.fault))
        }
        ItemError::Sink { .. } | ItemError::Broken { .. } => false,
    };
    let failure = if items
        .iter()
        .any(|item| matches!(item, ItemError::Sink { .. }))
    {
        Failure::Storage
    } else if items.iter().any(is_wrong) {
        Failure::Verify
    } else {
        Failure::Fetch
    };
    let hint = match failure {
        Failure::Fetch => {
            "name a mirror that has it with --mirror URL, or, if the mirrors have \
                           only newer versions by now, pin those with `imgbuild lock`"
        }
        Failure::Verify => "no byte of it was used; another mirror can be named with --mirror URL",
        _ => "`imgbuild store gc` frees room; --store DIR names another place",
    };
    CommandError::new(failure, error).hint(hint)
}

/// Fetches one file that a step needs besides its inputs.
pub(crate) fn fetch_one(
    fetcher: &imgbuild_fetch::Fetcher,
    store: &Store,
    item: Item,
) -> Result<Object> {
    if let Some(object) = store
        .object(item.digest)
        .map_err(|error| CommandError::new(Failure::Storage, &error))?
    {
        return Ok(object);
    }
    let what = item.what.clone();
    let (sender, _receiver) = std::sync::mpsc::channel();
    let sink = std::sync::Arc::new(StoreSink::new(store, sender));
    let mut objects = fetcher
        .fetch_all(vec![item], sink)
        .map_err(|error| fetch_failed(&error))?;
    objects
        .pop()
        .ok_or_else(|| CommandError::msg(Failure::Fetch, format!("{what} was not fetched")))
}
