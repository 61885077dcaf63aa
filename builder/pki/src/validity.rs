use imgbuild_base::{Epoch, EpochError};
use time::OffsetDateTime;

/// How long before "now" a certificate starts to hold: one day, for clocks that are late.
pub const BACKDATED_SECONDS: u64 = 86_400;

/// From when until when a certificate holds (RFC 5280 4.1.2.5), both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Validity {
    not_before: Epoch,
    not_after: Epoch,
}

/// The times make no validity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidityError {
    /// It would end before it starts, or at once.
    #[error("a certificate valid for {0} days never holds: expected at least 1")]
    Empty(u32),
    /// It ends after the last instant of an [`Epoch`].
    #[error("{0} days from the lock's epoch is too late: {1}")]
    TooLate(u32, EpochError),
}

impl Validity {
    /// Holds for `days` from `now` on, back-dated by [`BACKDATED_SECONDS`].
    ///
    /// # Errors
    /// [`ValidityError`] when `days` is zero or leads beyond the year 2106.
    pub fn starting(now: Epoch, days: u32) -> Result<Self, ValidityError> {
        if days == 0 {
            return Err(ValidityError::Empty(days));
        }
        let end = now.seconds() + u64::from(days) * 86_400;
        let not_after =
            Epoch::try_from(end).map_err(|error| ValidityError::TooLate(days, error))?;
        let start = now.seconds_u32();
        let back = u32::try_from(BACKDATED_SECONDS).unwrap_or(u32::MAX);
        Ok(Self {
            not_before: Epoch::from_u32(start.saturating_sub(back)),
            not_after,
        })
    }

    /// The same, but not from before the authority on: nothing an authority issues holds before it
    /// does itself.
    #[must_use]
    pub fn not_before_that_of(self, authority: Self) -> Self {
        Self {
            not_before: self.not_before.max(authority.not_before),
            not_after: self.not_after,
        }
    }

    /// A validity read from a certificate.
    pub(crate) const fn read(not_before: Epoch, not_after: Epoch) -> Self {
        Self {
            not_before,
            not_after,
        }
    }

    /// The first instant.
    #[must_use]
    pub const fn not_before(self) -> Epoch {
        self.not_before
    }

    /// The last instant.
    #[must_use]
    pub const fn not_after(self) -> Epoch {
        self.not_after
    }

    /// Whether it holds at `instant`.
    #[must_use]
    pub fn holds_at(self, instant: Epoch) -> bool {
        (self.not_before..=self.not_after).contains(&instant)
    }
}

/// As the certificate writer wants it.
pub(crate) fn date(epoch: Epoch) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(i64::from(epoch.seconds_u32()))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_a_day_early() {
        let now = Epoch::from_u32(1_000_000);
        let validity = Validity::starting(now, 365).unwrap();
        assert_eq!(validity.not_before(), Epoch::from_u32(1_000_000 - 86_400));
        assert_eq!(
            validity.not_after(),
            Epoch::from_u32(1_000_000 + 365 * 86_400)
        );
        assert!(validity.holds_at(now) && !validity.holds_at(Epoch::ZERO));
    }

    #[test]
    fn refuses_what_never_holds_or_ends_too_late() {
        let now = Epoch::from_u32(1_780_000_000);
        assert_eq!(Validity::starting(now, 0), Err(ValidityError::Empty(0)));
        assert!(matches!(
            Validity::starting(now, 40_000),
            Err(ValidityError::TooLate(40_000, _))
        ));
    }
}
