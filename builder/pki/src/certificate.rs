use crate::Validity;
use imgbuild_base::Epoch;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A public certificate: its PEM text and the facts others ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pem: String,
    der: Vec<u8>,
    subject: String,
    validity: Validity,
}

/// Why a text is not one certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No PEM block or several.
    #[error("expected one PEM block \"CERTIFICATE\", found {0}")]
    Blocks(usize),
    /// The PEM around it is damaged.
    #[error("the PEM text cannot be read: {0}")]
    Pem(String),
    /// The DER inside is not a certificate of RFC 5280.
    #[error("the certificate cannot be read: {0}")]
    Der(String),
    /// A date that imgbuild cannot hold: before 1970 or after 2106.
    #[error("the certificate's validity reaches beyond 1970 to 2106: {0}")]
    Date(String),
}

impl Certificate {
    /// Reads a PEM text that holds exactly one certificate; text around the block is dropped.
    ///
    /// # Errors
    /// [`CertificateError`] saying what was found instead.
    pub fn parse(text: &str) -> Result<Self, CertificateError> {
        let blocks =
            pem::parse_many(text).map_err(|error| CertificateError::Pem(error.to_string()))?;
        let mut found = blocks.iter().filter(|block| block.tag() == "CERTIFICATE");
        match (found.next(), found.count()) {
            (Some(block), 0) => Self::from_der(block.contents().to_vec()),
            (None, _) => Err(CertificateError::Blocks(0)),
            (Some(_), more) => Err(CertificateError::Blocks(more + 1)),
        }
    }

    /// Reads a PEM text that holds one certificate or more, in their order.
    ///
    /// # Errors
    /// [`CertificateError`] saying what was found instead.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, CertificateError> {
        let blocks =
            pem::parse_many(text).map_err(|error| CertificateError::Pem(error.to_string()))?;
        let found: Vec<Self> = blocks
            .into_iter()
            .filter(|block| block.tag() == "CERTIFICATE")
            .map(|block| Self::from_der(block.into_contents()))
            .collect::<Result<_, _>>()?;
        if found.is_empty() {
            return Err(CertificateError::Blocks(0));
        }
        Ok(found)
    }

    /// Reads a DER certificate.
    pub(crate) fn from_der(der: Vec<u8>) -> Result<Self, CertificateError> {
        let parsed = read(&der)?;
        let instant = |time: x509_parser::time::ASN1Time| {
            u64::try_from(time.timestamp())
                .map_err(|error| error.to_string())
                .and_then(|seconds| Epoch::try_from(seconds).map_err(|error| error.to_string()))
                .map_err(CertificateError::Date)
        };
        let validity = Validity::read(
            instant(parsed.validity().not_before)?,
            instant(parsed.validity().not_after)?,
        );
        let subject = parsed.subject().to_string();
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        let pem = pem::encode_config(&pem::Pem::new("CERTIFICATE", der.clone()), config);
        Ok(Self {
            pem,
            der,
            subject,
            validity,
        })
    }

    /// The PEM text, one block with LF line ends.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The DER bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject's distinguished name, as text for people.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// When it holds.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.validity
    }
}

/// The certificate in `der`, all of it.
pub(crate) fn read(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((rest, _)) => Err(CertificateError::Der(format!(
            "{} bytes follow its end",
            rest.len()
        ))),
        Err(error) => Err(CertificateError::Der(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_blocks() {
        assert_eq!(Certificate::parse("text"), Err(CertificateError::Blocks(0)));
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(
            Certificate::parse(&junk.repeat(2)),
            Err(CertificateError::Blocks(2))
        );
        assert!(matches!(
            Certificate::parse(junk),
            Err(CertificateError::Der(_))
        ));
    }

    proptest! {
        #[test]
        fn never_panics(der in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Certificate::from_der(der).is_err());
        }
    }
}
