//! Reads the trust bundle; there is no default and no way to run without one.

use std::{fs::File, io::Read, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::agent::TrustBundle;

/// Longest bundle read, in bytes; a real one has about 1,000.
const MAX_BYTES: u64 = 64 * 1024;

/// Why there is nobody to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No such file, or not readable.
    #[error("the trust bundle {file} cannot be read")]
    Unreadable {
        /// Which.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not the JSON expected. The parser's message is left out: it may quote what the file holds.
    #[error("the trust bundle {file} is empty or malformed (line {line})")]
    Malformed {
        /// Which.
        file: String,
        /// Where the parser stopped.
        line: usize,
    },
    /// Well-formed, but nobody could be trusted by it.
    #[error("the trust bundle {file} is unusable: {reason}")]
    Unusable {
        /// Which.
        file: String,
        /// What is missing.
        reason: &'static str,
    },
}

/// The bundle in `file`, checked: a 32-byte secret, at least one key, 32-byte keys, distinct names.
pub fn load(file: &Path) -> Result<TrustBundle, TrustError> {
    let name = file.display().to_string();
    let mut text = String::new();
    File::open(file)
        .and_then(|opened| opened.take(MAX_BYTES).read_to_string(&mut text))
        .map_err(|source| TrustError::Unreadable { file: name.clone(), source })?;
    let bundle: TrustBundle = serde_json::from_str(&text)
        .map_err(|error| TrustError::Malformed { file: name.clone(), line: error.line() })?;
    match flaw(&bundle) {
        None => Ok(bundle),
        Some(reason) => Err(TrustError::Unusable { file: name, reason }),
    }
}

/// The enrolment secret's bytes.
pub fn enrolment_secret(bundle: &TrustBundle) -> Option<[u8; 32]> {
    decode32(&bundle.enrolment_secret)
}

fn flaw(bundle: &TrustBundle) -> Option<&'static str> {
    if enrolment_secret(bundle).is_none() {
        return Some("its enrolment secret is not 32 bytes of base64");
    }
    if bundle.keys.is_empty() {
        return Some("it has no keys");
    }
    if bundle.keys.iter().any(|key| key.kid.is_empty() || decode32(&key.public_key).is_none()) {
        return Some("a key is not named or is not 32 bytes of base64");
    }
    let distinct: std::collections::HashSet<&str> = bundle.keys.iter().map(|key| key.kid.as_str()).collect();
    (distinct.len() != bundle.keys.len()).then_some("two keys have one name")
}

fn decode32(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}
