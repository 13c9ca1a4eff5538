//! Ids and secrets as Stripe makes them: a prefix that says what it is, and letters and digits.

use ring::rand::{SecureRandom as _, SystemRandom};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters after the prefix.
const LENGTH: usize = 24;

/// A new id, such as `cus_4fWq…`.
pub(super) fn new(prefix: &str) -> String {
    format!("{prefix}_{}", letters(LENGTH))
}

/// So many random letters and digits.
pub(super) fn letters(count: usize) -> String {
    let mut bytes = vec![0; count];
    // Without the system's randomness nothing else would work either.
    SystemRandom::new().fill(&mut bytes).unwrap_or_default();
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}

/// A number below `limit`, or 0.
pub(super) fn below(limit: u64) -> u64 {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).unwrap_or_default();
    u64::from_le_bytes(bytes).checked_rem(limit).unwrap_or_default()
}
