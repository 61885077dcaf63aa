//! What opens a node.

use super::{ValueError, serialize_as_text, wrong};
use base64::Engine as _;
use std::fmt;
use std::str::FromStr;

serialize_as_text!(SshKey);

/// A public key as an `authorized_keys` line holds it: type, base64, comment; no options.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SshKey(String);

impl SshKey {
    /// The line without a line break.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for SshKey {
    type Err = ValueError;

    /// The base64 body must repeat the key's type (RFC 4253 6.6), which catches a key that
    /// was cut when it was copied at its start.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        const TYPES: [&str; 7] = [
            "ssh-ed25519",
            "ssh-rsa",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "sk-ssh-ed25519@openssh.com",
            "sk-ecdsa-sha2-nistp256@openssh.com",
        ];
        let bad = || {
            wrong(
                text,
                "an ssh public key: expected the line of a .pub file, such as \
                 \"ssh-ed25519 AAAA... you@laptop\"",
            )
        };
        let text = text.trim();
        let mut parts = text.split(' ').filter(|part| !part.is_empty());
        let (kind, body) = (parts.next().ok_or_else(bad)?, parts.next().ok_or_else(bad)?);
        let blob = base64::engine::general_purpose::STANDARD
            .decode(body)
            .map_err(|_| bad())?;
        let mut prefix = u32::try_from(kind.len())
            .map_err(|_| bad())?
            .to_be_bytes()
            .to_vec();
        prefix.extend_from_slice(kind.as_bytes());
        let whole = blob.len() > prefix.len() && blob.starts_with(&prefix);
        if TYPES.contains(&kind) && whole && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(bad())
        }
    }
}

/// A hashed password as crypt(5) writes it, of the two methods that Debian 13's passwd and
/// openssl make: yescrypt (`$y$`) and SHA-512 (`$6$`). It is shown and serialised nowhere: who
/// reads it can try passwords against it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The hash, for shadow(5).
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(hidden)")
    }
}

impl serde::Serialize for PasswordHash {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("hidden")
    }
}

impl FromStr for PasswordHash {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        // The alphabet of crypt(5)'s salts and hashes.
        let plain = |part: &str| {
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
            !part.is_empty() && part.bytes().all(letters)
        };
        let parts: Vec<&str> = text.split('$').collect();
        let right = match parts[..] {
            ["", "6", salt, hash] => {
                plain(salt) && salt.len() <= 16 && hash.len() == 86 && plain(hash)
            }
            ["", "6", rounds, salt, hash] => {
                let rounds = rounds.strip_prefix("rounds=").and_then(|n| n.parse().ok());
                rounds.is_some_and(|n: u32| (1000..=999_999_999).contains(&n))
                    && plain(salt)
                    && salt.len() <= 16
                    && hash.len() == 86
                    && plain(hash)
            }
            ["", "y", cost, salt, hash] => {
                plain(cost) && plain(salt) && salt.len() <= 86 && hash.len() == 43 && plain(hash)
            }
            _ => false,
        };
        if right {
            Ok(Self(text.to_owned()))
        } else {
            // What was written may be the password itself: it is not repeated.
            Err(wrong(
                "...",
                "a password's hash: expected what `mkpasswd` or `openssl passwd -6` prints, \
                 which begins with $y$ or $6$",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::testing::bad;

    #[test]
    fn ssh_keys_are_whole() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIA8K1UiXnAmkNNWx1Yy0d2sBp0aFSsYyQz3M8o2CW9p me";
        assert_eq!(key.parse::<SshKey>().unwrap().line(), key);
        assert!(bad::<SshKey>(&[
            "",
            "ssh-ed25519",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIIA8K1UiXnAmkNNWx1Yy0d2sBp0aFSsYyQz3M8o2CW9p",
            "ssh-ed25519 AC3NzaC1lZDI1NTE5AAAAIIA8K1UiXnAmkNNWx1Yy0d2sBp0aFSsYyQz3M8o2CW9p",
            &format!("{key}\nssh-ed25519 x"),
            &format!("command=\"x\" {key}"),
        ]));
    }

    #[test]
    fn password_hashes_are_no_passwords() {
        let sha512 = format!("$6$saltsalt${}", "a".repeat(86));
        let rounds = format!("$6$rounds=5000$saltsalt${}", "a".repeat(86));
        let yescrypt = format!("$y$j9T$F5Jx5fExrKuPp53xLKQ..1${}", "b".repeat(43));
        for hash in [&sha512, &rounds, &yescrypt] {
            let parsed: PasswordHash = hash.parse().unwrap();
            assert_eq!(parsed.expose(), hash);
            assert!(!format!("{parsed:?}").contains(hash.as_str()));
        }
        assert!(bad::<PasswordHash>(&[
            "",
            "hunter2",
            "*",
            "!",
            &sha512[1..],
            &sha512[..40],
            &format!("{sha512}:0:0"),
            "$1$salt$abcdefghijklmnopqrstuv",
            &format!("$6$rounds=1$saltsalt${}", "a".repeat(86)),
        ]));
        let error = "hunter2".parse::<PasswordHash>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
