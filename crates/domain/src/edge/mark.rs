//! The mark by which ours are told from others': `zlh:{installation}:{instance}`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::InstanceId;

/// Longest name of an installation, in bytes. With it a mark has at most 74 bytes; Cloudflare takes 100 on free zones.
const MAX_INSTALLATION: usize = 32;

/// Which control plane something is of. Two that share a zone have different ones, and leave alone what is the other's: a copy
/// of the database is not the same installation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Installation(String);

/// Why a mark cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    /// The installation's name has something else in it.
    #[error("an installation is called by 1 to {MAX_INSTALLATION} lower-case letters, digits and hyphens")]
    Installation,
}

impl Installation {
    /// Checks the name of an installation.
    pub fn parse(text: &str) -> Result<Self, MarkError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=MAX_INSTALLATION).contains(&text.len()) || !text.bytes().all(plain) {
            return Err(MarkError::Installation);
        }
        Ok(Self(text.to_owned()))
    }

    /// The mark of one of its instances.
    pub fn mark(&self, instance: InstanceId) -> Mark {
        Mark { installation: self.clone(), instance }
    }

    /// Whose something with this comment is: an instance of this installation, or nobody that we know.
    pub fn owner(&self, comment: &str) -> super::Owner {
        match Mark::parse(comment) {
            Some(mark) if mark.installation == *self => super::Owner::Instance(mark.instance),
            _ => super::Owner::Foreign,
        }
    }
}

impl TryFrom<String> for Installation {
    type Error = MarkError;

    fn try_from(text: String) -> Result<Self, MarkError> {
        Self::parse(&text)
    }
}

impl From<Installation> for String {
    fn from(it: Installation) -> Self {
        it.0
    }
}

impl fmt::Display for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// On everything that is made outside for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    installation: Installation,
    instance: InstanceId,
}

impl Mark {
    /// Reads a comment; `None` if it is none of ours.
    fn parse(comment: &str) -> Option<Self> {
        let (installation, instance) = comment.trim().strip_prefix("zlh:")?.split_once(':')?;
        Some(Self { installation: Installation::parse(installation).ok()?, instance: instance.parse().ok()? })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zlh:{}:{}", self.installation, self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::Owner;

    #[test]
    fn a_mark_names_installation_and_instance_and_nothing_else_is_one() {
        let (ours, theirs) =
            (Installation::parse("prod-eu").unwrap(), Installation::parse("staging").unwrap());
        let instance = InstanceId::generate();
        let mark = ours.mark(instance).to_string();
        assert_eq!(ours.owner(&mark), Owner::Instance(instance));
        assert_eq!(theirs.owner(&mark), Owner::Foreign);
        for foreign in ["", "zlh", "zlh:prod-eu:", "zlh:prod-eu:demo", &format!("{mark} and more"), "by hand"]
        {
            assert_eq!(ours.owner(foreign), Owner::Foreign, "{foreign}");
        }
    }

    #[test]
    fn the_longest_mark_fits_the_shortest_comment_that_a_provider_takes() {
        let longest = Installation::parse(&"a".repeat(MAX_INSTALLATION)).unwrap();
        assert!(longest.mark(InstanceId::generate()).to_string().len() <= 100);
        for wrong in ["", "Prod", "a:b", &"a".repeat(MAX_INSTALLATION + 1)] {
            Installation::parse(wrong).unwrap_err();
        }
    }
}
