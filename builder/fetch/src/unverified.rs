use std::fmt;

/// Something that came from outside and that nobody has vouched for yet. There is no way to it
/// but through a check.
pub struct Unverified<T>(T);

impl<T> Unverified<T> {
    pub(crate) const fn new(inner: T) -> Self {
        Self(inner)
    }

    /// Hands it to `check`, which gives what it found to be true: the text a signature covers,
    /// for example.
    ///
    /// # Errors
    /// `check`'s.
    pub fn verify<V, E>(self, check: impl FnOnce(T) -> Result<V, E>) -> Result<V, E> {
        check(self.0)
    }
}

impl<T> fmt::Debug for Unverified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified")
    }
}
