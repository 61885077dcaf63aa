use crate::{ClusterSecret, KeyError, KeyLabel, PrivateText};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

/// The ed25519 host key of an ssh server (RFC 8709), derived from the cluster's secret so that
/// a rebuilt node keeps its identity.
pub struct HostKey {
    private: PrivateText,
    public: String,
}

impl HostKey {
    /// The key that `secret` gives for `label`; `comment` ends the public line, usually the
    /// host's name.
    ///
    /// # Errors
    /// [`KeyError::Encoding`] when the comment cannot be encoded.
    pub fn derive(
        secret: &ClusterSecret,
        label: &KeyLabel,
        comment: &str,
    ) -> Result<Self, KeyError> {
        let seed = secret.expand::<32>("ssh-ed25519", label);
        let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
        // For an unencrypted key the format's "checkint" repeats bytes of the key: it is not
        // random, and so the file is a function of the seed and the comment.
        let fail = |error: ssh_key::Error| KeyError::Encoding(error.to_string());
        let key = PrivateKey::new(pair, comment).map_err(fail)?;
        Ok(Self {
            private: PrivateText::new(key.to_openssh(LineEnding::LF).map_err(fail)?),
            public: key.public_key().to_openssh().map_err(fail)?,
        })
    }

    /// The file `ssh_host_ed25519_key`, in OpenSSH's own format.
    #[must_use]
    pub const fn private(&self) -> &PrivateText {
        &self.private
    }

    /// The line of `ssh_host_ed25519_key.pub`: type, base64, comment; without a line end.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The line for a `known_hosts` file (sshd(8)) under all of `hosts`, with its line end.
    #[must_use]
    pub fn known_hosts_line<H: AsRef<str>>(&self, hosts: &[H]) -> String {
        let names: Vec<&str> = hosts.iter().map(AsRef::as_ref).collect();
        let mut line = names.join(",");
        for field in self.public.split(' ').take(2) {
            line.push(' ');
            line.push_str(field);
        }
        line.push('\n');
        line
    }
}
