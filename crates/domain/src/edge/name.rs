//! Names as DNS compares them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest name, in bytes, and longest label (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A name, in the one form in which DNS compares it: lower case, ASCII (IDNA), without the dot at the end. Names that mean
/// the same are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(String);

/// What is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name of DNS")]
pub struct DnsNameError(String);

impl DnsName {
    /// Reads a name in any case, with or without the dot at the end, in Unicode or in punycode.
    pub fn parse(text: &str) -> Result<Self, DnsNameError> {
        let refused = || DnsNameError(text.chars().take(MAX_NAME).collect());
        let ascii = idna::domain_to_ascii(text.trim_end_matches('.')).map_err(|_| refused())?;
        let whole = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'*'))
        };
        if ascii.len() > MAX_NAME || !ascii.split('.').all(whole) {
            return Err(refused());
        }
        Ok(Self(ascii))
    }

    /// The name of `label` (one or several) below this one.
    pub fn below(&self, label: &str) -> Result<Self, DnsNameError> {
        Self::parse(&format!("{label}.{}", self.0))
    }

    /// Whether it is that name or one below it.
    pub fn is_within(&self, zone: &Self) -> bool {
        self.0 == zone.0 || self.0.strip_suffix(&zone.0).is_some_and(|rest| rest.ends_with('.'))
    }

    /// Whether it is one label below that name, as servers are named.
    pub fn is_child_of(&self, parent: &Self) -> bool {
        self.0.split_once('.').is_some_and(|(_, rest)| rest == parent.0)
    }

    /// The name, in its one form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DnsName {
    type Error = DnsNameError;

    fn try_from(text: String) -> Result<Self, DnsNameError> {
        Self::parse(&text)
    }
}

impl From<DnsName> for String {
    fn from(name: DnsName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_the_same_are_equal() {
        let name = |text| DnsName::parse(text).unwrap();
        for same in
            ["MÜNCHEN.example.", "münchen.example", "xn--mnchen-3ya.EXAMPLE", "xn--mnchen-3ya.example."]
        {
            assert_eq!(name(same).as_str(), "xn--mnchen-3ya.example");
        }
        assert_eq!(name("_Minecraft._tcp.Demo.example.").as_str(), "_minecraft._tcp.demo.example");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for wrong in ["", ".", "a..b", "a b.example", "a/b", &"a".repeat(64), &["a23456789"; 26].join(".")] {
            assert!(DnsName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_within_its_zone_and_not_within_one_that_only_ends_alike() {
        let [zone, within, alike] =
            ["play.example", "a.play.example", "display.example"].map(|it| DnsName::parse(it).unwrap());
        assert!(within.is_within(&zone) && zone.is_within(&zone));
        assert!(!alike.is_within(&zone) && !zone.is_within(&within));
        assert!(within.is_child_of(&zone) && !zone.is_child_of(&zone) && !alike.is_child_of(&zone));
        assert!(!DnsName::parse("b.a.play.example").unwrap().is_child_of(&zone));
    }
}
