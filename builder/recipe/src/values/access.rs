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
}
