//! How the members are, asked over mutual TLS through etcd's JSON gateway.

use reqwest::blocking::Client;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// How one member answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// No answer over TLS yet; the reason in a word or two.
    Silent(String),
    /// etcd answers but has no leader or does not serve.
    Unhealthy(String),
    /// The member serves reads through quorum.
    Healthy {
        /// Whether it leads.
        leader: bool,
        /// etcd's version.
        version: String,
    },
}

/// The credentials and client that ask.
#[derive(Clone)]
pub struct Probe {
    client: Client,
}

/// The credentials cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the admin credentials cannot be used: {0}")]
pub struct ProbeError(String);

/// The administrator's credentials, all in PEM.
#[derive(Clone)]
pub struct Credentials {
    /// The cluster's CA certificate.
    pub ca: Vec<u8>,
    /// The client certificate.
    pub certificate: Vec<u8>,
    /// The client's private key.
    pub key: Vec<u8>,
}

impl Probe {
    /// A probe that trusts the cluster's CA only and shows the client certificate.
    ///
    /// # Errors
    /// When a PEM text cannot be read.
    pub fn new(credentials: &Credentials) -> Result<Self, ProbeError> {
        let fail =
            |what: &str, error: &dyn std::fmt::Display| ProbeError(format!("{what}: {error}"));
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(&credentials.ca).map_err(|e| fail("CA", &e))?;
        roots.add(ca).map_err(|e| fail("CA", &e))?;
        let chain = CertificateDer::pem_slice_iter(&credentials.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| fail("client certificate", &e))?;
        let key =
            PrivateKeyDer::from_pem_slice(&credentials.key).map_err(|e| fail("client key", &e))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| fail("TLS", &e))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|e| fail("client certificate", &e))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .timeout(Duration::from_secs(8))
            .connect_timeout(Duration::from_secs(4))
            // Connections through the forward die with their guest: none is kept.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|e| fail("HTTP client", &e))?;
        Ok(Self { client })
    }

    /// Asks the member behind a loopback port.
    #[must_use]
    pub fn ask(&self, port: u16) -> Health {
        let health: HealthAnswer = match self.get(port) {
            Ok(answer) => answer,
            Err(error) => return Health::Silent(innermost(&error)),
        };
        if health.health != "true" {
            return Health::Unhealthy(health.reason);
        }
        match self.status(port) {
            Ok(status) => Health::Healthy {
                leader: status.leader == status.header.member_id,
                version: status.version,
            },
            Err(error) => Health::Unhealthy(innermost(&error)),
        }
    }

    fn get(&self, port: u16) -> reqwest::Result<HealthAnswer> {
        let url = format!("https://127.0.0.1:{port}/health");
        self.client.get(url).send()?.json()
    }

    fn status(&self, port: u16) -> reqwest::Result<StatusAnswer> {
        let url = format!("https://127.0.0.1:{port}/v3/maintenance/status");
        self.client.post(url).body("{}").send()?.json()
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[derive(Deserialize)]
struct HealthAnswer {
    health: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct StatusAnswer {
    header: Header,
    version: String,
    leader: String,
}

#[derive(Deserialize)]
struct Header {
    member_id: String,
}
