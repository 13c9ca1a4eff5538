//! Turns bytes of a pipe into lines of bounded length.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::console::Console;

/// Longest line, in bytes; the rest follows as a further line.
pub const MAX_LINE: usize = 8 * 1024;
/// Read at once, in bytes.
const CHUNK: usize = 4 * 1024;

/// Collects bytes until a line is whole.
#[derive(Debug, Default)]
pub struct LineSplitter(Vec<u8>);

impl LineSplitter {
    /// Gives each line that `bytes` complete, without its end, with U+FFFD for what is not UTF-8.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(String)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (piece, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |whole| (whole, true));
            for part in piece.chunks(MAX_LINE) {
                if self.0.len() + part.len() > MAX_LINE {
                    line(self.take());
                }
                self.0.extend_from_slice(part);
            }
            if ends {
                line(self.take());
            }
        }
    }

    /// What is left when the pipe ends.
    pub fn finish(mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let bytes = self.0.strip_suffix(b"\r").unwrap_or(&self.0);
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.0.clear();
        text
    }
}

/// Reads a pipe to its end into the console.
pub async fn collect(mut pipe: impl AsyncRead + Unpin, console: Arc<Console>) {
    let mut splitter = LineSplitter::default();
    let mut chunk = vec![0; CHUNK];
    // An error of a pipe is its end.
    while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
        splitter.push(&chunk[..length], |line| console.push(line));
    }
    if let Some(line) = splitter.finish() {
        console.push(line);
    }
}
