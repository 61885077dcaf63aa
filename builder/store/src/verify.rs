//! Reads everything again.

use crate::error::StoreError;
use crate::files::{entries, remove};
use crate::object::hash;
use crate::result::{StepKey, StepResult};
use crate::store::Store;
use fs_err::File;
use imgbuild_base::Digest;
use imgbuild_base::event::Unit;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An object whose bytes are not what its name says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Corrupt {
    /// Its name.
    pub digest: Digest,
    /// What its bytes hash to; `None` when the disk would not give them.
    pub found: Option<Digest>,
}

/// What [`Store::verify`] saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many objects were read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The corrupt ones, in the order of their names.
    pub corrupt: Vec<Corrupt>,
    /// Results that cannot be read, or that name a missing, short or corrupt object.
    pub broken: Vec<StepKey>,
    /// Files among the objects that no writer of ours put there.
    pub strays: Vec<PathBuf>,
}

impl VerifyReport {
    /// Whether nothing was wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.corrupt.is_empty() && self.broken.is_empty() && self.strays.is_empty()
    }
}

impl Store {
    /// Hashes every object again, on all processors. With `repair`, corrupt objects, the
    /// results that name them and stray files are removed, so that the next build makes them
    /// anew. Other processes may use the store meanwhile.
    ///
    /// # Errors
    /// When the file system refuses; a file that cannot be read is corrupt, not an error.
    pub fn verify(&self, repair: bool) -> Result<VerifyReport, StoreError> {
        if repair {
            self.needs_writing("repairing")?;
        }
        let mut report = VerifyReport::default();
        let mut objects = Vec::new();
        for (prefix, directory) in entries(&self.inner.layout.objects())? {
            if !directory.is_dir() {
                report.strays.push(directory);
                continue;
            }
            for (name, path) in entries(&directory)? {
                match name.parse::<Digest>() {
                    Ok(digest) if name.starts_with(&prefix) && path.is_file() => {
                        objects.push((digest, path));
                    }
                    _ => report.strays.push(path),
                }
            }
        }
        self.read_all(&objects, &mut report);
        let bad: BTreeSet<Digest> = report.corrupt.iter().map(|one| one.digest).collect();
        let mut broken = Vec::new();
        for (key, path) in self.result_files()? {
            let text = fs_err::read(&path).unwrap_or_default();
            let fine = serde_json::from_slice::<StepResult>(&text).is_ok_and(|result| {
                result.outputs.values().all(|output| {
                    let there = fs_err::metadata(self.inner.layout.object(output.digest));
                    !bad.contains(&output.digest) && there.is_ok_and(|it| it.len() == output.len)
                })
            });
            if !fine {
                broken.push((key, path));
            }
        }
        if repair {
            for (_, path) in &broken {
                remove(path)?;
            }
            for digest in &bad {
                remove(&self.inner.layout.object(*digest))?;
            }
            for path in &report.strays {
                if path.is_dir() {
                    fs_err::remove_dir_all(path).map_err(StoreError::at("removing", path))?;
                } else {
                    remove(path)?;
                }
            }
        }
        report.broken = broken.into_iter().map(|(key, _)| key).collect();
        Ok(report)
    }

    fn read_all(&self, objects: &[(Digest, PathBuf)], report: &mut VerifyReport) {
        let total = Some(objects.len() as u64);
        let task = self
            .inner
            .events
            .start("verifying the store", total, Unit::Items);
        let next = AtomicUsize::new(0);
        let seen = Mutex::new(report);
        let work = || {
            while let Some((digest, path)) = objects.get(next.fetch_add(1, Ordering::Relaxed)) {
                let read = File::open(path).and_then(|mut file| hash(&mut file));
                if matches!(&read, Err(error) if error.kind() == ErrorKind::NotFound) {
                    // Somebody else repaired or collected it meanwhile.
                    continue;
                }
                let found = read.as_ref().ok().map(|(found, _)| *found);
                let mut report = match seen.lock() {
                    Ok(report) => report,
                    Err(poisoned) => poisoned.into_inner(),
                };
                report.objects += 1;
                report.bytes += read.map_or(0, |(_, len)| len);
                if found != Some(*digest) {
                    let digest = *digest;
                    report.corrupt.push(Corrupt { digest, found });
                }
                drop(report);
                task.advance(1);
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        if let Ok(report) = seen.into_inner() {
            report.corrupt.sort();
        }
    }
}
