//! TLS for SSL_GET. As in keepalived the server's certificate is verified only where a `ca` is given, and its
//! name never is: a health check asks one server of many.

use crate::model::lvs::SslContext;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tracing::error;

/// What all SSL_GET checkers share: the `SSL` block, read and ready.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ClientConfig>);

/// What is wrong with the `SSL` block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SSL {keyword} {file}: {why}")]
pub struct TlsError {
    /// Keyword of the block.
    pub keyword: &'static str,
    /// Its file.
    pub file: String,
    /// The trouble, and what to do.
    pub why: String,
}

impl Tls {
    /// Reads the files of the `SSL` block.
    pub fn new(context: &SslContext) -> Result<Tls, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let trusted = match &context.ca {
            Some(file) => Some(trusted(file)?),
            None => None,
        };
        let verifier = Arc::new(Verifier {
            trusted,
            provider: provider.clone(),
        });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("SSL", "", error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &context.certificate {
            Some(file) => {
                let chain = certificates("certificate", file)?;
                let key_file = context.key.as_ref().unwrap_or(file);
                let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| {
                    let hint = "no key without a password is in it; \
                                `openssl pkey -in FILE -out NEW` writes one";
                    wrong("key", key_file, format!("{error} ({hint})"))
                })?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| wrong("certificate", file, error))?
            }
            None => builder.with_no_client_auth(),
        };
        // Each check is a connection of its own that proves the whole handshake.
        config.resumption = Resumption::disabled();
        Ok(Tls(Arc::new(config)))
    }

    /// The same, with what is wrong written to the log. Without a block nothing can be.
    pub fn ready(context: Option<&SslContext>) -> Option<Tls> {
        let tls = match context {
            Some(context) => Tls::new(context),
            None => Tls::new(&SslContext::default()),
        };
        tls.map_err(|error| error!(target: "checkers", "{error} - SSL_GET checks do not run"))
            .ok()
    }

    /// The handshake. Without a name no server name is indicated.
    pub async fn connect(
        &self,
        stream: TcpStream,
        address: IpAddr,
        name: Option<&str>,
    ) -> Result<TlsStream<TcpStream>, String> {
        let server = match name.map(|name| ServerName::try_from(name.to_owned())) {
            Some(Ok(name)) => name,
            Some(Err(_)) => {
                let name = name.unwrap_or_default();
                return Err(format!("'{name}' cannot be sent as a server name (SNI)"));
            }
            None => ServerName::from(address),
        };
        TlsConnector::from(self.0.clone())
            .connect(server, stream)
            .await
            .map_err(|error| explain(&error))
    }
}

/// What went wrong in a handshake, for people.
fn explain(error: &std::io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(
            Error::PeerIncompatible(_)
            | Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure),
        ) => format!(
            "no common TLS version and cipher: TLS 1.2 and 1.3 with forward secrecy are spoken here, and the \
             server is older or wants other ciphers ({error}); let it speak TLS 1.2, or check it with TCP_CHECK"
        ),
        Some(Error::InvalidMessage(_)) => format!("the server does not speak TLS ({error})"),
        Some(Error::InvalidCertificate(why)) => {
            format!("the server's certificate is not good by the `ca` of the SSL block: {why}")
        }
        Some(Error::AlertReceived(alert)) => format!("the server refuses the TLS handshake: {alert:?}"),
        _ if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the server closed the connection in the TLS handshake".to_owned()
        }
        _ => error.to_string(),
    }
}

fn wrong(keyword: &'static str, file: &str, why: impl ToString) -> TlsError {
    TlsError {
        keyword,
        file: file.to_owned(),
        why: why.to_string(),
    }
}

fn certificates(keyword: &'static str, file: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(keyword, file, error))?;
    if all.is_empty() {
        return Err(wrong(keyword, file, "no certificate is in it"));
    }
    Ok(all)
}

fn trusted(file: &str) -> Result<Trusted, TlsError> {
    let certificates = certificates("ca", file)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots
            .add(certificate.clone())
            .map_err(|error| wrong("ca", file, error))?;
    }
    Ok(Trusted { roots, certificates })
}

#[derive(Debug)]
struct Trusted {
    roots: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

/// Verifies the chain where there is a `ca`, and nothing else.
#[derive(Debug)]
struct Verifier {
    trusted: Option<Trusted>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(trusted) = &self.trusted {
            // A self-signed certificate that is its own `ca`.
            if !trusted.certificates.iter().any(|known| known == certificate) {
                verify_server_cert_signed_by_trust_anchor(
                    &ParsedCertificate::try_from(certificate)?,
                    &trusted.roots,
                    intermediates,
                    now,
                    self.provider.signature_verification_algorithms.all,
                )?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.trusted.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.trusted.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self
            .provider
            .signature_verification_algorithms
            .supported_schemes();
        if self.trusted.is_none() {
            // Nothing is verified: old signatures are no loss, and old servers answer.
            schemes.extend([
                SignatureScheme::RSA_PKCS1_SHA1,
                SignatureScheme::ECDSA_SHA1_Legacy,
            ]);
        }
        schemes
    }
}
