mod bring;

pub use bring::BringError;

use crate::key::KeyPair;
use crate::validity::date;
use crate::{
    Certificate, CertificateError, ClusterSecret, KeyError, KeyKind, KeyLabel, PrivateText,
    Validity,
};
use imgbuild_base::{Epoch, Hasher};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyUsagePurpose, SanType, SerialNumber,
};
use std::net::IpAddr;

/// The longest common name (RFC 5280 A.1, `ub-common-name`), in characters.
const COMMON_NAME_MAX: usize = 64;

/// A certificate authority to be derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthoritySpec {
    /// Names the authority's key.
    pub label: KeyLabel,
    /// The common name of its certificate.
    pub common_name: String,
    /// The kind of its key.
    pub kind: KeyKind,
    /// Counts rotations: another generation is another key.
    pub generation: u32,
    /// When its certificate holds.
    pub validity: Validity,
}

/// What a certificate may be used for (RFC 5280 4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Usage {
    /// Answering TLS connections.
    Server,
    /// Opening them.
    Client,
    /// Both: etcd's peers do, and its gateway calls its own server with the server's pair.
    ServerAndClient,
}

/// A name or address a certificate holds for (RFC 5280 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AltName {
    /// A DNS name.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// A certificate to be issued, and the key it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafSpec {
    /// Names the key.
    pub label: KeyLabel,
    /// The subject's common name: for etcd's clients, the user's name.
    pub common_name: String,
    /// The subject's organisation: for Kubernetes, the user's group.
    pub organisation: Option<String>,
    /// What it holds for, in the order given.
    pub names: Vec<AltName>,
    /// What it may be used for.
    pub usage: Usage,
    /// The kind of the key.
    pub kind: KeyKind,
    /// Counts rotations: another generation is another key.
    pub generation: u32,
    /// When it holds; it must lie within the authority's.
    pub validity: Validity,
}

/// A certificate and the private key it is for.
pub struct Issued {
    /// The certificate.
    pub certificate: Certificate,
    /// The certificates between it and the one that everybody trusts, nearest first: none,
    /// unless the authority was brought and is itself vouched for by another.
    pub chain: Vec<Certificate>,
    /// The key, PKCS #8 PEM.
    pub key: PrivateText,
}

impl Issued {
    /// The PEM file to show to others: the certificate, then its chain.
    #[must_use]
    pub fn pem(&self) -> String {
        let all = std::iter::once(&self.certificate).chain(&self.chain);
        all.map(Certificate::pem).collect()
    }
}

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The common name is empty or too long.
    #[error("the common name {0:?} has {1} characters: expected 1 to {COMMON_NAME_MAX}")]
    CommonName(String, usize),
    /// A subject alternative name is not ASCII.
    #[error("the alternative name {0:?} is not a DNS name")]
    AltName(String),
    /// The certificate would outlive the authority's, or precede it: verifiers refuse that.
    #[error(
        "the certificate for {name:?} would hold from {leaf_from} to {leaf_until}, but the \
         authority's own only from {from} to {until} (seconds since 1970): shorten the \
         certificate's validity or renew the authority"
    )]
    OutsideAuthority {
        /// Whom it is for.
        name: String,
        /// Start of the wanted validity.
        leaf_from: Epoch,
        /// End of the wanted validity.
        leaf_until: Epoch,
        /// Start of the authority's.
        from: Epoch,
        /// End of the authority's.
        until: Epoch,
    },
    /// The key cannot be encoded.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate writer's own output cannot be read back.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificate writer refused.
    #[error("the certificate for {0:?} cannot be encoded: {1}")]
    Encoding(String, rcgen::Error),
}

/// A certificate authority: its certificate and the key that signs. The key leaves it only
/// through [`Authority::expose_key`].
pub struct Authority {
    certificate: Certificate,
    /// What those that it issues to have to show besides their own certificate.
    chain: Vec<Certificate>,
    key_id: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The authority that `secret` gives for `spec`: self-signed, for signing leaf
    /// certificates only (path length 0). With the same secret and label, a later validity
    /// gives a new certificate for the same key, so that what it signed before stays trusted.
    ///
    /// # Errors
    /// [`IssueError`] when the certificate cannot be encoded.
    pub fn derive(secret: &ClusterSecret, spec: &AuthoritySpec) -> Result<Self, IssueError> {
        let name = check_common_name(&spec.common_name)?;
        let label = generation(&spec.label, spec.generation);
        let key = KeyPair::derive(secret, &label, spec.kind)?;
        let key_id = key_identifier(key.public());
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        if key.enciphers() {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        finish(&mut params, &key_id, &key_id, key.public(), spec.validity);
        let made = params
            .self_signed(&key)
            .map_err(|error| IssueError::Encoding(name.to_owned(), error))?;
        Ok(Self {
            certificate: Certificate::from_der(made.der().to_vec())?,
            chain: Vec::new(),
            key_id,
            issuer: Issuer::new(params, key),
        })
    }

    /// Its certificate, which everyone who trusts it needs.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its private key as PKCS #8 PEM, for handing the authority to other tools. It belongs in
    /// no image.
    ///
    /// # Errors
    /// [`KeyError::Encoding`] when it cannot be encoded.
    pub fn expose_key(&self) -> Result<PrivateText, KeyError> {
        self.issuer.key().to_pem()
    }

    /// Derives a key from `secret` and issues the certificate that `spec` describes.
    ///
    /// # Errors
    /// [`IssueError`] when a name is unfit or the validity leaves the authority's own.
    pub fn issue(&self, secret: &ClusterSecret, spec: &LeafSpec) -> Result<Issued, IssueError> {
        let name = check_common_name(&spec.common_name)?;
        let own = self.certificate.validity();
        if spec.validity.not_before() < own.not_before()
            || spec.validity.not_after() > own.not_after()
        {
            return Err(IssueError::OutsideAuthority {
                name: name.to_owned(),
                leaf_from: spec.validity.not_before(),
                leaf_until: spec.validity.not_after(),
                from: own.not_before(),
                until: own.not_after(),
            });
        }
        let label = generation(&spec.label, spec.generation);
        let key = KeyPair::derive(secret, &label, spec.kind)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(name, spec.organisation.as_deref());
        params.subject_alt_names = spec
            .names
            .iter()
            .map(|name| match name {
                AltName::Ip(address) => Ok(SanType::IpAddress(*address)),
                AltName::Dns(name) => name
                    .as_str()
                    .try_into()
                    .map(SanType::DnsName)
                    .map_err(|_| IssueError::AltName(name.clone())),
            })
            .collect::<Result<_, _>>()?;
        params.is_ca = IsCa::ExplicitNoCa;
        // RFC 8813 3: a key that only signs must not claim to encipher keys.
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if spec.kind.enciphers() {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        params.extended_key_usages = match spec.usage {
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::ServerAndClient => vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
        };
        let key_id = key_identifier(key.public());
        finish(
            &mut params,
            &key_id,
            &self.key_id,
            key.public(),
            spec.validity,
        );
        let made = params
            .signed_by(&key, &self.issuer)
            .map_err(|error| IssueError::Encoding(name.to_owned(), error))?;
        Ok(Issued {
            certificate: Certificate::from_der(made.der().to_vec())?,
            chain: self.chain.clone(),
            key: key.to_pem()?,
        })
    }
}

fn generation(label: &KeyLabel, generation: u32) -> KeyLabel {
    label.clone().with(generation.to_string())
}

fn check_common_name(name: &str) -> Result<&str, IssueError> {
    match name.chars().count() {
        1..=COMMON_NAME_MAX => Ok(name),
        count => Err(IssueError::CommonName(name.to_owned(), count)),
    }
}

fn distinguished_name(common_name: &str, organisation: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organisation) = organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name.push(DnType::CommonName, common_name);
    name
}

/// The first 160 bits of the SHA-256 of the public key (RFC 7093 2, method 1).
fn key_identifier(public: &[u8]) -> Vec<u8> {
    imgbuild_base::Digest::of(public).as_bytes()[..20].to_vec()
}

/// Sets what follows from the rest: key identifiers, validity, and the serial number.
///
/// The serial is a digest of all that the certificate says and of who signs it, so that two
/// different certificates of one authority never share one (RFC 5280 4.1.2.2: at most 20
/// bytes, positive).
fn finish(
    params: &mut CertificateParams,
    key_id: &[u8],
    issuer_key_id: &[u8],
    public: &[u8],
    validity: Validity,
) {
    params.not_before = date(validity.not_before());
    params.not_after = date(validity.not_after());
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_id.to_vec());
    params.use_authority_key_identifier_extension = true;
    let mut hasher = Hasher::new();
    hasher
        .field("imgbuild certificate serial 1")
        .field(issuer_key_id)
        .field(public)
        .field(validity.not_before().to_string())
        .field(validity.not_after().to_string())
        .field(format!("{:?}", params.is_ca));
    for (kind, value) in params.distinguished_name.iter() {
        hasher.field(format!("{kind:?} {value:?}"));
    }
    for name in &params.subject_alt_names {
        hasher.field(format!("{name:?}"));
    }
    for usage in &params.extended_key_usages {
        hasher.field(format!("{usage:?}"));
    }
    let mut serial = hasher.finish().as_bytes()[..20].to_vec();
    // Neither negative nor shorter than 20 bytes.
    serial[0] = serial[0] & 0x3f | 0x40;
    params.serial_number = Some(SerialNumber::from(serial));
}
