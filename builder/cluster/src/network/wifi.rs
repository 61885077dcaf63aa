//! Wi-Fi: wpa_supplicant's configuration (wpa_supplicant.conf(5)) and what starts it.

use super::Passphrases;
use crate::ComposeError;
use crate::layer::{Layer, Owner};
use crate::template::{Template, overlay};
use hmac::{Hmac, KeyInit, Mac};
use imgbuild_recipe::resolved::{Node, Wifi, WifiSecurity};
use imgbuild_recipe::values::Ssid;
use minijinja::context;
use sha1::Sha1;
use zeroize::Zeroizing;

const CONFIGURATION: Template = overlay!("node/wpa_supplicant.conf");
const OVERRIDE: &str = include_str!("../../../../overlays/node/wpa_supplicant.override.conf");

/// The passphrase of a wireless network: 8 to 63 printable ASCII characters (IEEE 802.11 J.4).
/// It is wiped from memory when dropped and has no `Debug` that shows it.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

/// A text is no passphrase; the text itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// Its length.
    #[error("it has {0} characters: expected 8 to 63")]
    Length(usize),
    /// A character, counted from 1.
    #[error("character {0} is not printable ASCII: no network takes it in a passphrase")]
    Character(usize),
}

impl Passphrase {
    /// The passphrase in `text`, where one line break at the end does not count.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn new(text: &str) -> Result<Self, PassphraseError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let plain = |letter: char| matches!(letter, ' '..='~');
        if let Some(at) = text.chars().position(|letter| !plain(letter)) {
            return Err(PassphraseError::Character(at + 1));
        }
        match text.len() {
            8..=63 => Ok(Self(Zeroizing::new(text.to_owned()))),
            length => Err(PassphraseError::Length(length)),
        }
    }

    /// The key of a WPA2 network with that name, in hexadecimal: PBKDF2 with HMAC-SHA1 and 4096
    /// rounds (IEEE 802.11 J.4, RFC 8018 5.2). It opens this network only.
    #[must_use]
    pub fn network_key(&self, ssid: &Ssid) -> Zeroizing<String> {
        let mut key = Zeroizing::new(String::new());
        // 256 bits are one block of SHA-1 and part of a second.
        for block in [1_u8, 2] {
            for byte in self.block(ssid, block) {
                key.push_str(&format!("{byte:02x}"));
            }
        }
        key.truncate(64);
        key
    }

    fn block(&self, ssid: &Ssid, number: u8) -> [u8; 20] {
        // HMAC takes keys of every length.
        let Ok(keyed) = Hmac::<Sha1>::new_from_slice(self.0.as_bytes()) else {
            return [0; 20];
        };
        let hash = |parts: [&[u8]; 2]| -> [u8; 20] {
            let mut hmac = keyed.clone();
            parts.into_iter().for_each(|part| hmac.update(part));
            hmac.finalize().into_bytes().into()
        };
        let mut last = hash([ssid.as_str().as_bytes(), &[0, 0, 0, number]]);
        let mut block = last;
        for _ in 1..4096 {
            last = hash([&last, &[]]);
            block
                .iter_mut()
                .zip(last)
                .for_each(|(all, one)| *all ^= one);
        }
        block
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Adds what connects the node to its wireless network.
pub(super) fn add(
    layer: &mut Layer,
    node: &Node,
    wifi: &Wifi,
    passphrases: &Passphrases,
) -> Result<(), ComposeError> {
    let passphrase = passphrases
        .get(&wifi.passphrase)
        .ok_or_else(|| ComposeError::NoPassphrase(node.name.clone()))?;
    let interface = &wifi.interface;
    layer.file(
        &format!("etc/wpa_supplicant/wpa_supplicant-{interface}.conf"),
        0o600,
        Owner::ROOT,
        configuration(node, wifi, passphrase)?,
    )?;
    let unit = format!("wpa_supplicant@{interface}.service");
    layer.text(
        &format!("etc/systemd/system/{unit}.d/imgbuild.conf"),
        OVERRIDE.to_owned(),
    )?;
    layer.link(
        &format!("etc/systemd/system/multi-user.target.wants/{unit}"),
        "/usr/lib/systemd/system/wpa_supplicant@.service",
    )?;
    // The kernel's own word for it, before anything has asked for a channel.
    let country = wifi.country;
    layer.text(
        "etc/modprobe.d/imgbuild-wifi.conf",
        format!("options cfg80211 ieee80211_regdom={country}\n"),
    )
}

fn configuration(
    node: &Node,
    wifi: &Wifi,
    passphrase: &Passphrase,
) -> Result<String, ComposeError> {
    let clear = passphrase.0.as_str();
    // Protected management frames: WPA3 demands them, a mixed network may use them.
    let (key_mgmt, pmf, key) = match wifi.security {
        WifiSecurity::Wpa2 => {
            let key = passphrase.network_key(&wifi.ssid);
            ("WPA-PSK", None, format!("psk={}", key.as_str()))
        }
        WifiSecurity::Wpa2Wpa3 => {
            let key = format!("psk=\"{clear}\"");
            ("WPA-PSK WPA-PSK-SHA256 SAE", Some(1), key)
        }
        WifiSecurity::Wpa3 => ("SAE", Some(2), format!("sae_password=\"{clear}\"")),
    };
    CONFIGURATION.render(context! {
        node => node.name.as_str(),
        country => wifi.country.to_string(),
        ssid => ssid(&wifi.ssid),
        hidden => wifi.hidden,
        sae => wifi.security != WifiSecurity::Wpa2,
        key_mgmt,
        pmf,
        key,
    })
}

/// The name as wpa_supplicant reads it: in quotes when it is plain, else in hexadecimal.
fn ssid(name: &Ssid) -> String {
    let text = name.as_str();
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    match text.bytes().all(plain) {
        true => format!("\"{text}\""),
        false => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_standard() {
        // IEEE 802.11 J.4.2, the three test vectors.
        let long = "Z".repeat(32);
        for (passphrase, ssid, key) in [
            (
                "password",
                "IEEE",
                "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e",
            ),
            (
                "ThisIsAPassword",
                "ThisIsASSID",
                "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af",
            ),
            (
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                &long,
                "becb93866bb8c3832cb777c2f559807c8c59afcb6eae734885001300a981cc62",
            ),
        ] {
            let passphrase = Passphrase::new(passphrase).unwrap();
            assert_eq!(*passphrase.network_key(&ssid.parse().unwrap()), key);
        }
    }

    #[test]
    fn passphrases_are_printable_and_not_shown() {
        let right = Passphrase::new("correct horse\n").unwrap();
        assert_eq!(format!("{right:?}"), "Passphrase(..)");
        let error = |text: &str| Passphrase::new(text).unwrap_err();
        assert_eq!(error("seven77\n"), PassphraseError::Length(7));
        assert_eq!(error(&"x".repeat(64)), PassphraseError::Length(64));
        assert_eq!(error("päss words"), PassphraseError::Character(2));
        assert_eq!(error("two\nlines"), PassphraseError::Character(4));
    }

    #[test]
    fn names_that_need_it_are_in_hexadecimal() {
        let shown = |text: &str| ssid(&text.parse().unwrap());
        assert_eq!(shown("my home"), "\"my home\"");
        assert_eq!(shown("a\"b"), "612262");
        assert_eq!(shown("é"), "c3a9");
    }
}
