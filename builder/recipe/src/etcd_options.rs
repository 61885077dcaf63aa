//! etcd's own options (`etcd --help`): which there are in which series, what they look like,
//! and how the configuration file spells them.
//!
//! The [`ALL`] table follows the flag definitions of upstream's 3.5.35, 3.6.16 and 3.7.3; Debian
//! trixie's 3.5.16 has the same flags as 3.5.35. A test holds it against the help text of the
//! etcd that is built.

mod table;
mod value;

pub use table::ALL;
pub use value::{OptionValue, ValueMistake};

use crate::values::EtcdVersion;
use std::fmt;

/// A series of etcd releases that share their options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Series {
    /// 3.5, Debian trixie's too.
    V3_5,
    /// 3.6.
    V3_6,
    /// 3.7.
    V3_7,
}

impl Series {
    /// Every series that etcd's maintainers still mend, oldest first.
    pub const ALL: [Self; 3] = [Self::V3_5, Self::V3_6, Self::V3_7];

    /// The one a version belongs to.
    #[must_use]
    pub fn of(version: EtcdVersion) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|series| series.numbers() == (version.major, version.minor))
    }

    /// Major and minor number.
    #[must_use]
    pub const fn numbers(self) -> (u16, u16) {
        match self {
            Self::V3_5 => (3, 5),
            Self::V3_6 => (3, 6),
            Self::V3_7 => (3, 7),
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.numbers();
        write!(f, "{major}.{minor}")
    }
}

/// One of etcd's options.
#[derive(Debug)]
pub struct EtcdOption {
    /// The flag's name, without dashes.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// The series that have it.
    pub series: &'static [Series],
    /// How the configuration file spells it.
    pub place: Place,
    /// Who sets it.
    pub keeper: Keeper,
}

/// What an option's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// true or false.
    Flag,
    /// A length of time as Go writes it: `300ms`, `1h30m`.
    Duration,
    /// A whole number from 0 to this.
    Number(u64),
    /// Any text.
    Text,
    /// The absolute path of a file on the node.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Texts, written as a sequence in the configuration file.
    List,
    /// Texts, separated by commas in the configuration file too.
    Joined,
    /// `Name=true` or `Name=false`, any number of them, separated by commas.
    Gates,
}

/// Where the configuration file has an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the top, under the flag's name.
    Top,
    /// At the top, under another name.
    Named(&'static str),
    /// In a section, under a name of its own.
    In(&'static str, &'static str),
    /// Nowhere: only as a flag or a variable.
    Nowhere,
}

/// Who sets an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// The recipe may.
    Recipe,
    /// The recipe does, with a key of its own.
    Key(&'static str),
    /// The builder does, or nobody may; why.
    Builder(&'static str),
}

impl EtcdOption {
    /// Whether releases of `series` have it.
    #[must_use]
    pub fn is_in(&self, series: Series) -> bool {
        self.series.contains(&series)
    }

    /// The series that have it, for people: `3.6, 3.7`.
    #[must_use]
    pub fn series_text(&self) -> String {
        let names: Vec<String> = self.series.iter().map(ToString::to_string).collect();
        names.join(", ")
    }
}

/// The option of that name, in whatever series.
#[must_use]
pub fn find(name: &str) -> Option<&'static EtcdOption> {
    ALL.iter().find(|option| option.name == name)
}

/// The options of `series` that a recipe may set in `[etcd.options]`.
pub fn free(series: Option<Series>) -> impl Iterator<Item = &'static EtcdOption> {
    ALL.iter().filter(move |option| {
        option.keeper == Keeper::Recipe && series.is_none_or(|series| option.is_in(series))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        let names: Vec<&str> = ALL.iter().map(|option| option.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }

    #[test]
    fn a_version_has_a_series() {
        let of = |text: &str| Series::of(text.parse().unwrap());
        assert_eq!(of("3.5.16"), Some(Series::V3_5));
        assert_eq!(of("3.7.0"), Some(Series::V3_7));
        assert_eq!(of("3.4.30"), None);
        assert!(!find("feature-gates").unwrap().is_in(Series::V3_5));
        assert!(find("listen-gossip-urls").is_none());
    }
}
