//! Authorities that the user brings.

use super::Authority;
use crate::certificate::read;
use crate::key::KeyPair;
use crate::{Certificate, CertificateError, KeyError};
use imgbuild_base::Epoch;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, Issuer, KeyIdMethod, SerialNumber,
};
use x509_parser::asn1_rs::Tag;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::X509Certificate;
use x509_parser::x509::X509Name;

/// Why a certificate and key brought by the user are no authority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BringError {
    /// The certificate cannot be read.
    #[error("the authority's certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The key cannot be used.
    #[error("the authority's key: {0}")]
    Key(#[from] KeyError),
    /// The two do not belong together.
    #[error("the authority's certificate {0:?} is not for this private key")]
    Mismatch(String),
    /// The certificate may not sign others (RFC 5280 4.2.1.9).
    #[error(
        "{0:?} is not the certificate of an authority: basic constraints with CA:TRUE are missing"
    )]
    NotAuthority(String),
    /// Its key usage excludes signing certificates (RFC 5280 4.2.1.3).
    #[error("{0:?} may not sign certificates: its key usage lacks keyCertSign")]
    MayNotSign(String),
    /// It names no key identifier, so that nothing could refer to it (RFC 5280 4.2.1.2).
    #[error("{0:?} has no subject key identifier, which RFC 5280 requires of an authority")]
    NoKeyIdentifier(String),
    /// It does not hold any more when it would have to sign.
    #[error(
        "{name:?} held only until {until}, and the certificates would start at {now} (seconds \
         since 1970): renew it, or lock again if the lock's time is wrong"
    )]
    Expired {
        /// Whose certificate.
        name: String,
        /// Its last instant.
        until: Epoch,
        /// The lock's epoch.
        now: Epoch,
    },
    /// A certificate of the file is not the one that vouches for the one before it.
    #[error(
        "{issuer:?} did not sign {subject:?}: expected the signing authority's certificate \
         first, then the one that signed it, and so on"
    )]
    Chain {
        /// The certificate that was looked at.
        subject: String,
        /// The next one of the file.
        issuer: String,
    },
    /// One above allows fewer authorities below it (RFC 5280 4.2.1.9).
    #[error("{name:?} allows {allowed} authorities below it (path length), but there are {below}")]
    PathLength {
        /// Whose certificate.
        name: String,
        /// What it allows.
        allowed: u32,
        /// How many there are, this one's leaves not counted.
        below: usize,
    },
    /// Its subject cannot be repeated byte for byte as an issuer: several attributes in one
    /// component, an attribute that occurs twice, or an unusual string type.
    #[error(
        "the name {0:?} cannot be repeated as an issuer: expected every attribute once, in a \
         component of its own, as UTF-8, printable or IA5 text"
    )]
    Name(String),
}

impl Authority {
    /// An authority brought by the user: a PEM file with its certificate and one with its
    /// private key (P-256, RSA or Ed25519; without a passphrase). When another authority
    /// vouches for it, the certificates of those above may follow in their order: all but a
    /// self-signed one are then shown along with every certificate that is issued.
    ///
    /// `now` is when what it issues starts to hold.
    ///
    /// # Errors
    /// [`BringError`] when they cannot be read, do not belong together or may not sign.
    pub fn bring(certificate_pem: &str, key_pem: &str, now: Epoch) -> Result<Self, BringError> {
        let mut certificates = Certificate::parse_all(certificate_pem)?;
        let key = KeyPair::parse(key_pem)?;
        check_chain(&certificates, now)?;
        let certificate = certificates.remove(0);
        let subject = certificate.subject().to_owned();
        let parsed = read(certificate.der())?;
        if *parsed.public_key().subject_public_key.data != *key.public() {
            return Err(BringError::Mismatch(subject));
        }
        let key_id = parsed
            .iter_extensions()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            })
            .ok_or_else(|| BringError::NoKeyIdentifier(subject.clone()))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = issuer_name(parsed.subject())
            .filter(|name| repeats(name, &key, parsed.subject().as_raw()))
            .ok_or(BringError::Name(subject))?;
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_id.clone());
        let issuer = Issuer::new(params, key);
        let mut chain = Vec::new();
        if !is_self_issued(&parsed) {
            chain.push(certificate.clone());
            for above in certificates {
                if !is_self_issued(&read(above.der())?) {
                    chain.push(above);
                }
            }
        }
        Ok(Self {
            certificate,
            chain,
            key_id,
            issuer,
        })
    }
}

fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

/// Checks that each may sign certificates and holds at `now`, and that each signed the one
/// before it.
fn check_chain(certificates: &[Certificate], now: Epoch) -> Result<(), BringError> {
    let mut below: Option<(&Certificate, X509Certificate<'_>)> = None;
    for (depth, certificate) in certificates.iter().enumerate() {
        let name = || certificate.subject().to_owned();
        let parsed = read(certificate.der())?;
        check_authority(certificate, &parsed, depth)?;
        if certificate.validity().not_after() < now {
            return Err(BringError::Expired {
                name: name(),
                until: certificate.validity().not_after(),
                now,
            });
        }
        if let Some((lower, lower_parsed)) = below
            && (lower_parsed.issuer().as_raw() != parsed.subject().as_raw()
                || lower_parsed
                    .verify_signature(Some(parsed.public_key()))
                    .is_err())
        {
            return Err(BringError::Chain {
                subject: lower.subject().to_owned(),
                issuer: name(),
            });
        }
        below = Some((certificate, parsed));
    }
    Ok(())
}

fn check_authority(
    certificate: &Certificate,
    parsed: &X509Certificate<'_>,
    depth: usize,
) -> Result<(), BringError> {
    let name = || certificate.subject().to_owned();
    let unreadable = |error: x509_parser::error::X509Error| {
        BringError::Certificate(CertificateError::Der(error.to_string()))
    };
    let constraints = parsed.basic_constraints().map_err(unreadable)?;
    let Some(constraints) = constraints.filter(|constraints| constraints.value.ca) else {
        return Err(BringError::NotAuthority(name()));
    };
    if let Some(allowed) = constraints.value.path_len_constraint
        && usize::try_from(allowed).is_ok_and(|allowed| allowed < depth)
    {
        return Err(BringError::PathLength {
            name: name(),
            allowed,
            below: depth,
        });
    }
    let usage = parsed.key_usage().map_err(unreadable)?;
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err(BringError::MayNotSign(name()));
    }
    Ok(())
}

/// The subject of a certificate as the writer's own type; `None` when it cannot say it.
fn issuer_name(subject: &X509Name<'_>) -> Option<DistinguishedName> {
    let mut name = DistinguishedName::new();
    for component in subject.iter_rdn() {
        for attribute in component.iter() {
            let oid: Vec<u64> = attribute.attr_type().iter()?.collect();
            let text = attribute.as_str().ok()?;
            let value = match attribute.attr_value().tag() {
                Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
                Tag::PrintableString => DnValue::PrintableString(text.try_into().ok()?),
                Tag::Ia5String => DnValue::Ia5String(text.try_into().ok()?),
                _ => return None,
            };
            name.push(DnType::from_oid(&oid), value);
        }
    }
    Some(name)
}

/// Whether `name`, when written, is `expected` to the byte: verifiers compare encodings.
fn repeats(name: &DistinguishedName, key: &KeyPair, expected: &[u8]) -> bool {
    let mut params = CertificateParams::default();
    params.distinguished_name = name.clone();
    params.serial_number = Some(SerialNumber::from(1));
    params
        .self_signed(key)
        .is_ok_and(|trial| read(trial.der()).is_ok_and(|trial| trial.issuer().as_raw() == expected))
}
