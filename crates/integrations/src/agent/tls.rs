//! TLS towards an agent. Its certificate is self-signed, so no authority is asked: either it is the pinned one, or
//! (during enrolment) it is captured and proven afterwards. The handshake's signature is always verified, so the
//! other side holds the certificate's key.

use std::sync::{Arc, OnceLock};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::TLS13,
};

use super::{AgentError, Fingerprint};

#[derive(Debug)]
enum Accept {
    /// Only this certificate.
    Pinned(Fingerprint),
    /// The first one; a client for one enrolment sees one connection, and a second must be the same.
    Capture(Arc<OnceLock<Fingerprint>>),
}

#[derive(Debug)]
struct Verifier {
    accept: Accept,
    provider: Arc<CryptoProvider>,
}

/// Accepts this certificate only.
pub(super) fn pinned(fingerprint: Fingerprint) -> Result<ClientConfig, AgentError> {
    config(Accept::Pinned(fingerprint))
}

/// Accepts any certificate once, and tells whose it was.
pub(super) fn capturing() -> Result<(ClientConfig, Arc<OnceLock<Fingerprint>>), AgentError> {
    let seen = Arc::new(OnceLock::new());
    Ok((config(Accept::Capture(seen.clone()))?, seen))
}

fn config(accept: Accept) -> Result<ClientConfig, AgentError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier { accept, provider: provider.clone() });
    let builder = ClientConfig::builder_with_provider(provider)
        // Both sides are ours, so there is no older version to speak.
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| AgentError::Protocol(error.to_string()))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(end_entity);
        let expected = match &self.accept {
            Accept::Pinned(fingerprint) => fingerprint,
            Accept::Capture(seen) => seen.get_or_init(|| shown),
        };
        if *expected == shown {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a request failed because the verifier above refused the certificate.
pub(super) fn is_wrong_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut sources = std::iter::successors(Some(error), |error| inner(*error));
    sources.any(|error| matches!(error.downcast_ref::<Error>(), Some(Error::InvalidCertificate(_))))
}

/// The next error inside. What an `io::Error` wraps is not its `source()`, and the TLS error is wrapped twice.
fn inner<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e (dyn std::error::Error + 'static)> {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    wrapped.map_or_else(|| error.source(), |wrapped| Some(wrapped))
}
