use zeroize::Zeroizing;

/// A private key, or the cluster's secret, as text.
///
/// It has neither `Debug`, `Display` nor `Serialize`: the text leaves only through
/// [`PrivateText::expose`], which is easy to search for. The memory is wiped when it is
/// dropped.
#[derive(Clone)]
pub struct PrivateText(Zeroizing<String>);

impl PrivateText {
    /// Takes over text that holds a secret.
    pub(crate) fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text, to be written where the secret belongs and nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}
