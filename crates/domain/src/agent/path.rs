//! How a file is named between people, control plane and agent: [`FilePath`]. Its text is percent-encoded where a byte
//! is not printable ASCII or is `%`, so that every name that a Unix folder can hold has exactly one spelling.
//!
//! What a path leads to is decided by the agent's directory handles. This module only knows what is a path at all.

use std::fmt;

/// Names that begin so are the agent's own: unfinished files, staging folders.
pub const RESERVED_PREFIX: &str = ".zlh-";
/// Longest name, in bytes (`NAME_MAX` of Linux).
pub const MAX_NAME_BYTES: usize = 255;
/// Longest path, in bytes before encoding (`PATH_MAX` of Linux).
pub const MAX_PATH_BYTES: usize = 4_096;
/// Most components.
pub const MAX_PATH_DEPTH: usize = 128;

/// Why something is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Begins with `/`.
    #[error("a path is relative: it does not begin with /")]
    Absolute,
    /// `//`, or `/` at the end, or an empty name.
    #[error("a path has no empty parts: no //, and no / at its end")]
    Empty,
    /// `.` or `..`.
    #[error("a path has no . and no .. in it")]
    Dots,
    /// A NUL byte or, within a name, a slash.
    #[error("a name has no NUL and no / in it")]
    Forbidden,
    /// A control character that is not encoded.
    #[error("control characters are written as % and two digits")]
    Control,
    /// A `%` that is not followed by two digits, or an escape for something that is written as it is.
    #[error(
        "% is followed by two upper-case hexadecimal digits, and only for bytes that are not printable ASCII, and for % itself"
    )]
    Escape,
    /// A name is too long.
    #[error("a name has at most {MAX_NAME_BYTES} bytes")]
    NameTooLong,
    /// The whole is too long.
    #[error("a path has at most {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// Too many parts.
    #[error("a path has at most {MAX_PATH_DEPTH} parts")]
    TooDeep,
    /// A name of the agent's own.
    #[error("names that begin with {RESERVED_PREFIX} are used by the server's agent")]
    Reserved,
}

impl PathError {
    /// Stable code of an error body.
    pub fn code(self) -> &'static str {
        if self == Self::Reserved { "path_reserved" } else { "path_invalid" }
    }
}

/// Where something lies below the customer's folder, or that folder itself. Names are bytes, as in the file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(Vec<u8>);

impl FilePath {
    /// The customer's folder.
    pub fn root() -> Self {
        Self::default()
    }

    /// From its text; the empty one is the customer's folder. Letters beyond ASCII may be written as they are.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        // An escape is three bytes for one.
        if text.len() > 3 * MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes().iter().copied();
        while let Some(byte) = rest.next() {
            match byte {
                b'%' => bytes.push(escaped(rest.next(), rest.next())?),
                0..0x20 | 0x7F => return Err(PathError::Control),
                _ => bytes.push(byte),
            }
        }
        Self::from_bytes(&bytes)
    }

    /// From names separated by `/`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.is_empty() {
            return Ok(Self::root());
        }
        if bytes.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        if bytes.starts_with(b"/") {
            return Err(PathError::Absolute);
        }
        let mut depth = 0;
        for name in bytes.split(|byte| *byte == b'/') {
            check_name(name)?;
            depth += 1;
        }
        if depth > MAX_PATH_DEPTH { Err(PathError::TooDeep) } else { Ok(Self(bytes.to_vec())) }
    }

    /// What has this name in this folder.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        check_name(name)?;
        let mut bytes = self.0.clone();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Self::from_bytes(&bytes)
    }

    /// What lies at `below` in this folder.
    pub fn append(&self, below: &Self) -> Result<Self, PathError> {
        match (self.is_root(), below.is_root()) {
            (true, _) => Ok(below.clone()),
            (_, true) => Ok(self.clone()),
            _ => Self::from_bytes(&[&self.0, &b"/"[..], &below.0].concat()),
        }
    }

    /// Whether it is the customer's folder itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// As the file system takes it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its names, from the outermost.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// Its folder and its own name; none for the customer's folder.
    pub fn split(&self) -> Option<(Self, &[u8])> {
        if self.is_root() {
            return None;
        }
        let at = self.0.iter().rposition(|byte| *byte == b'/');
        Some(match at {
            Some(at) => (Self(self.0[..at].to_vec()), &self.0[at + 1..]),
            None => (Self::root(), &self.0),
        })
    }

    /// Whether this is `folder`, or lies in it.
    pub fn is_within(&self, folder: &Self) -> bool {
        folder.is_root()
            || self.0.strip_prefix(&folder.0[..]).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// The path as seen from `folder`, which it has to lie in.
    pub fn below(&self, folder: &Self) -> Option<Self> {
        let inside = self.is_within(folder).then(|| &self.0[folder.0.len()..])?;
        Some(Self(inside.strip_prefix(b"/").unwrap_or(inside).to_vec()))
    }
}

/// Its text, as [`FilePath::parse`] takes it.
impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0 {
            match byte {
                b'%' => f.write_str("%25")?,
                0x20..0x7F => write!(f, "{}", char::from(*byte))?,
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

/// Whether a folder entry can be part of a path, and is not the agent's own.
pub fn check_name(name: &[u8]) -> Result<(), PathError> {
    match name {
        b"" => Err(PathError::Empty),
        b"." | b".." => Err(PathError::Dots),
        _ if name.contains(&0) || name.contains(&b'/') => Err(PathError::Forbidden),
        _ if name.len() > MAX_NAME_BYTES => Err(PathError::NameTooLong),
        _ if name.starts_with(RESERVED_PREFIX.as_bytes()) => Err(PathError::Reserved),
        _ => Ok(()),
    }
}

/// The byte of an escape: only for what is not written as it is, so that there is one spelling. A NUL or a slash is
/// refused here already, and an encoded dot is no dot.
fn escaped(high: Option<u8>, low: Option<u8>) -> Result<u8, PathError> {
    let digit = |digit: Option<u8>| match digit {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        _ => Err(PathError::Escape),
    };
    match digit(high)? << 4 | digit(low)? {
        0 => Err(PathError::Forbidden),
        b'%' => Ok(b'%'),
        0x20..0x7F => Err(PathError::Escape),
        byte => Ok(byte),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_a_path_is_refused_with_its_reason() {
        let (name, path) = ("x".repeat(256), format!("{}x", "abc/".repeat(1_024)));
        let deep = format!("{}x", "a/".repeat(128));
        for (text, expected) in [
            ("/etc/passwd", PathError::Absolute),
            ("//etc", PathError::Absolute),
            ("a//b", PathError::Empty),
            ("a/", PathError::Empty),
            ("..", PathError::Dots),
            ("../a", PathError::Dots),
            ("a/../../b", PathError::Dots),
            ("a/..", PathError::Dots),
            (".", PathError::Dots),
            ("a/./b", PathError::Dots),
            ("%2e%2e/a", PathError::Escape),
            ("%2E%2E/a", PathError::Escape),
            ("a%2Fb", PathError::Escape),
            ("a%2fb", PathError::Escape),
            ("%41", PathError::Escape),
            ("%c3%b6", PathError::Escape),
            ("%", PathError::Escape),
            ("%2", PathError::Escape),
            ("%zz", PathError::Escape),
            ("a%00b", PathError::Forbidden),
            ("a\0b", PathError::Control),
            ("a\nb", PathError::Control),
            (name.as_str(), PathError::NameTooLong),
            (path.as_str(), PathError::TooLong),
            (deep.as_str(), PathError::TooDeep),
            (".zlh-tmp/1", PathError::Reserved),
            ("a/.zlh-files", PathError::Reserved),
        ] {
            assert_eq!(FilePath::parse(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn odd_names_have_one_spelling() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("world/level.dat", b"world/level.dat"),
            ("a b", b"a b"),
            ("..a/b..", b"..a/b.."),
            ("...", b"..."),
            ("a\\b", b"a\\b"),
            ("w%C3%B6rld", "wörld".as_bytes()),
            ("%FF%FE", b"\xFF\xFE"),
            ("100%25", b"100%"),
            ("%252e%252e", b"%2e%2e"),
            ("line%0Afeed", b"line\nfeed"),
        ] {
            let path = FilePath::parse(text).unwrap();
            assert_eq!((path.as_bytes(), path.to_string().as_str()), (bytes, text));
        }
        assert_eq!(FilePath::parse("wörld").unwrap().to_string(), "w%C3%B6rld");
    }

    #[test]
    fn folders_and_what_lies_in_them_are_told_apart() {
        let path = |text| FilePath::parse(text).unwrap();
        assert!(path("a/b").is_within(&path("a")) && path("a").is_within(&path("a")));
        assert!(!path("ab").is_within(&path("a")) && path("ab").is_within(&path("")));
        assert_eq!(path("a/b/c").below(&path("a")), Some(path("b/c")));
        assert_eq!(path("a/b/c").split(), Some((path("a/b"), &b"c"[..])));
        assert_eq!(path("a").split(), Some((path(""), &b"a"[..])));
        assert_eq!(path("a").append(&path("b/c")), Ok(path("a/b/c")));
    }

    proptest! {
        #[test]
        fn every_name_that_a_folder_can_hold_comes_back(
            names in prop::collection::vec(prop::collection::vec(1_u8..=255, 1..40), 1..8)
        ) {
            let bytes = names.join(&b'/');
            if let Ok(path) = FilePath::from_bytes(&bytes) {
                let text = path.to_string();
                prop_assert!(text.bytes().all(|byte| (0x20..0x7F).contains(&byte)));
                prop_assert_eq!(FilePath::parse(&text), Ok(path));
            }
        }

        #[test]
        fn whatever_is_sent_names_nothing_above_the_folder(text in "[./%\\\\0-9A-Fa-f\u{0}\n ö．]{0,40}") {
            if let Ok(path) = FilePath::parse(&text) {
                prop_assert!(!path.as_bytes().starts_with(b"/") && !path.as_bytes().contains(&0));
                prop_assert!(path.components().all(|name| check_name(name).is_ok()));
                prop_assert_eq!(path.components().collect::<Vec<_>>().join(&b'/'), path.as_bytes());
                prop_assert_eq!(FilePath::parse(&path.to_string()), Ok(path));
            }
        }
    }
}
