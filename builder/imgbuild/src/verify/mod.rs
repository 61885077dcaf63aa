//! Whether a release is what it says: the list of verbs.
//!
//! From the outside to the inside, each step with what the one before has shown to be genuine:
//! the signature of the sums; the sums of the files ([`content`]); manifest, provenance and bill
//! of materials against the files, the lock and each other ([`documents`]); every image, opened,
//! against the manifest ([`images`]); and, if it is wanted, all of it against what recipe and
//! lock give here ([`rebuild`]). What is wrong is gathered, not only the first thing.

mod content;
mod documents;
mod images;
mod place;
mod rebuild;

use crate::cli::args::GlobalArgs;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::release::{SIGNATURE, SUMS};
use imgbuild_base::Events;
use imgbuild_fetch::{FetchOptions, Fetcher};
use imgbuild_release::{PublicKey, Sums};
use place::Place;

/// The sums of a release have some hundred bytes for each file.
const LARGEST_SUMS: u64 = 16 << 20;

/// What is to be checked, and against what.
pub(crate) struct Request<'a> {
    /// A directory or a URL.
    pub(crate) place: &'a str,
    /// Who must have signed.
    pub(crate) key: Option<PublicKey>,
    /// Whether to build it again.
    pub(crate) rebuild: bool,
    /// Store and mirrors, to build with.
    pub(crate) global: &'a GlobalArgs,
    /// Whether reports may have colours.
    pub(crate) color: bool,
    /// Where work reports.
    pub(crate) events: Events,
}

/// A release that is what it says.
#[derive(Debug)]
pub(crate) struct Verified {
    /// Its name.
    pub(crate) name: String,
    /// How many files it has.
    pub(crate) files: usize,
    /// How many of them are images.
    pub(crate) images: usize,
    /// The number of the key that signed, if it was checked.
    pub(crate) signed_by: Option<String>,
    /// Whether the same came out when it was built again.
    pub(crate) rebuilt: bool,
}

/// What is wrong, thing by thing.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, text: impl Into<String>) {
        self.0.push(text.into());
    }

    fn or(self, place: &str) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let text = format!("{place} is not what it says:\n  {}", self.0.join("\n  "));
        Err(CommandError::msg(Failure::Verify, text)
            .hint("use nothing of it; get it again from where it was published"))
    }
}

/// Checks a release.
pub(crate) fn verify(request: &Request<'_>) -> Result<Verified> {
    let options = FetchOptions {
        offline: request.global.offline,
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(options, &request.events).or_fail(Failure::Fetch)?;
    let place = Place::parse(request.place)?;
    let sums = sums(&place, &fetcher, request.key.as_ref())?;
    let mut problems = Problems::default();
    let content = content::gather(&place, sums, &fetcher, &request.events, &mut problems)?;
    let manifest = documents::check(&content, request.key.as_ref(), &mut problems);
    if let Some(manifest) = &manifest {
        images::check(&content, manifest, &request.events, &mut problems);
    }
    let mut rebuilt = false;
    if let (true, Some(manifest), true) = (request.rebuild, &manifest, problems.0.is_empty()) {
        rebuild::check(request, &content, manifest, &mut problems)?;
        rebuilt = true;
    }
    problems.or(request.place)?;
    let Some(manifest) = manifest else {
        return Err(CommandError::msg(Failure::Verify, "there is no manifest"));
    };
    Ok(Verified {
        files: content.len(),
        images: manifest.images.len(),
        name: manifest.name,
        signed_by: request.key.as_ref().map(|key| key.id().to_string()),
        rebuilt,
    })
}

/// The sums of a release; with a key, only when it has signed them.
fn sums(place: &Place, fetcher: &Fetcher, key: Option<&PublicKey>) -> Result<Sums> {
    let at = |name: &str| place.location().join(name).or_fail(Failure::Other);
    let get = |name: &str| {
        fetcher
            .get_unpinned(name, &[at(name)?], LARGEST_SUMS)
            .or_fail(Failure::Fetch)
    };
    let (text, _) = get(SUMS).map_err(|error| {
        error.with_hint(format!(
            "a release is a directory with {SUMS} in it, or its address"
        ))
    })?;
    let signature = match key {
        None => None,
        Some(key) => {
            let (signature, _) = get(SIGNATURE).map_err(|error| {
                let text = format!("there is no signature to check with the key {}", key.id());
                CommandError::msg(Failure::Verify, format!("{text}: {error}"))
                    .hint("without --key the sums are checked, but not who made them")
            })?;
            Some((key, signature))
        }
    };
    text.verify(|text| {
        if let Some((key, signature)) = signature {
            signature.verify(|signature| {
                let signature = String::from_utf8_lossy(&signature);
                key.check(&text, &signature)
                    .or_fail(Failure::Verify)
                    .map_err(|error| {
                        error
                            .context(format!("the signature of {SUMS} does not hold"))
                            .hint("either the key is not the publisher's, or the release is forged")
                    })
            })?;
        }
        String::from_utf8_lossy(&text)
            .parse()
            .or_fail(Failure::Verify)
    })
}
