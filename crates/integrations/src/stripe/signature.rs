//! `Stripe-Signature`: HMAC-SHA256 over the time and the body as it came.

use chrono::{DateTime, Utc};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};

/// How far the sender's clock and ours may be apart, in seconds; Stripe's own libraries allow the same.
pub const TOLERANCE_SECONDS: i64 = 300;
/// Most signatures that are looked at: Stripe sends one for each secret that is in force.
const MAX_SIGNATURES: usize = 8;

/// Why a body is not believed to be Stripe's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no signature, or none that can be read.
    #[error("the header Stripe-Signature is missing or cannot be read")]
    Missing,
    /// No secret of ours makes this signature of this body.
    #[error("the signature is not of this body by a secret of ours")]
    Mismatch,
    /// It is, and was made too long ago or in the future: it may be a replay, or one clock is wrong.
    #[error("the signature was made {behind_seconds} s ago, and at most {TOLERANCE_SECONDS} s are believed")]
    OutOfTime {
        /// How long ago it was made by our clock; negative in the future.
        behind_seconds: i64,
    },
}

/// Whether this body was signed by somebody with one of these secrets, at about this time. Compares in constant time.
pub fn verify(
    header: &str,
    body: &[u8],
    secrets: &[&SecretString],
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let pairs = || header.split(',').filter_map(|pair| pair.trim().split_once('='));
    let stamp = pairs().find(|(key, _)| *key == "t").map(|(_, value)| value).ok_or(Refusal::Missing)?;
    let seconds: i64 = stamp.parse().map_err(|_| Refusal::Missing)?;
    let given: Vec<_> = pairs()
        .filter(|(key, _)| *key == "v1")
        .filter_map(|(_, value)| hex::decode(value).ok())
        .take(MAX_SIGNATURES)
        .collect();
    if given.is_empty() {
        return Err(Refusal::Missing);
    }
    let signed = [stamp.as_bytes(), b".", body].concat();
    let usable = secrets.iter().filter(|secret| !secret.expose_secret().is_empty());
    let matches = usable
        .map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes()))
        .any(|key| {
            // Every one is looked at, so that the time says nothing of which.
            given.iter().filter(|it| hmac::verify(&key, &signed, it).is_ok()).count() > 0
        });
    if !matches {
        return Err(Refusal::Mismatch);
    }
    let behind_seconds = now.timestamp().saturating_sub(seconds);
    if behind_seconds.saturating_abs() > TOLERANCE_SECONDS {
        return Err(Refusal::OutOfTime { behind_seconds });
    }
    Ok(())
}

/// The header that somebody with this secret sends with this body at this time.
pub fn sign(body: &[u8], secret: &SecretString, now: DateTime<Utc>) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let stamp = now.timestamp().to_string();
    let tag = hmac::sign(&key, &[stamp.as_bytes(), b".", body].concat());
    format!("t={stamp},v1={}", hex::encode(tag))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(1_700_000_000 + seconds)
    }

    #[test]
    fn a_signature_is_believed_within_five_minutes_either_way() {
        let secret = SecretString::from("whsec_a");
        let header = sign(b"{}", &secret, at(0));
        for (now, expected) in [
            (299, Ok(())),
            (-299, Ok(())),
            (301, Err(Refusal::OutOfTime { behind_seconds: 301 })),
            (-301, Err(Refusal::OutOfTime { behind_seconds: -301 })),
            (3_600, Err(Refusal::OutOfTime { behind_seconds: 3_600 })),
        ] {
            assert_eq!(verify(&header, b"{}", &[&secret], at(now)), expected, "{now}");
        }
    }

    #[test]
    fn another_body_another_secret_and_no_signature_are_refused() {
        let (secret, other, none) =
            (SecretString::from("whsec_a"), SecretString::from("whsec_b"), SecretString::default());
        let body = b"{\n  \"id\": \"evt_1\"\n}";
        let header = sign(body, &secret, at(0));
        let verify =
            |header: &str, body: &[u8], secrets: &[&SecretString]| verify(header, body, secrets, at(0));
        assert_eq!(verify(&header, body, &[&none, &other, &secret]), Ok(()));
        assert_eq!(verify(&header, b"{\"id\":\"evt_1\"}", &[&secret]), Err(Refusal::Mismatch));
        assert_eq!(verify(&header, body, &[&other]), Err(Refusal::Mismatch));
        // Nobody who knows that no secret is set can sign.
        assert_eq!(verify(&sign(body, &none, at(0)), body, &[&none]), Err(Refusal::Mismatch));
        let both = format!("{header},v1={}", "00".repeat(32));
        assert_eq!(verify(&both, body, &[&secret]), Ok(()));
        for bad in ["", "t=1", "v1=00", "t=x,v1=00", "t=1700000000,v0=00", "t=1700000000,v1=zz"] {
            assert_eq!(verify(bad, body, &[&secret]), Err(Refusal::Missing), "{bad:?}");
        }
    }
}
