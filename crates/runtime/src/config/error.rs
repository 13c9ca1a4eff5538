//! What can be wrong with a configuration. Every message names the key and where its value came from, never a secret.

use std::fmt;

use super::Source;

/// Everything that is wrong with a configuration, so that one run of `check-config` shows all of it.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is not usable:{}", list(.problems))]
pub struct ConfigError {
    /// At least one problem.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`, or empty where a whole source is unreadable.
    pub key: String,
    /// Where the value came from.
    pub source: Source,
    /// What is wrong.
    pub reason: String,
}

impl Problem {
    pub(super) fn new(key: impl Into<String>, source: Source, reason: impl Into<String>) -> Self {
        Self { key: key.into(), source, reason: reason.into() }
    }

    /// A source that cannot be read at all.
    pub(super) fn unreadable(source: Source, reason: impl Into<String>) -> Self {
        Self::new("", source, reason)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.source, self.reason)
        } else {
            write!(f, "{}: {} (from {})", self.key, self.reason, self.source)
        }
    }
}

fn list(problems: &[Problem]) -> String {
    use fmt::Write as _;
    problems.iter().fold(String::new(), |mut text, problem| {
        let _ = write!(text, "\n  {problem}");
        text
    })
}
