//! Values of wireless networks. The passphrase itself is none of a recipe's.

use super::{ValueError, serialize_as_text, wrong};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

serialize_as_text!(Ssid, Country, EnvName);

/// A wireless network's name: 1 to 32 bytes (IEEE 802.11 9.4.2.2) without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssid(String);

impl Ssid {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Ssid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Ssid {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if (1..=32).contains(&text.len()) && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "the name of a wireless network: expected 1 to 32 bytes",
            ))
        }
    }
}

/// A country by its two letters (ISO 3166-1), which decides the channels and powers that are
/// allowed; `00` is no country.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.0.map(char::from);
        write!(f, "{first}{second}")
    }
}

impl FromStr for Country {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.as_bytes() {
            &[first @ b'A'..=b'Z', second @ b'A'..=b'Z'] => Ok(Self([first, second])),
            _ => Err(wrong(
                text,
                "a country: expected the two capital letters of ISO 3166, such as DE",
            )),
        }
    }
}

/// The name of an environment variable (POSIX): letters, digits and `_`, no digit first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvName(String);

impl EnvName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for EnvName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts_well = !text.starts_with(|first: char| first.is_ascii_digit());
        if !text.is_empty() && starts_well && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong(
                text,
                "the name of an environment variable: letters, digits and '_'",
            ))
        }
    }
}

/// The path of a file on the machine that builds; a relative one starts at the recipe's
/// directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct HostPath(PathBuf);

impl HostPath {
    /// The path as written.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for HostPath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() || text.ends_with('/') || text.contains(char::is_control) {
            Err(wrong(text, "the path of a file"))
        } else {
            Ok(Self(PathBuf::from(text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_networks_countries_and_variables() {
        assert_eq!("Café 5".parse::<Ssid>().unwrap().as_str(), "Café 5");
        assert!("".parse::<Ssid>().is_err() && "é".repeat(17).parse::<Ssid>().is_err());
        assert!("a\nb".parse::<Ssid>().is_err());
        assert_eq!("DE".parse::<Country>().unwrap().to_string(), "DE");
        for text in ["", "de", "DEU", "D1", "00"] {
            assert!(text.parse::<Country>().is_err(), "{text}");
        }
        assert!("WIFI_1".parse::<EnvName>().is_ok());
        for text in ["", "1A", "A-B", "$A", "Ä"] {
            assert!(text.parse::<EnvName>().is_err(), "{text}");
        }
        assert!("../wifi.txt".parse::<HostPath>().is_ok());
        assert!("".parse::<HostPath>().is_err() && "dir/".parse::<HostPath>().is_err());
    }
}
