//! Tokens for the agent: compact JWS (RFC 7515) with EdDSA (RFC 8037), at most 60 s old, one instance, one scope.
//!
//! Written on `ring` rather than a JWT library: the algorithm is fixed, so there is nothing to negotiate, and the
//! libraries at hand bring RSA and a second set of curves with them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use chrono::{DateTime, Utc};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::{
    agent::{MAX_TOKEN_SECONDS, Scope, TrustBundle, TrustedKey},
    ids::InstanceId,
};

/// How far ahead another machine's clock may be, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 5;

/// Longest token looked at, in bytes; ours are about 350.
const MAX_TOKEN_BYTES: usize = 2_048;

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: InstanceId,
    scope: Scope,
    iat: i64,
    exp: i64,
}

/// Why a token was refused. The first group answers 401, the second 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three base64url parts of the right shape.
    #[error("the token is malformed")]
    Malformed,
    /// Signed by a key that the trust bundle does not have.
    #[error("the token's key is not trusted")]
    UnknownKey,
    /// The signature does not match.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Over, too long-lived, or from the future.
    #[error("the token is expired or not valid yet")]
    Expired,
    /// For another instance.
    #[error("the token names another instance")]
    OtherInstance,
    /// For another scope, or one its key may not use.
    #[error("the token does not allow this")]
    OtherScope,
}

impl TokenError {
    /// Whether the caller is known but not allowed (403), rather than unknown (401).
    pub fn is_forbidden(self) -> bool {
        matches!(self, Self::OtherInstance | Self::OtherScope)
    }

    /// Stable code for the error body.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::UnknownKey => "token_unknown_key",
            Self::BadSignature => "token_bad_signature",
            Self::Expired => "token_expired",
            Self::OtherInstance => "token_other_instance",
            Self::OtherScope => "token_other_scope",
        }
    }
}

/// A daemon's private key, and the name under which agents know it.
pub struct Signer {
    issuer: String,
    kid: String,
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Not an Ed25519 key in the form that is expected.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not an Ed25519 key (private: base64 of PKCS#8; public: base64 of 32 bytes)")]
pub struct KeyRejected;

impl Signer {
    /// From base64 of a PKCS#8 document, as [`generate_key`] writes it.
    pub fn from_base64(issuer: &str, text: &str) -> Result<Self, KeyRejected> {
        let der = base64::engine::general_purpose::STANDARD.decode(text.trim()).map_err(|_| KeyRejected)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| KeyRejected)?;
        let kid = kid(issuer, pair.public_key().as_ref());
        Ok(Self { issuer: issuer.to_owned(), kid, pair })
    }

    /// What a trust bundle says of this key.
    pub fn trusted_key(&self, scopes: Vec<Scope>) -> TrustedKey {
        TrustedKey {
            kid: self.kid.clone(),
            issuer: self.issuer.clone(),
            public_key: base64::engine::general_purpose::STANDARD.encode(self.pair.public_key()),
            scopes,
        }
    }

    /// A token for one call: this instance, this scope, valid from `now` for [`MAX_TOKEN_SECONDS`].
    pub fn sign(&self, instance: InstanceId, scope: Scope, now: DateTime<Utc>) -> String {
        let iat = now.timestamp();
        self.sign_claims(&Claims {
            iss: self.issuer.clone(),
            aud: instance,
            scope,
            iat,
            exp: iat + MAX_TOKEN_SECONDS,
        })
    }

    fn sign_claims(&self, claims: &Claims) -> String {
        let header = Header { alg: "EdDSA".into(), typ: "JWT".into(), kid: self.kid.clone() };
        let part = |bytes: serde_json::Result<Vec<u8>>| B64.encode(bytes.unwrap_or_default());
        let signed = format!("{}.{}", part(serde_json::to_vec(&header)), part(serde_json::to_vec(claims)));
        let signature = B64.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// A secret of this key's own for one instance's enrolment: derived, so that it needs no storage and any
    /// worker with the same key can resume. HMAC-SHA256 under a key made by signing a fixed label (Ed25519
    /// signatures are deterministic, RFC 8032).
    pub fn enrolment_secret(&self, instance: InstanceId) -> [u8; 32] {
        let root = self.pair.sign(b"zlh-enrolment-root-v1");
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, root.as_ref());
        let tag = ring::hmac::sign(&key, instance.0.as_bytes());
        let mut secret = [0; 32];
        secret.copy_from_slice(tag.as_ref());
        secret
    }
}

/// Names a key in tokens: its daemon, and the beginning of its SHA-256.
fn kid(issuer: &str, public_key: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, public_key);
    format!("{issuer}:{}", hex::encode(&digest.as_ref()[..8]))
}

/// What a trust bundle says of another daemon's key, of which only the public half (32 bytes, base64) is at hand.
pub fn trusted_key(issuer: &str, public_key: &str, scopes: Vec<Scope>) -> Result<TrustedKey, KeyRejected> {
    let raw = base64::engine::general_purpose::STANDARD.decode(public_key.trim()).map_err(|_| KeyRejected)?;
    if raw.len() != ring::signature::ED25519_PUBLIC_KEY_LEN {
        return Err(KeyRejected);
    }
    let public_key = public_key.trim().to_owned();
    Ok(TrustedKey { kid: kid(issuer, &raw), issuer: issuer.to_owned(), public_key, scopes })
}

/// A new private key: base64 of PKCS#8. Keep it in a file that only its daemon can read.
pub fn generate_key() -> Result<String, KeyRejected> {
    let der = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).map_err(|_| KeyRejected)?;
    Ok(base64::engine::general_purpose::STANDARD.encode(der))
}

/// Checks a token against a trust bundle and the scope that a route requires.
pub fn verify(
    bundle: &TrustBundle,
    token: &str,
    required: Scope,
    now: DateTime<Utc>,
) -> Result<(), TokenError> {
    let (claims, key) = authenticate(bundle, token)?;
    let now = now.timestamp();
    let lives = claims.exp.checked_sub(claims.iat).unwrap_or(i64::MAX);
    let fresh = claims.exp > now && claims.iat <= now + CLOCK_SKEW_SECONDS;
    if !fresh || !(1..=MAX_TOKEN_SECONDS).contains(&lives) {
        return Err(TokenError::Expired);
    }
    if claims.aud != bundle.instance_id {
        return Err(TokenError::OtherInstance);
    }
    if claims.scope != required || !key.scopes.contains(&required) {
        return Err(TokenError::OtherScope);
    }
    Ok(())
}

fn authenticate<'b>(bundle: &'b TrustBundle, token: &str) -> Result<(Claims, &'b TrustedKey), TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let header: Header = decode(header)?;
    if header.alg != "EdDSA" {
        return Err(TokenError::Malformed);
    }
    let key = bundle.keys.iter().find(|key| key.kid == header.kid).ok_or(TokenError::UnknownKey)?;
    let public = base64::engine::general_purpose::STANDARD
        .decode(&key.public_key)
        .map_err(|_| TokenError::UnknownKey)?;
    let signature = B64.decode(signature).map_err(|_| TokenError::Malformed)?;
    UnparsedPublicKey::new(&ED25519, public)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| TokenError::BadSignature)?;
    let claims: Claims = decode(claims)?;
    if claims.iss != key.issuer {
        return Err(TokenError::UnknownKey);
    }
    Ok((claims, key))
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let bytes = B64.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn fixture() -> (Signer, TrustBundle) {
        let signer = Signer::from_base64("provision-worker", &generate_key().unwrap()).unwrap();
        let bundle = TrustBundle {
            instance_id: InstanceId::generate(),
            enrolment_secret: String::new(),
            keys: vec![signer.trusted_key(vec![Scope::Observe, Scope::Power])],
        };
        (signer, bundle)
    }

    #[test]
    fn a_token_holds_for_its_instance_scope_and_minute_only() {
        let (signer, bundle) = fixture();
        let token = signer.sign(bundle.instance_id, Scope::Observe, at(0));
        assert_eq!(verify(&bundle, &token, Scope::Observe, at(59)), Ok(()));
        assert_eq!(verify(&bundle, &token, Scope::Observe, at(60)), Err(TokenError::Expired));
        assert_eq!(verify(&bundle, &token, Scope::Observe, at(-6)), Err(TokenError::Expired));
        assert_eq!(verify(&bundle, &token, Scope::Power, at(0)), Err(TokenError::OtherScope));
        let other = TrustBundle { instance_id: InstanceId::generate(), ..bundle.clone() };
        assert_eq!(verify(&other, &token, Scope::Observe, at(0)), Err(TokenError::OtherInstance));
    }

    #[test]
    fn a_scope_that_the_key_does_not_have_is_refused() {
        let (signer, bundle) = fixture();
        let token = signer.sign(bundle.instance_id, Scope::Install, at(0));
        assert_eq!(verify(&bundle, &token, Scope::Install, at(0)), Err(TokenError::OtherScope));
    }

    #[test]
    fn a_token_that_claims_a_longer_life_is_refused() {
        let (signer, bundle) = fixture();
        let iat = at(0).timestamp();
        for exp in [iat + MAX_TOKEN_SECONDS + 1, iat, i64::MAX] {
            let claims = Claims {
                iss: signer.issuer.clone(),
                aud: bundle.instance_id,
                scope: Scope::Observe,
                iat,
                exp,
            };
            let token = signer.sign_claims(&claims);
            assert_eq!(verify(&bundle, &token, Scope::Observe, at(0)), Err(TokenError::Expired));
        }
    }

    #[test]
    fn another_key_or_a_changed_byte_is_refused() {
        let (signer, bundle) = fixture();
        let (stranger, _) = fixture();
        let token = stranger.sign(bundle.instance_id, Scope::Observe, at(0));
        assert_eq!(verify(&bundle, &token, Scope::Observe, at(0)), Err(TokenError::UnknownKey));
        let token = signer.sign(bundle.instance_id, Scope::Observe, at(0));
        for at_byte in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at_byte] = if bytes[at_byte] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify(&bundle, &changed, Scope::Observe, at(0)).is_err(), "byte {at_byte}");
        }
        for broken in ["", ".", "..", "a.b.c", "é.é.é"] {
            assert!(verify(&bundle, broken, Scope::Observe, at(0)).is_err());
        }
    }

    #[test]
    fn a_key_known_by_its_public_half_is_the_same_key() {
        let (signer, bundle) = fixture();
        let known = &bundle.keys[0];
        let again = trusted_key(&known.issuer, &known.public_key, known.scopes.clone()).unwrap();
        assert_eq!(&again, known);
        assert_eq!(again.kid, signer.kid);
        assert!(trusted_key("x", "AAAA", vec![]).is_err());
    }

    #[test]
    fn the_enrolment_secret_is_stable_per_instance_and_differs_between_instances() {
        let (signer, bundle) = fixture();
        let secret = signer.enrolment_secret(bundle.instance_id);
        assert_eq!(secret, signer.enrolment_secret(bundle.instance_id));
        assert_ne!(secret, signer.enrolment_secret(InstanceId::generate()));
    }
}
