//! `imgbuild lock`: pinning inputs, and saying what changed.

use super::args::GlobalArgs;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::lock::diff::diff;
use crate::lock::resolve::{Resolver, Wish};
use crate::means::Means;
use crate::messages::lock::Outcome;
use crate::messages::{self, Message};
use crate::output;
use crate::project::Project;
use crate::terminal::{Terminal, table};
use imgbuild_base::Epoch;
use imgbuild_debian::release::Keyring;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the options say.
pub(crate) fn wish(update: Vec<String>, all: bool) -> Wish {
    match (all, update.is_empty()) {
        (true, _) => Wish::All,
        (false, true) => Wish::Keep,
        (false, false) => Wish::Update(update.into_iter().collect()),
    }
}

/// What the user wants of a lock.
pub(crate) struct Wanted {
    /// What is to be newer.
    pub(crate) wish: Wish,
    /// Whether the time is to be now in any case.
    pub(crate) renew: bool,
    /// Suites to leave out.
    pub(crate) skip: Vec<String>,
    /// Whether nothing is to be written.
    pub(crate) only_show: bool,
}

/// Locks a recipe, or with `only_show` says what that would change.
pub(crate) fn lock(
    terminal: &Terminal,
    global: &GlobalArgs,
    name: &str,
    wanted: &Wanted,
) -> Result<()> {
    let events = terminal.events();
    let project = Project::find(name, terminal.color())?;
    let path = project.lock_path()?;
    let old = project.lock()?;
    let means = Means::new(global, &project.recipe, None, &events)?;
    let keyring = keyring(global.keyring.as_deref())?;
    let new = Resolver {
        recipe: &project.recipe,
        old: old.as_ref(),
        wish: &wanted.wish,
        renew: wanted.renew,
        skip: &wanted.skip,
        keyring: &keyring,
        means: &means,
        now: now()?,
        events: &events,
    }
    .lock()?;
    let changes = diff(old.as_ref(), &new);
    let outcome = match (old.as_ref() == Some(&new), wanted.only_show) {
        (true, _) => Outcome::UpToDate,
        (false, true) => Outcome::LeftAsItIs,
        (false, false) => Outcome::Written,
    };
    if outcome == Outcome::Written {
        write(&path, &new.to_text()?)?;
    }
    let done = messages::lock::Lock {
        path,
        outcome,
        packages: new.debian.packages.len(),
        changes,
    };
    terminal.summary(&text(&done));
    terminal.message(&Message::Lock(done));
    Ok(())
}

/// What was done, for people.
fn text(done: &messages::lock::Lock) -> String {
    let rows: Vec<Vec<String>> = done
        .changes
        .iter()
        .map(|change| {
            let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            vec![change.what.clone(), shown(&change.old), shown(&change.new)]
        })
        .collect();
    let shown = done.path.display();
    let outcome = match done.outcome {
        Outcome::UpToDate => format!("{shown} is up to date"),
        Outcome::LeftAsItIs => format!("{shown} was left as it is"),
        Outcome::Written => format!(
            "{shown} pins {} packages; commit it beside its recipe",
            done.packages
        ),
    };
    match rows.is_empty() {
        true => outcome,
        false => format!("{}\n{outcome}", table(&["input", "was", "is"], &rows)),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    output::put_file(dir, &name, text.as_bytes(), 0o644).or_fail(Failure::Storage)
}

/// The keys that may sign the archive: the pinned ones, or those of a file.
fn keyring(file: Option<&Path>) -> Result<Keyring> {
    match file {
        None => Keyring::builtin().or_fail(Failure::Verify),
        Some(file) => {
            let bytes = fs_err::read(file).or_fail(Failure::Verify)?;
            Keyring::from_armored(&bytes).or_fail(Failure::Verify)
        }
    }
}

/// The present: the environment's SOURCE_DATE_EPOCH, or the clock.
fn now() -> Result<Epoch> {
    if let Some(epoch) = crate::pipeline::source_date_epoch()? {
        return Ok(epoch);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| {
        CommandError::msg(Failure::Other, "this machine's clock is before 1970")
            .hint("set the clock; signatures cannot be judged without it")
    })?;
    Epoch::try_from(since.as_secs()).or_fail(Failure::Other)
}
