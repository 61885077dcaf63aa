use std::fmt;

/// Names one key derived from the cluster's secret: a list of parts, as in
/// `etcd/server/controller-0`.
///
/// The parts keep their boundaries: `["ab", "c"]` and `["a", "bc"]` name different keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyLabel(Vec<String>);

impl KeyLabel {
    /// The label made of these parts, outermost first.
    #[must_use]
    pub fn new<P: Into<String>>(parts: impl IntoIterator<Item = P>) -> Self {
        Self(parts.into_iter().map(Into::into).collect())
    }

    /// The label with one more part.
    #[must_use]
    pub fn with(mut self, part: impl Into<String>) -> Self {
        self.0.push(part.into());
        self
    }

    /// The canonical encoding that goes into the derivation: for `purpose` and each part, its
    /// length as eight little-endian bytes, then its bytes. Changing this changes every key of
    /// every cluster.
    pub(crate) fn encode(&self, purpose: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in std::iter::once(purpose).chain(self.0.iter().map(String::as_str)) {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

impl fmt::Display for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_their_boundaries() {
        let encoded = |parts: &[&str]| KeyLabel::new(parts.iter().copied()).encode("p");
        assert_ne!(encoded(&["ab", "c"]), encoded(&["a", "bc"]));
        assert_ne!(encoded(&["ab", ""]), encoded(&["ab"]));
        assert_ne!(
            KeyLabel::new(["x"]).encode("p"),
            KeyLabel::new(["x"]).encode("q")
        );
    }

    #[test]
    fn reads_as_a_path() {
        let label = KeyLabel::new(["etcd", "server"]).with("n1");
        assert_eq!(label.to_string(), "etcd/server/n1");
    }
}
