//! Typed configuration: defaults, then a TOML file, then `ZLH_…` variables, then the credentials directory.
//!
//! A daemon composes its own [`Config`] out of [`Section`]s: a field per section, named as the section is; what every
//! daemon has is [`Common`]. All daemons
//! may share one file: a section that a daemon does not know is somebody else's and is ignored, an unknown key in a
//! section that it does know is an error. A table named after the daemon (`[zpack-api.health]`) overrides the shared
//! section for that daemon alone.

mod collect;
mod common;
mod error;
mod listen;
mod load;
mod reference;
pub mod sections;
mod source;

pub use common::{Common, DaemonConfig};
pub use error::{ConfigError, Problem};
pub use listen::Listen;
pub use load::{Effective, Loaded, load, load_with_sources};
pub use reference::{KeyReference, SectionReference, assert_described, markdown, reference};
pub use sections::{
    AgentSection, ArtifactsSection, CatalogueSection, DatabaseSection, DiscordSection, EdgeSection,
    HealthSection, LogFormat, LoggingSection, MailSection, MailTls, ObjectsKind, ObjectsSection,
    ProcessSection, RedisSection, StripeSection,
};
pub use source::{DEFAULT_FILE, Source, Sources};

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

/// The configuration that is one daemon's own, besides what [every daemon has](Common).
///
/// Derive it with `#[serde(default)]`; do not deny unknown fields here, they are the sections of other daemons.
pub trait Config: Serialize + DeserializeOwned + Default + fmt::Debug + Send + Sync + 'static {
    /// Every section of its own.
    fn sections(&self) -> Vec<&dyn Section>;

    /// The common sections as they are for this daemon unless something else is configured.
    fn common() -> Common {
        Common::default()
    }
}

/// One table of the configuration file.
///
/// Derive with `#[serde(default, deny_unknown_fields)]`; secrets are `SecretString` with `#[serde(skip_serializing)]`.
pub trait Section {
    /// The table's name in the file.
    fn name(&self) -> &'static str;
    /// The keys, in the order of the struct. [`assert_described`] checks that they agree with it.
    fn keys(&self) -> &'static [Key];
    /// Whether the values make sense. A message about a secret must not contain it.
    fn validate(&self) -> Result<(), Invalid>;
}

/// One key of a section, as the configuration reference shows it.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key's name in the file.
    pub name: &'static str,
    /// What kind of value it takes.
    pub kind: Kind,
    /// One or two sentences for an operator, with the unit.
    pub doc: &'static str,
}

impl Key {
    /// A key of that name, kind and explanation.
    pub const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, doc }
    }
}

/// The kind of a value. It decides how text from the environment is read, and what is never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that is never shown, and may also be given as `<key>_file`.
    Secret,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// `host:port` with a literal address.
    Address,
    /// An address, or the path of a Unix socket.
    Listen,
    /// A path of a file or folder.
    Path,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list, in TOML notation where the environment gives it.
    List,
    /// A table of its own shape, in TOML notation where the environment gives it.
    Table,
}

impl Kind {
    /// Whether a value from the environment is taken literally instead of being read as a TOML value.
    fn is_text(self) -> bool {
        matches!(
            self,
            Self::Text | Self::Secret | Self::Choice(_) | Self::Address | Self::Listen | Self::Path
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Text => "text",
            Self::Secret => "secret",
            Self::Choice(words) => return f.write_str(&words.join(" | ")),
            Self::Address => "address:port",
            Self::Listen => "address:port | unix:/path",
            Self::Path => "path",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "true | false",
            Self::List => "list",
            Self::Table => "table",
        };
        f.write_str(word)
    }
}

/// A value that has the right type and still makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Invalid {
    /// The key within the section.
    pub key: &'static str,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl Invalid {
    /// Says that `key` is wrong because of `reason`.
    pub fn new(key: &'static str, reason: impl Into<String>) -> Self {
        Self { key, reason: reason.into() }
    }

    /// Fails unless `value` lies within `range`.
    pub fn unless_within<T>(
        key: &'static str,
        value: T,
        range: std::ops::RangeInclusive<T>,
    ) -> Result<(), Self>
    where
        T: PartialOrd + fmt::Display + Copy,
    {
        if range.contains(&value) {
            return Ok(());
        }
        Err(Self::new(key, format!("{value} is not between {} and {}", range.start(), range.end())))
    }

    /// Fails unless `value` is an address of HTTP.
    pub fn unless_http_address(key: &'static str, value: &str) -> Result<(), Self> {
        let known = ["http://", "https://"].iter().any(|scheme| value.starts_with(scheme));
        if known { Ok(()) } else { Err(Self::new(key, "must begin with http:// or https://")) }
    }
}
