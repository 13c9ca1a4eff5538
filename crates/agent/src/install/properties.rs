//! Edits Java `.properties` files as `java.util.Properties.load` reads them, keeping comments, order and other keys.
//!
//! Works on bytes: such files are Latin-1 or UTF-8 depending on who wrote them, and what is not edited stays as it is.

use std::collections::BTreeMap;

/// `text` with each key of `set` given its value: in place where the key is, appended where it is not.
pub fn set(text: &[u8], set: &BTreeMap<String, String>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut missing: BTreeMap<&String, &String> = set.iter().collect();
    for line in logical_lines(text) {
        let key = key_of(line);
        match key.as_ref().and_then(|key| set.get_key_value(key)) {
            Some((key, value)) => {
                missing.remove(key);
                put(&mut out, key, value, ending(line));
            }
            None => out.extend_from_slice(line),
        }
    }
    if !missing.is_empty() {
        end_last_line(&mut out);
    }
    for (key, value) in missing {
        put(&mut out, key, value, b"\n");
    }
    out
}

/// Makes room for further lines. A last line that goes on is ended by a blank one, or it would take in what follows.
fn end_last_line(out: &mut Vec<u8>) {
    let open = logical_lines(out).last().is_some_and(|line| !is_comment_or_blank(line) && goes_on(line));
    if !out.is_empty() && !out.ends_with(b"\n") && !out.ends_with(b"\r") {
        out.push(b'\n');
    }
    if open {
        // After a lone `\r` the first of these is part of that line's own end.
        out.extend_from_slice(if out.ends_with(b"\r") { b"\n\n" } else { b"\n" });
    }
}

/// Every key with its value; the last one counts when a key is there twice.
pub fn parse(text: &[u8]) -> BTreeMap<String, String> {
    logical_lines(text).into_iter().filter_map(|line| Some((key_of(line)?, value_of(line)))).collect()
}

/// Lines with their ends; a line that ends in an odd number of backslashes goes on in the next one, unless it is a
/// comment or blank.
fn logical_lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let (mut start, mut continues) = (0, false);
    let mut natural = 0;
    while natural < text.len() {
        let end = natural + natural_length(&text[natural..]);
        let line = &text[natural..end];
        continues = (continues || !is_comment_or_blank(line)) && goes_on(line);
        if !continues {
            lines.push(&text[start..end]);
            start = end;
        }
        natural = end;
    }
    if start < text.len() {
        lines.push(&text[start..]);
    }
    lines
}

/// Up to and including `\n`, `\r` or `\r\n`.
fn natural_length(text: &[u8]) -> usize {
    match text.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        None => text.len(),
        Some(at) if text[at..].starts_with(b"\r\n") => at + 2,
        Some(at) => at + 1,
    }
}

fn ending(line: &[u8]) -> &[u8] {
    &line[content(line).len()..]
}

fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\x0c')
}

fn skip_space(line: &[u8]) -> &[u8] {
    &line[line.iter().take_while(|byte| is_space(**byte)).count()..]
}

fn is_comment_or_blank(line: &[u8]) -> bool {
    matches!(skip_space(content(line)).first(), None | Some(b'#' | b'!'))
}

fn goes_on(line: &[u8]) -> bool {
    content(line).iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The line without its continuations: backslash, line end and the space that follows.
fn joined(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = line;
    loop {
        let length = natural_length(rest);
        let natural = skip_space(&rest[..length]);
        rest = &rest[length..];
        if goes_on(natural) {
            let whole = content(natural);
            out.extend_from_slice(&whole[..whole.len() - 1]);
        } else {
            out.extend_from_slice(content(natural));
        }
        if rest.is_empty() {
            return out;
        }
    }
}

/// Where the key ends in a joined line.
fn key_length(line: &[u8]) -> usize {
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b'\\' => at += 2,
            b'=' | b':' => break,
            byte if is_space(byte) => break,
            _ => at += 1,
        }
    }
    at.min(line.len())
}

fn key_of(line: &[u8]) -> Option<String> {
    if is_comment_or_blank(line) {
        return None;
    }
    let line = joined(line);
    Some(unescape(&line[..key_length(&line)]))
}

fn value_of(line: &[u8]) -> String {
    let line = joined(line);
    let rest = skip_space(&line[key_length(&line)..]);
    let rest = rest.strip_prefix(b"=").or_else(|| rest.strip_prefix(b":")).unwrap_or(rest);
    unescape(skip_space(rest))
}

fn unescape(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let plain = if char == '\\' { unescape_one(&mut chars) } else { Ok(char) };
        match plain {
            Ok(char) => units.extend(char.encode_utf16(&mut [0; 2]).iter()),
            Err(unit) => units.extend(unit),
        }
    }
    String::from_utf16_lossy(&units)
}

/// What follows a backslash: a character, or a UTF-16 unit of `\uXXXX` (none when it is malformed or at the end).
fn unescape_one(chars: &mut std::str::Chars<'_>) -> Result<char, Option<u16>> {
    match chars.next() {
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('f') => Ok('\x0c'),
        Some('u') => {
            let digits =
                chars.as_str().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
            if unit.is_some() {
                chars.nth(3);
            }
            Err(unit)
        }
        Some(other) => Ok(other),
        None => Err(None),
    }
}

fn put(out: &mut Vec<u8>, key: &str, value: &str, end: &[u8]) {
    escape(out, key, true);
    out.push(b'=');
    escape(out, value, false);
    out.extend_from_slice(if end.is_empty() { b"\n" } else { end });
}

/// As `java.util.Properties.store` does: other than ASCII as `\uXXXX`, which every reader understands.
fn escape(out: &mut Vec<u8>, text: &str, is_key: bool) {
    for (index, char) in text.chars().enumerate() {
        match char {
            '\n' => out.extend(b"\\n"),
            '\r' => out.extend(b"\\r"),
            '\t' => out.extend(b"\\t"),
            '\x0c' => out.extend(b"\\f"),
            '\\' => out.extend(b"\\\\"),
            ' ' if is_key || index == 0 => out.extend(b"\\ "),
            '=' | ':' | '#' | '!' if is_key => out.extend([b'\\', u8::try_from(char).unwrap_or(b'?')]),
            ' '..='~' => out.push(u8::try_from(char).unwrap_or(b'?')),
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    out.extend(format!("\\u{unit:04X}").bytes());
                }
            }
        }
    }
}
