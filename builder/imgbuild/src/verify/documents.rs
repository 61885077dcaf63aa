//! Manifest, provenance and bill of materials, against the files, the lock and each other.

use super::Problems;
use super::content::Content;
use crate::lock::Lock;
use crate::release::{MANIFEST, PROVENANCE, materials};
use imgbuild_base::Digest;
use imgbuild_release::provenance::Statement;
use imgbuild_release::sbom::Bom;
use imgbuild_release::{Envelope, FileRecord, Manifest, Material, PublicKey, ReleasePath};
use std::collections::{BTreeMap, BTreeSet};

/// Checks them; gives the manifest, if it can be read.
pub(super) fn check(
    content: &Content,
    key: Option<&PublicKey>,
    problems: &mut Problems,
) -> Option<Manifest> {
    let manifest = manifest(content, problems)?;
    let materials = materials(content, &manifest, problems);
    provenance(content, &manifest, materials.as_deref(), key, problems);
    if let Some(materials) = &materials {
        bills(content, &manifest, materials, problems);
    }
    layers(&manifest, problems);
    Some(manifest)
}

fn own(name: &str) -> Option<ReleasePath> {
    name.parse().ok()
}

fn manifest(content: &Content, problems: &mut Problems) -> Option<Manifest> {
    let path = own(MANIFEST)?;
    if content.sums().get(&path).is_none() {
        problems.add(format!("{path} is not in the sums"));
    }
    // A file that is missing or was changed has been named already.
    let manifest = match Manifest::read(&content.read(&path)?) {
        Ok(manifest) => manifest,
        Err(error) => {
            problems.add(format!("{path}: {error}"));
            return None;
        }
    };
    let described: BTreeMap<&ReleasePath, &FileRecord> =
        manifest.files().map(|file| (&file.path, file)).collect();
    for (path, file) in &described {
        match content.sums().get(path) {
            None => problems.add(format!("{path} is in {MANIFEST}, but not in the sums")),
            Some(sum) if sum != file.sha256 => {
                problems.add(format!("{path} is another file than {MANIFEST} says"));
            }
            Some(_) => {
                let found = content
                    .file(path)
                    .and_then(|file| fs_err::metadata(file).ok());
                if found.is_some_and(|found| found.len() != file.size) {
                    problems.add(format!("{path} is not as long as {MANIFEST} says"));
                }
            }
        }
    }
    for (path, _) in content.sums().iter() {
        if !described.contains_key(path) && ![MANIFEST, PROVENANCE].contains(&path.as_str()) {
            problems.add(format!("{path} is in the sums, but not in {MANIFEST}"));
        }
    }
    Some(manifest)
}

/// What the lock in the release pins.
fn materials(
    content: &Content,
    manifest: &Manifest,
    problems: &mut Problems,
) -> Option<Vec<Material>> {
    let path = &manifest.lock.path;
    let text = content.read(path)?;
    match Lock::parse(&String::from_utf8_lossy(&text), path.as_str()) {
        Ok(lock) => Some(materials::of_lock(&lock, manifest.arch)),
        Err(error) => {
            problems.add(format!("{path}: {error}"));
            None
        }
    }
}

fn provenance(
    content: &Content,
    manifest: &Manifest,
    materials: Option<&[Material]>,
    key: Option<&PublicKey>,
    problems: &mut Problems,
) -> Option<()> {
    let path = own(PROVENANCE)?;
    if content.sums().get(&path).is_none() {
        problems.add(format!("{path} is not in the sums"));
    }
    let envelope = content.read(&path)?;
    let statement = Envelope::open(&envelope, key).map_err(|error| error.to_string());
    let statement =
        statement.and_then(|text| Statement::read(&text).map_err(|error| error.to_string()));
    let statement = match statement {
        Ok(statement) => statement,
        Err(error) => {
            problems.add(format!("{path}: {error}"));
            return None;
        }
    };
    let mut subjects: BTreeMap<String, Digest> = BTreeMap::new();
    for (name, digest) in statement.subjects() {
        match digest {
            Some(digest) => {
                subjects.insert(name.to_string(), digest);
            }
            None => problems.add(format!("{path}: {name} has no SHA-256")),
        }
    }
    let files = content.sums().iter();
    let files = files.filter(|(file, _)| **file != path);
    let files = files.map(|(file, digest)| (file.to_string(), digest));
    same(
        path.as_str(),
        "the file",
        &files.collect(),
        &subjects,
        problems,
    );
    if let Some(materials) = materials {
        let fetched = materials.iter().filter(|one| one.kind.is_fetched());
        let mut expected: BTreeMap<String, Digest> =
            fetched.map(|one| (one.purl.clone(), one.digest)).collect();
        for file in [&manifest.recipe, &manifest.lock] {
            expected.insert(file.path.to_string(), file.sha256);
        }
        let stated = statement.dependencies().into_iter();
        let stated = stated.filter_map(|(uri, digest)| Some((uri.to_owned(), digest?)));
        same(
            path.as_str(),
            "the input",
            &expected,
            &stated.collect(),
            problems,
        );
    }
    let secrets = manifest.images.iter().any(|image| image.secret);
    let packing = manifest.images.first().map(|image| image.packing);
    let agree = statement.name() == manifest.name
        && statement.epoch() == manifest.epoch
        && statement.is_by(&manifest.builder)
        && statement.wishes().0 == secrets
        && packing.is_none_or(|packing| packing == statement.wishes().1);
    if !agree {
        problems.add(format!(
            "{path} and {MANIFEST} disagree on the release's name, time, builder or wishes"
        ));
    }
    Some(())
}

fn bills(content: &Content, manifest: &Manifest, materials: &[Material], problems: &mut Problems) {
    if manifest.sboms.keys().ne([&manifest.arch]) {
        problems.add(format!(
            "{MANIFEST} names no bill of materials for {}",
            manifest.arch
        ));
    }
    let contained = materials.iter().filter(|one| one.kind.is_contained());
    let expected = contained
        .map(|one| (one.purl.clone(), one.digest))
        .collect();
    for file in manifest.sboms.values() {
        let path = file.path.as_str();
        let Some(text) = content.read(&file.path) else {
            continue;
        };
        let bill = match Bom::read(&text) {
            Ok(bill) => bill,
            Err(error) => {
                problems.add(format!("{path}: {error}"));
                continue;
            }
        };
        let listed = bill.contents().into_iter();
        let listed = listed
            .map(|(purl, digest)| (purl.to_owned(), digest))
            .collect();
        same(path, "the part", &expected, &listed, problems);
        if bill.about() != (manifest.name.as_str(), Some(manifest.builder.clone())) {
            problems.add(format!(
                "{path} is of another release or program than {MANIFEST} says"
            ));
        }
    }
}

/// Every shared layer on an image for anybody is one of those that the release has.
fn layers(manifest: &Manifest, problems: &mut Problems) {
    let layers = manifest.layers.iter();
    let layers: BTreeMap<&str, Digest> = layers
        .map(|layer| (layer.path.as_str(), layer.sha256))
        .collect();
    let mut used = BTreeSet::new();
    for image in &manifest.images {
        let files = image.disk.boot.files.iter();
        for (path, file) in files.filter(|(path, _)| path.starts_with("layers/")) {
            let name = &image.file.path;
            match layers.get(path.as_str()) {
                Some(digest) if *digest == file.sha256 => {
                    used.insert(path.as_str());
                }
                Some(_) => problems.add(format!(
                    "{MANIFEST}: {path} in {name} is another file than the release's"
                )),
                None if image.secret && path.starts_with("layers/20-") => {}
                None => problems.add(format!("{MANIFEST}: the release has no {path} of {name}")),
            }
        }
    }
    for path in layers.keys().filter(|path| !used.contains(*path)) {
        problems.add(format!("{MANIFEST}: {path} is in no image"));
    }
}

/// Names what is in one list of names and digests and not in the other.
fn same(
    place: &str,
    what: &str,
    expected: &BTreeMap<String, Digest>,
    found: &BTreeMap<String, Digest>,
    problems: &mut Problems,
) {
    for (name, digest) in expected {
        match found.get(name) {
            None => problems.add(format!("{place} lacks {what} {name}")),
            Some(other) if other != digest => {
                problems.add(format!("{place} has another digest for {what} {name}"));
            }
            Some(_) => {}
        }
    }
    for name in found.keys().filter(|name| !expected.contains_key(*name)) {
        problems.add(format!(
            "{place} has {what} {name}, which does not belong there"
        ));
    }
}
