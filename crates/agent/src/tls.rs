//! The agent's own certificate: made at first boot, kept, and pinned by the control plane at enrolment.

use std::sync::Arc;

use anyhow::Context;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use ring::digest::{SHA256, digest};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use shim::atomic::write_atomically;

use crate::root::Root;

/// Subject of every agent's certificate. Callers compare its fingerprint, not its name.
const SUBJECT: &str = "zlh-agent.internal";

/// The TLS side of the server.
#[derive(Clone, Debug)]
pub struct Identity {
    /// TLS 1.2 and 1.3 with `ring`, HTTP/1.1 only.
    pub config: Arc<ServerConfig>,
    /// SHA-256 of the certificate (DER), hex.
    pub fingerprint: String,
}

/// Loads the certificate, making it at first boot.
pub fn identity(root: &Root) -> anyhow::Result<Identity> {
    if !root.certificate_file().exists() {
        make(root).context("cannot make a certificate")?;
    }
    let certificate = CertificateDer::from_pem_file(root.certificate_file()).context("certificate")?;
    let key = PrivateKeyDer::from_pem_file(root.key_file()).context("certificate's key")?;
    let fingerprint = hex::encode(digest(&SHA256, &certificate));
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity { config: Arc::new(config), fingerprint })
}

/// The key is written first: a certificate that is there always has its key beside it.
fn make(root: &Root) -> anyhow::Result<()> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([SUBJECT.to_owned()])?;
    write_atomically(&root.key_file(), signing_key.serialize_pem().as_bytes())?;
    write_atomically(&root.certificate_file(), cert.pem().as_bytes())?;
    Ok(())
}
