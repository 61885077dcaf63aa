//! Where a release is.

use crate::error::{Failure, OrFail, Result};
use imgbuild_fetch::Location;
use std::path::Path;

/// A directory, or an address from which the files of one are had.
#[derive(Debug)]
pub(super) struct Place(Location);

impl Place {
    /// From a URL or the path of a directory.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let location = match text.contains("://") {
            true => text.parse::<Location>(),
            false => Location::local(std::path::absolute(text).or_fail(Failure::Storage)?),
        };
        location.or_fail(Failure::Other).map(Self)
    }

    /// The place.
    pub(super) const fn location(&self) -> &Location {
        &self.0
    }

    /// The directory, if it is one.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.0.as_path()
    }
}
