//! Signed addresses: HMAC-SHA256 over everything that an address allows.

use std::{fmt, sync::Arc};

use ring::hmac;

/// What a signature is about. `upload` is empty and `part` 0 for a whole object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'s> {
    pub(super) method: &'s str,
    pub(super) key: &'s str,
    pub(super) upload: &'s str,
    pub(super) part: u32,
    /// Seconds since 1970.
    pub(super) expires: i64,
}

impl Signed<'_> {
    /// No member can contain the line breaks that part them.
    fn message(&self) -> String {
        let Self { method, key, upload, part, expires } = self;
        format!("zlh-object-v1\n{method}\n{key}\n{upload}\n{part}\n{expires}")
    }
}

/// Makes and checks them.
#[derive(Clone)]
pub(super) struct Signatures(Arc<hmac::Key>);

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signatures")
    }
}

impl Signatures {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// Hex.
    pub(super) fn sign(&self, signed: &Signed<'_>) -> String {
        hex::encode(hmac::sign(&self.0, signed.message().as_bytes()))
    }

    /// In constant time.
    pub(super) fn holds(&self, signed: &Signed<'_>, signature: &str) -> bool {
        let plain = [signed.key, signed.upload].iter().all(|text| !text.contains('\n'));
        plain
            && hex::decode(signature)
                .is_ok_and(|tag| hmac::verify(&self.0, signed.message().as_bytes(), &tag).is_ok())
    }
}
