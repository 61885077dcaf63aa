use reqwest::Url;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A place a file or a directory of files can be read from. As text: an `http`, `https` or
/// `file` URL, or an absolute path. A password in a URL is used but never shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location(Place);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    Web(Url),
    Local(PathBuf),
}

/// Why a text is no place to fetch from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Neither a URL nor an absolute path.
    #[error("{0:?} is neither a URL (http, https, file) nor an absolute path")]
    Unreadable(String),
    /// A URL of another kind.
    #[error("cannot fetch by {0:?}: only http, https and file are supported")]
    Scheme(String),
    /// A path below a base that would leave it.
    #[error("{0:?} is not a plain relative path: expected names separated by single '/'")]
    Path(String),
}

impl Location {
    /// The file or directory at an absolute path.
    ///
    /// # Errors
    /// [`LocationError::Unreadable`] when it is not absolute.
    pub fn local(path: impl Into<PathBuf>) -> Result<Self, LocationError> {
        let path = path.into();
        if path.is_absolute() {
            Ok(Self(Place::Local(path)))
        } else {
            Err(LocationError::Unreadable(path.display().to_string()))
        }
    }

    /// What lies at `path` below this place. The path's characters stand for themselves: they
    /// are escaped where a URL needs it.
    ///
    /// # Errors
    /// [`LocationError::Path`] when it is absolute, empty, or has empty, `.` or `..` parts.
    pub fn join(&self, path: &str) -> Result<Self, LocationError> {
        let bad = |part: &str| matches!(part, "" | "." | "..") || part.contains(['\0', '\\']);
        if path.split('/').any(bad) {
            return Err(LocationError::Path(path.to_owned()));
        }
        match &self.0 {
            Place::Local(base) => Ok(Self(Place::Local(base.join(path)))),
            Place::Web(base) => {
                let mut url = base.clone();
                url.path_segments_mut()
                    .map_err(|()| LocationError::Path(path.to_owned()))?
                    .pop_if_empty()
                    .extend(path.split('/'));
                Ok(Self(Place::Web(url)))
            }
        }
    }

    /// Whether it can be reached without a network.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        matches!(self.0, Place::Local(_))
    }

    /// The path of a local place.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match &self.0 {
            Place::Local(path) => Some(path),
            Place::Web(_) => None,
        }
    }

    /// The URL of a place in the network.
    pub(crate) const fn as_url(&self) -> Option<&Url> {
        match &self.0 {
            Place::Web(url) => Some(url),
            Place::Local(_) => None,
        }
    }

    /// The last part of its path: "debian".
    pub(crate) fn last_part(&self) -> Option<&str> {
        match &self.0 {
            Place::Local(path) => path.file_name()?.to_str(),
            Place::Web(url) => url.path().trim_end_matches('/').rsplit('/').next(),
        }
    }

    /// The place beside this one with another last part.
    pub(crate) fn beside(&self, name: &str) -> Self {
        match &self.0 {
            Place::Local(path) => Self(Place::Local(path.with_file_name(name))),
            Place::Web(url) => {
                let mut url = url.clone();
                if let Ok(mut parts) = url.path_segments_mut() {
                    parts.pop_if_empty().pop().push(name);
                }
                Self(Place::Web(url))
            }
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let unreadable = || LocationError::Unreadable(text.to_owned());
        if text.starts_with('/') {
            return Self::local(text.trim_end_matches('/')).or_else(|_| Self::local("/"));
        }
        let mut url: Url = text.parse().map_err(|_| unreadable())?;
        match url.scheme() {
            "http" | "https" => {
                url.set_fragment(None);
                // One spelling of a base, so that lists of them can be rid of doubles.
                if let Ok(mut parts) = url.path_segments_mut() {
                    parts.pop_if_empty();
                }
                Ok(Self(Place::Web(url)))
            }
            "file" => url
                .to_file_path()
                .map_err(|()| unreadable())
                .and_then(Self::local),
            other => Err(LocationError::Scheme(other.to_owned())),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Local(path) => write!(f, "{}", path.display()),
            Place::Web(url) if url.password().is_some() => {
                let mut shown = url.clone();
                // Fails only for URLs without a host, which have no password.
                let _ = shown.set_password(Some("…"));
                let text = shown.as_str().replace("%E2%80%A6", "…");
                f.write_str(&text)
            }
            Place::Web(url) => f.write_str(url.as_str()),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn location(text: &str) -> Location {
        text.parse().unwrap()
    }

    #[test]
    fn a_base_and_a_path_make_a_place() {
        for (base, path, expected) in [
            (
                "http://host/debian/",
                "pool/a_1+b~2.deb",
                "http://host/debian/pool/a_1+b~2.deb",
            ),
            (
                "http://host/debian",
                "a%3a?#b",
                "http://host/debian/a%253a%3F%23b",
            ),
            ("https://host", "x", "https://host/x"),
            ("/srv/debian/", "pool/x", "/srv/debian/pool/x"),
            ("file:///srv/my%20mirror", "x", "/srv/my mirror/x"),
            ("/", "x", "/x"),
        ] {
            assert_eq!(location(base).join(path).unwrap().to_string(), expected);
        }
        for bad in ["", "/etc/passwd", "a//b", "../x", "a/../b", "a/.", "a\\b"] {
            for base in ["http://host/debian", "/srv"] {
                let refused = location(base).join(bad);
                assert_eq!(refused, Err(LocationError::Path(bad.to_owned())));
            }
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let scheme = LocationError::Scheme("ftp".to_owned());
        assert_eq!("ftp://host/x".parse::<Location>(), Err(scheme));
        for bad in ["", "debian", "./x", "http://", "file://host/x"] {
            let refused = bad.parse::<Location>();
            assert_eq!(refused, Err(LocationError::Unreadable(bad.to_owned())));
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let secret = location("http://me:hunter2@host/debian");
        assert_eq!(secret.to_string(), "http://me:…@host/debian");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            if let Ok(place) = text.parse::<Location>() {
                prop_assert!(!place.to_string().is_empty());
            }
        }
    }
}
