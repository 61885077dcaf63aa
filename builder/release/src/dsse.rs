//! A signed statement: the Dead Simple Signing Envelope (DSSE 1.0.2, secure-systems-lab).

use crate::sign::{PublicKey, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The media type of an in-toto statement (in-toto attestation framework, "Envelope").
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A payload and who signed it. One that nobody signed has no signatures: it is no proof, but
/// its reader need not tell two formats apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

/// A signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    /// The number of the minisign key, as minisign prints it; a hint, not proven.
    keyid: String,
    /// The Ed25519 signature in base64.
    sig: String,
}

/// Why an envelope does not hold.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON of this form.
    #[error("it is not a DSSE envelope: {0}")]
    Format(#[from] serde_json::Error),
    /// Not base64.
    #[error("its payload is not base64")]
    Base64,
    /// Another kind of payload.
    #[error("its payload is {0:?}, expected {IN_TOTO}")]
    Type(String),
    /// No signature by that key.
    #[error("it is not signed by the key {0}")]
    Unsigned(crate::sign::KeyId),
}

impl Envelope {
    /// Puts a statement into an envelope, signed if there is a key.
    #[must_use]
    pub fn seal(statement: &[u8], key: Option<&SigningKey>) -> Self {
        let signature = key.map(|key| EnvelopeSignature {
            keyid: key.id().to_string(),
            sig: STANDARD.encode(key.sign_bare(&signed_bytes(IN_TOTO, statement))),
        });
        Self {
            payload: STANDARD.encode(statement),
            payload_type: IN_TOTO.to_owned(),
            signatures: signature.into_iter().collect(),
        }
    }

    /// One line of JSON with a newline, as in-toto's bundles have them.
    ///
    /// # Errors
    /// None in practice: all of it is text.
    pub fn to_line(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// The statement in the text of an envelope. With a key, it must be signed by it.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn open(text: &[u8], key: Option<&PublicKey>) -> Result<Vec<u8>, EnvelopeError> {
        let envelope: Self = serde_json::from_slice(text)?;
        let payload = STANDARD.decode(&envelope.payload);
        let payload = payload.map_err(|_| EnvelopeError::Base64)?;
        if envelope.payload_type != IN_TOTO {
            return Err(EnvelopeError::Type(envelope.payload_type));
        }
        let Some(key) = key else {
            return Ok(payload);
        };
        let bytes = signed_bytes(&envelope.payload_type, &payload);
        let signed = envelope.signatures.iter().any(|one| {
            let signature = STANDARD.decode(&one.sig);
            signature.is_ok_and(|signature| key.holds(&bytes, &signature))
        });
        match signed {
            true => Ok(payload),
            false => Err(EnvelopeError::Unsigned(key.id())),
        }
    }
}

/// What is signed: type and payload with their lengths ("pre-authentication encoding").
fn signed_bytes(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        let text = pair.sk.to_box(None).unwrap().into_string();
        SigningKey::read(&text, None).unwrap()
    }

    #[test]
    fn the_encoding_is_the_specifications() {
        // The example of the protocol's text.
        let bytes = signed_bytes("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            bytes,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn an_envelope_opens_for_its_signer_only() {
        let (key, other) = (key(), key());
        let line = Envelope::seal(b"{}", Some(&key)).to_line().unwrap();
        let open = |key: &SigningKey| Envelope::open(line.as_bytes(), Some(&key.public()));
        assert_eq!(open(&key).unwrap(), b"{}");
        assert!(matches!(open(&other), Err(EnvelopeError::Unsigned(_))));
        let changed = line.replace(&STANDARD.encode("{}"), &STANDARD.encode("[]"));
        assert!(matches!(
            Envelope::open(changed.as_bytes(), Some(&key.public())),
            Err(EnvelopeError::Unsigned(_))
        ));
        assert_eq!(Envelope::open(changed.as_bytes(), None).unwrap(), b"[]");
    }

    #[test]
    fn an_unsigned_one_opens_without_a_key() {
        let line = Envelope::seal(b"{}", None).to_line().unwrap();
        assert_eq!(Envelope::open(line.as_bytes(), None).unwrap(), b"{}");
        let strict = Envelope::open(line.as_bytes(), Some(&key().public()));
        assert!(matches!(strict, Err(EnvelopeError::Unsigned(_))));
        assert!(matches!(
            Envelope::open(b"{}", None),
            Err(EnvelopeError::Format(_))
        ));
    }
}
