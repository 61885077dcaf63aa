//! Where Debian's archive may be had: the ordered list of its mirrors.
//!
//! Locks name packages by their path in the archive and by their hash, never a host, so every
//! mirror will do. The order is the user's will first: what the recipe names, then the command
//! line, then the environment, then what this very machine installs its packages from (usually
//! near, perhaps the only one that a firewall lets through), and last Debian's snapshot archive,
//! which has everything there ever was.
//!
//! Everything here is a pure function of texts: who calls it reads the environment and
//! `/etc/apt`.

mod apt;

use crate::location::{Location, LocationError};
use std::fmt;

/// Which of Debian's archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Archive {
    /// `debian`: releases, updates and backports.
    Main,
    /// `debian-security`.
    Security,
}

impl Archive {
    /// The directory it is called by wherever it is mirrored.
    #[must_use]
    pub const fn directory(self) -> &'static str {
        match self {
            Self::Main => "debian",
            Self::Security => "debian-security",
        }
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.directory())
    }
}

/// Who named a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The recipe.
    Recipe,
    /// The command line.
    Flag,
    /// `IMGBUILD_MIRROR`.
    Environment,
    /// The apt sources of the machine imgbuild runs on.
    Host,
    /// imgbuild itself: Debian's snapshot archive.
    Snapshot,
}

/// A mirror of one archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Of which archive.
    pub archive: Archive,
    /// Its top directory, in which `dists` and `pool` lie.
    pub base: Location,
    /// Who named it.
    pub origin: Origin,
}

/// A text of the host's apt configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AptSources {
    /// One-line style: `/etc/apt/sources.list` and `*.list` (sources.list(5)).
    OneLine(String),
    /// deb822 style: `*.sources` (sources.list(5)).
    Deb822(String),
}

/// What the list of mirrors is made from.
#[derive(Clone, Debug, Default)]
pub struct MirrorConfig {
    /// What the recipe names.
    pub recipe: Vec<String>,
    /// What the command line names.
    pub flag: Vec<String>,
    /// `IMGBUILD_MIRROR`: any number, separated by white space or commas.
    pub environment: Option<String>,
    /// The host's apt sources, in the order apt reads them.
    pub host: Vec<AptSources>,
    /// The lock's snapshot time, as in `20260401T083000Z`; without one, there is no last resort.
    pub snapshot: Option<String>,
}

/// Why there is no list of mirrors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// Something that the user names is no place.
    #[error("the mirror named by {}: {source}", origin_in_words(*origin))]
    Location {
        /// Where it is named.
        origin: Origin,
        /// What is wrong with it.
        source: LocationError,
    },
    /// Not a time of the snapshot archive's.
    #[error("{0:?} is not a snapshot's time: expected the form 20260401T083000Z")]
    Snapshot(String),
}

const fn origin_in_words(origin: Origin) -> &'static str {
    match origin {
        Origin::Recipe => "the recipe",
        Origin::Flag => "the command line",
        Origin::Environment => "IMGBUILD_MIRROR",
        Origin::Host => "this machine's apt sources",
        Origin::Snapshot => "imgbuild",
    }
}

/// The mirrors of both archives, in the order in which they are to be tried, none twice.
///
/// A mirror the user names is one of `debian-security` if its last part is called so, else one
/// of `debian`; and where `…/debian` is, `…/debian-security` is looked for beside it. Of the
/// host's sources, those are taken whose last part is called `debian` or `debian-security`.
///
/// # Errors
/// When the user names something that is no place. What cannot be understood in the host's
/// sources is left out: nobody wrote it for imgbuild.
pub fn mirrors(config: &MirrorConfig) -> Result<Vec<Mirror>, MirrorError> {
    let mut list = List(Vec::new());
    for text in &config.recipe {
        list.named(text, Origin::Recipe)?;
    }
    for text in &config.flag {
        list.named(text, Origin::Flag)?;
    }
    let environment = config.environment.as_deref().unwrap_or_default();
    for text in environment.split([',', ' ', '\t', '\n']) {
        if !text.is_empty() {
            list.named(text, Origin::Environment)?;
        }
    }
    for sources in &config.host {
        let uris = match sources {
            AptSources::OneLine(text) => apt::one_line(text),
            AptSources::Deb822(text) => apt::deb822(text),
        };
        for base in uris.iter().filter_map(|uri| uri.parse::<Location>().ok()) {
            if let Some(archive) = archive_of(&base) {
                list.add(archive, base, Origin::Host);
            }
        }
    }
    if let Some(time) = &config.snapshot {
        for archive in [Archive::Main, Archive::Security] {
            list.add(archive, snapshot(archive, time)?, Origin::Snapshot);
        }
    }
    Ok(list.0)
}

/// Where the file at `path` of an archive may be had, in the mirrors' order.
///
/// # Errors
/// When `path` is no plain relative path.
pub fn candidates(
    mirrors: &[Mirror],
    archive: Archive,
    path: &str,
) -> Result<Vec<Location>, LocationError> {
    mirrors
        .iter()
        .filter(|mirror| mirror.archive == archive)
        .map(|mirror| mirror.base.join(path))
        .collect()
}

/// An archive as it was at a time, in Debian's snapshot archive.
///
/// # Errors
/// [`MirrorError::Snapshot`] when the time is not of the form `20260401T083000Z`.
pub fn snapshot(archive: Archive, time: &str) -> Result<Location, MirrorError> {
    let bad = || MirrorError::Snapshot(time.to_owned());
    let form = "dddddddd.dddddd.";
    let fits = |(is, want): (u8, u8)| (want == b'd') == is.is_ascii_digit();
    let fine = time.len() == form.len()
        && time.bytes().zip(form.bytes()).all(fits)
        && time.as_bytes()[8] == b'T'
        && time.ends_with('Z');
    if !fine {
        return Err(bad());
    }
    let url = format!("https://snapshot.debian.org/archive/{archive}/{time}");
    url.parse().map_err(|_| bad())
}

fn archive_of(base: &Location) -> Option<Archive> {
    [Archive::Main, Archive::Security]
        .into_iter()
        .find(|archive| base.last_part() == Some(archive.directory()))
}

struct List(Vec<Mirror>);

impl List {
    fn add(&mut self, archive: Archive, base: Location, origin: Origin) {
        let known = |it: &Mirror| it.archive == archive && it.base == base;
        if !self.0.iter().any(known) {
            self.0.push(Mirror {
                archive,
                base,
                origin,
            });
        }
    }

    fn named(&mut self, text: &str, origin: Origin) -> Result<(), MirrorError> {
        let base: Location = text
            .parse()
            .map_err(|source| MirrorError::Location { origin, source })?;
        match archive_of(&base) {
            Some(Archive::Security) => self.add(Archive::Security, base, origin),
            Some(Archive::Main) => {
                let beside = base.beside(Archive::Security.directory());
                self.add(Archive::Main, base, origin);
                self.add(Archive::Security, beside, origin);
            }
            None => self.add(Archive::Main, base, origin),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(config: &MirrorConfig) -> Vec<String> {
        let shown = |it: &Mirror| format!("{:?} {} {}", it.origin, it.archive, it.base);
        mirrors(config).unwrap().iter().map(shown).collect()
    }

    #[test]
    fn the_users_will_comes_first_and_nothing_twice() {
        let config = MirrorConfig {
            recipe: vec!["http://recipe.example/debian/".into()],
            flag: vec!["/srv/mirror/debian-security".into(), "/srv/all".into()],
            environment: Some("http://env.example/debian, http://recipe.example/debian".into()),
            host: vec![
                AptSources::Deb822(
                    "Types: deb\nURIs: http://near.example/debian http://near.example/ubuntu\n\
                     Suites: trixie\n"
                        .into(),
                ),
                AptSources::OneLine(
                    "deb http://near.example/debian-security trixie-security main\n\
                     deb http://near.example/debian/ trixie main\n\
                     deb cdrom:[Debian]/ trixie main\n"
                        .into(),
                ),
            ],
            snapshot: Some("20260401T083000Z".into()),
        };
        assert_eq!(
            shown(&config),
            [
                "Recipe debian http://recipe.example/debian",
                "Recipe debian-security http://recipe.example/debian-security",
                "Flag debian-security /srv/mirror/debian-security",
                "Flag debian /srv/all",
                "Environment debian http://env.example/debian",
                "Environment debian-security http://env.example/debian-security",
                "Host debian http://near.example/debian",
                "Host debian-security http://near.example/debian-security",
                "Snapshot debian https://snapshot.debian.org/archive/debian/20260401T083000Z",
                "Snapshot debian-security \
                 https://snapshot.debian.org/archive/debian-security/20260401T083000Z",
            ]
        );
        let list = mirrors(&config).unwrap();
        let places = candidates(&list, Archive::Security, "pool/x.deb").unwrap();
        assert_eq!(places.len(), 5);
        assert_eq!(
            places[1].to_string(),
            "/srv/mirror/debian-security/pool/x.deb"
        );
        assert!(candidates(&list, Archive::Main, "../x").is_err());
        assert_eq!(shown(&MirrorConfig::default()), [""; 0]);
    }

    #[test]
    fn what_the_user_names_must_be_a_place() {
        let config = MirrorConfig {
            environment: Some("debian.example".into()),
            ..MirrorConfig::default()
        };
        let refused = mirrors(&config).unwrap_err();
        assert!(refused.to_string().contains("IMGBUILD_MIRROR"), "{refused}");
        for bad in [
            "",
            "20260401",
            "20260401t083000Z",
            "2026-04-01T08:30",
            "20260401T08300éZ",
        ] {
            let refused = snapshot(Archive::Main, bad);
            assert_eq!(refused, Err(MirrorError::Snapshot(bad.to_owned())));
        }
    }
}
