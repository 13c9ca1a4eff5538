//! Names that customers choose: rules, and how a hostname is made from one.

use crate::text::has_hidden;

/// Longest display name, in characters.
pub const MAX_NAME_CHARS: usize = 48;

/// Longest hostname label that we hand out; leaves room for a suffix within DNS's 63 bytes (RFC 1035).
pub const MAX_HOSTNAME_BYTES: usize = 40;

/// Labels that would be mistaken for us.
const RESERVED: &[&str] = &[
    "admin",
    "agent",
    "api",
    "billing",
    "console",
    "ide",
    "localhost",
    "mail",
    "node",
    "ns",
    "operator",
    "panel",
    "play",
    "portal",
    "proxy",
    "root",
    "status",
    "support",
    "www",
    "zlh",
];

/// Why a name is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but white space.
    #[error("a name needs at least one letter or digit")]
    Empty,
    /// Too long.
    #[error("a name has at most {MAX_NAME_CHARS} characters")]
    TooLong,
    /// Something that nobody sees, or spaces at an end.
    #[error("a name has no invisible characters and no space at its ends")]
    BadCharacter,
    /// Not a DNS label of ours.
    #[error(
        "a hostname has 3 to {MAX_HOSTNAME_BYTES} lower-case letters, digits and single hyphens, beginning and ending with a letter or digit"
    )]
    BadHostname,
    /// Reserved.
    #[error("this hostname is reserved")]
    Reserved,
}

/// Checks a display name.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if !name.chars().any(char::is_alphanumeric) {
        return Err(NameError::Empty);
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(NameError::TooLong);
    }
    if name.trim() != name || has_hidden(name) {
        return Err(NameError::BadCharacter);
    }
    Ok(())
}

/// Checks a hostname label.
pub fn check_hostname(label: &str) -> Result<(), NameError> {
    let bytes = label.as_bytes();
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let shaped = (3..=MAX_HOSTNAME_BYTES).contains(&bytes.len())
        && bytes.iter().all(|b| plain(b) || *b == b'-')
        && bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
        && !label.contains("--");
    if !shaped {
        return Err(NameError::BadHostname);
    }
    if RESERVED.contains(&label) {
        return Err(NameError::Reserved);
    }
    Ok(())
}

/// A hostname made from a display name, always valid; `suffix` (letters and digits) makes it unique.
pub fn hostname_from(name: &str, suffix: &str) -> String {
    let mut label = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => label.push(c),
            _ if !label.is_empty() && !label.ends_with('-') => label.push('-'),
            _ => {}
        }
    }
    label.truncate(MAX_HOSTNAME_BYTES - suffix.len().min(16) - 1);
    let label = label.trim_end_matches('-');
    match label {
        "" => format!("server-{suffix}"),
        _ => format!("{label}-{suffix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_use_are_accepted() {
        for name in ["A", "Mum's server", "Überwelt №1", "日本", "Cats 🐈\u{200D}⬛"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_deceive_are_refused() {
        for name in
            ["", "   ", " a", "a\n", "a\0", "a\u{202E}b", "a\u{61C}", "a\u{200B}", "---", &"x".repeat(49)]
        {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn hostnames_are_dns_labels_and_not_ours() {
        for good in ["abc", "my-server-1", "0ad"] {
            assert_eq!(check_hostname(good), Ok(()));
        }
        for bad in ["ab", "-abc", "abc-", "a--b", "Abc", "a.b", "ä-server", "api", &"x".repeat(41)] {
            assert!(check_hostname(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_derived_hostname_is_always_valid(name in ".{0,80}") {
            proptest::prop_assert_eq!(check_hostname(&hostname_from(&name, "k3x9")), Ok(()));
        }
    }
}
