//! FAT's dates: local time without a zone, taken as UTC here; 1980 to 2107 in steps of 2 s.

use imgbuild_base::Epoch;

/// 1980-01-01 in days since 1970.
const FIRST_DAY: u32 = 3652;
const DAY: u32 = 86400;

const fn leap(year: u32) -> bool {
    // 2000 is one; 2100 is not.
    year.is_multiple_of(4) && year != 2100
}

const fn month_days(year: u32, month: u32) -> u32 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const fn year_days(year: u32) -> u32 {
    365 + leap(year) as u32
}

/// Date and time words of an instant; before 1980 those of its start.
pub(super) fn to_dos(epoch: Epoch) -> (u16, u16) {
    let seconds = epoch.seconds_u32().saturating_sub(FIRST_DAY * DAY);
    let (mut days, rest) = (seconds / DAY, seconds % DAY);
    let (mut year, mut month) = (1980, 1);
    while days >= year_days(year) {
        days -= year_days(year);
        year += 1;
    }
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    let date = (year - 1980) << 9 | month << 5 | (days + 1);
    let time = (rest / 3600) << 11 | (rest / 60 % 60) << 5 | (rest % 60 / 2);
    let word = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
    (word(date), word(time))
}

/// The instant of date and time words; nonsense in them becomes the nearest sensible value.
pub(super) fn from_dos(date: u16, time: u16) -> Epoch {
    let (date, time) = (u32::from(date), u32::from(time));
    let year = 1980 + (date >> 9);
    let month = (date >> 5 & 15).clamp(1, 12);
    let day = (date & 31).clamp(1, month_days(year, month));
    let days: u32 = (1980..year).map(year_days).sum::<u32>()
        + (1..month).map(|month| month_days(year, month)).sum::<u32>()
        + day
        - 1
        + FIRST_DAY;
    let seconds =
        (time >> 11).min(23) * 3600 + (time >> 5 & 63).min(59) * 60 + (time & 31).min(29) * 2;
    let total = u64::from(days) * u64::from(DAY) + u64::from(seconds);
    Epoch::from_u32(u32::try_from(total).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_dates() {
        // 2024-02-29T23:59:58Z
        let (date, time) = to_dos(Epoch::from_u32(1_709_251_198));
        assert_eq!((date >> 9, date >> 5 & 15, date & 31), (44, 2, 29));
        assert_eq!((time >> 11, time >> 5 & 63, time & 31), (23, 59, 29));
        assert_eq!(to_dos(Epoch::ZERO), (0x21, 0));
    }

    proptest! {
        #[test]
        fn there_and_back(seconds in 315_532_800_u32..) {
            let (date, time) = to_dos(Epoch::from_u32(seconds));
            prop_assert_eq!(from_dos(date, time), Epoch::from_u32(seconds & !1));
        }

        #[test]
        fn any_words_are_some_instant(date: u16, time: u16) {
            prop_assert!(from_dos(date, time).seconds() >= 315_532_800);
        }
    }
}
