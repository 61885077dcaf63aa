//! A release against what its recipe and lock give here.

use super::content::Content;
use super::{Problems, Request};
use crate::contents;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::pipeline;
use crate::project::Project;
use crate::release;
use imgbuild_release::{Manifest, ReleasePath};
use std::collections::BTreeMap;
use std::path::Path;

/// Releases the same once more, without secrets and unsigned, and compares all that does not
/// depend on them.
pub(super) fn check(
    request: &Request<'_>,
    content: &Content,
    manifest: &Manifest,
    problems: &mut Problems,
) -> Result<()> {
    let scratch = tempfile::Builder::new()
        .prefix("imgbuild-rebuild-")
        .tempdir()
        .or_fail(Failure::Storage)?;
    let recipe = copy(content, &manifest.recipe.path, scratch.path())?;
    copy(content, &manifest.lock.path, scratch.path())?;
    let project = Project::find(&recipe, request.color)?;
    let events = request.events.clone();
    let mut build = pipeline::Request::without_secrets(project, request.global, events)?;
    // A release may have been made for another time than its lock's.
    build.lock.epoch = manifest.epoch;
    let Some(packing) = manifest.images.first().map(|image| image.packing) else {
        problems.add("the release has no image that could be built again");
        return Ok(());
    };
    let again = release::release(&release::Request {
        build,
        out: scratch.path().join("release"),
        secrets: false,
        packing,
        key: None,
    })?;
    let secret = manifest.images.iter().filter(|image| image.secret);
    for image in secret {
        let path = &image.file.path;
        request.events.warn(format!(
            "{path} was not built again: that takes the cluster's secret"
        ));
    }
    let public = manifest.images.iter().filter(|image| !image.secret);
    let built: BTreeMap<_, _> = again
        .manifest
        .images
        .iter()
        .map(|image| (&image.file.path, image))
        .collect();
    for image in public {
        let path = &image.file.path;
        match built.get(path) {
            None => problems.add(format!("{path} does not come out of recipe and lock")),
            Some(other) => {
                for line in contents::differences(&other.disk, &image.disk) {
                    problems.add(format!("{path}: {line}, when built again"));
                }
                if other.disk == image.disk && other != &image {
                    problems.add(format!("{path} is packed otherwise than when built again"));
                }
            }
        }
    }
    for kind in [
        (&manifest.layers, &again.manifest.layers),
        (
            &manifest.sboms.values().cloned().collect(),
            &again.manifest.sboms.values().cloned().collect(),
        ),
    ] {
        let (released, built) = kind;
        for file in released {
            if !built.contains(file) {
                let path = &file.path;
                problems.add(format!("{path} does not come out of recipe and lock"));
            }
        }
    }
    Ok(())
}

/// Copies a file of the release under its own name; gives its path.
fn copy(content: &Content, path: &ReleasePath, to: &Path) -> Result<String> {
    let bytes = content.read(path).ok_or_else(|| {
        CommandError::msg(
            Failure::Verify,
            format!("{path} changed while it was checked"),
        )
    })?;
    let name = path.as_str().rsplit('/').next().unwrap_or(path.as_str());
    let file = to.join(name);
    fs_err::write(&file, bytes).or_fail(Failure::Storage)?;
    Ok(file.display().to_string())
}
