//! The relay's certificate: its own, for this machine's names.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;

/// Whom it is for.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// With the certificate that is kept in `file`; a new one where there is none.
pub(super) fn acceptor(file: Option<&Path>) -> anyhow::Result<TlsAcceptor> {
    let (certificate, key) = match file {
        None => make()?,
        Some(file) => {
            let key_file = file.with_added_extension("key");
            if !file.exists() || !key_file.exists() {
                let (certificate, key) = make()?;
                fs::write(&key_file, key).with_context(|| format!("cannot write {}", key_file.display()))?;
                fs::write(file, certificate).with_context(|| format!("cannot write {}", file.display()))?;
            }
            (fs::read_to_string(file)?, fs::read_to_string(key_file)?)
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A certificate and its key, as PEM.
fn make() -> anyhow::Result<(String, String)> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(NAMES.map(str::to_owned).to_vec())?;
    Ok((cert.pem(), signing_key.serialize_pem()))
}
