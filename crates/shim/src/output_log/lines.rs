//! Turns bytes as they come into pieces of bounded length that never end within a character.

/// Longest line, in bytes; the rest follows as a further line.
pub const MAX_LINE: usize = 8 * 1024;
/// Longest character of UTF-8, in bytes.
const MAX_CHARACTER: usize = 4;

/// Collects bytes until a line is whole.
#[derive(Debug, Default)]
pub struct LineCutter(Vec<u8>);

impl LineCutter {
    /// Gives each line that `bytes` complete, without its end.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (mut piece, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |whole| (whole, true));
            while self.0.len() + piece.len() > MAX_LINE {
                let (fits, rest) = piece.split_at(MAX_LINE.saturating_sub(self.0.len()));
                self.0.extend_from_slice(fits);
                let cut = self.0.len() - unfinished(&self.0);
                line(&self.0[..cut]);
                self.0.drain(..cut);
                piece = rest;
            }
            self.0.extend_from_slice(piece);
            if ends {
                line(self.0.strip_suffix(b"\r").unwrap_or(&self.0));
                self.0.clear();
            }
        }
    }

    /// What is left when the output ends.
    pub fn finish(&mut self, line: impl FnOnce(&[u8])) {
        if !self.0.is_empty() {
            line(self.0.strip_suffix(b"\r").unwrap_or(&self.0));
            self.0.clear();
        }
    }
}

/// Gives lines as text, with U+FFFD for what is not UTF-8.
#[derive(Debug, Default)]
pub struct LineSplitter(LineCutter);

impl LineSplitter {
    /// Gives each line that `bytes` complete, without its end.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(String)) {
        self.0.push(bytes, |bytes| line(String::from_utf8_lossy(bytes).into_owned()));
    }

    /// What is left when the output ends.
    pub fn finish(mut self) -> Option<String> {
        let mut last = None;
        self.0.finish(|bytes| last = Some(String::from_utf8_lossy(bytes).into_owned()));
        last
    }
}

/// Passes bytes on as they come, but for a character that is not whole yet.
#[derive(Debug, Default)]
pub struct ChunkCutter(Vec<u8>);

impl ChunkCutter {
    /// Gives what is there, up to the last whole character.
    pub fn push(&mut self, bytes: &[u8], chunk: impl FnOnce(&[u8])) {
        self.0.extend_from_slice(bytes);
        let cut = self.0.len() - unfinished(&self.0);
        if cut > 0 {
            chunk(&self.0[..cut]);
            self.0.drain(..cut);
        }
    }

    /// What is left when the output ends.
    pub fn finish(&mut self, chunk: impl FnOnce(&[u8])) {
        if !self.0.is_empty() {
            chunk(&self.0);
            self.0.clear();
        }
    }
}

/// How many bytes at the end are the beginning of a character; 0 when it is whole, or not UTF-8 at all.
fn unfinished(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(MAX_CHARACTER - 1)..];
    let Some(begin) = tail.iter().rposition(|byte| byte & 0b1100_0000 == 0b1100_0000) else { return 0 };
    let last = &tail[begin..];
    match std::str::from_utf8(last) {
        Err(error) if error.error_len().is_none() => last.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_never_cut_however_its_bytes_arrive() {
        let text = "a€ü😀".repeat(3_000);
        for size in [1, 2, 3, 5, 4_096] {
            let (mut chunks, mut lines) = (Vec::new(), Vec::new());
            let (mut chunk, mut line) = (ChunkCutter::default(), LineCutter::default());
            for bytes in text.as_bytes().chunks(size) {
                chunk.push(bytes, |bytes| chunks.push(bytes.to_vec()));
                line.push(bytes, |bytes| lines.push(bytes.to_vec()));
            }
            chunk.finish(|_| panic!("nothing is held back"));
            line.finish(|bytes| lines.push(bytes.to_vec()));
            for pieces in [chunks, lines] {
                assert!(pieces.iter().all(|piece| str::from_utf8(piece).is_ok() && piece.len() <= MAX_LINE));
                assert_eq!(pieces.concat(), text.as_bytes());
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_passed_on_at_once() {
        for bytes in [&b"\xff\xff"[..], b"\x80\x80\x80\x80", b"\xc3\xff", b"\xf8\x80"] {
            let mut seen = Vec::new();
            ChunkCutter::default().push(bytes, |chunk| seen.extend_from_slice(chunk));
            assert_eq!(seen, bytes);
        }
    }
}
