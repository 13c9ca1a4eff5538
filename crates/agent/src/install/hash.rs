//! SHA-256 of what passes by.

use std::io::{self, Read};

use ring::digest::{Context, SHA256};

/// Bytes read at once.
const CHUNK: usize = 128 * 1024;

/// A hash in the making.
pub(super) struct Sha256(Context);

impl Sha256 {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Lower-case hex.
    pub(super) fn finish(self) -> String {
        hex::encode(self.0.finish())
    }
}

/// The hash of all that `reader` has, lower-case hex.
pub(super) fn of_reader(mut reader: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(hash.finish()),
            length => hash.update(&chunk[..length]),
        }
    }
}
