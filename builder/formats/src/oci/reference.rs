use std::fmt;
use std::str::FromStr;

/// An image's name with its tag, such as `localhost/etcd:3.6.16`.
///
/// The grammar is the distribution-spec's: a host, one or more parts of lower-case letters and
/// digits joined by `.`, `_`, `__` or `-`, and a tag of at most 128 letters, digits, `_`, `.`
/// and `-`. The host is never left out: a name without one is looked for in registries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(String);

/// Why a text is no image's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no image's name: expected one as localhost/etcd:3.6.16")]
pub struct ReferenceError(String);

impl Reference {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = || ReferenceError(text.to_owned());
        let (path, tag) = text.rsplit_once(':').ok_or_else(wrong)?;
        let (host, path) = path.split_once('/').ok_or_else(wrong)?;
        let good = is_host(host) && path.split('/').all(is_part) && is_tag(tag);
        good.then(|| Self(text.to_owned())).ok_or_else(wrong)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// `localhost`, or a name with a dot, with or without a port.
fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    (name == "localhost" || name.contains('.'))
        && name.split('.').all(is_part)
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(word)
        && part.ends_with(word)
        && part.split(word).all(|between| {
            matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(first)
        && tag
            .bytes()
            .all(|byte| first(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_host_and_a_tag() {
        for good in [
            "localhost/etcd:3.6.16",
            "registry.example.org:5000/a/b__c/d-e--f.g:v1_2",
        ] {
            assert_eq!(good.parse::<Reference>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "etcd",
            "etcd:3.6.16",
            "localhost/etcd",
            "localhost/Etcd:1",
            "localhost/-etcd:1",
            "localhost/a___b:1",
            "localhost//etcd:1",
            "localhost/etcd:",
            "localhost/etcd:.1",
            "local/etcd:1",
            "localhost:/etcd:1",
        ] {
            let error = bad.parse::<Reference>().unwrap_err();
            assert_eq!(error, ReferenceError(bad.to_owned()));
        }
    }
}
