//! Merges what was collected, turns it into the typed configuration, and reports what is in force.

use std::fmt;

use figment::{
    Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};

use super::{
    Config, ConfigError, DaemonConfig, Key, Kind, Problem, Source, Sources,
    collect::{Collected, Setting, collect},
};

/// Reads and validates the configuration from `sources`.
pub fn load<C: Config>(sources: &Sources) -> Result<DaemonConfig<C>, ConfigError> {
    load_with_sources(sources).map(|loaded| loaded.config)
}

/// As [`load`], and keeps where each value came from.
pub fn load_with_sources<C: Config>(sources: &Sources) -> Result<Loaded<C>, ConfigError> {
    let defaults = DaemonConfig::<C>::default();
    let mut collected = collect(&defaults, sources);
    match extract(&merge(&collected.settings)) {
        Ok(config) => {
            let invalid = validate(&config, &collected);
            collected.problems.extend(invalid);
            if collected.problems.is_empty() {
                return Ok(Loaded::new(config, collected));
            }
        }
        Err(errors) => {
            let wrong: Vec<_> = errors.into_iter().map(|error| explain(&error, &collected)).collect();
            collected.problems.extend(wrong);
        }
    }
    Err(ConfigError { problems: collected.problems })
}

/// A configuration and where each of its values came from.
pub struct Loaded<C> {
    /// The typed configuration.
    pub config: DaemonConfig<C>,
    /// Every key of every section.
    pub values: Vec<Effective>,
    /// Tables of the file that this daemon does not know.
    pub ignored: Vec<String>,
}

/// One key as it is in force.
pub struct Effective {
    /// The section's name.
    pub section: &'static str,
    /// The key's name.
    pub key: &'static str,
    /// The value in TOML notation, `"[secret]"` for a secret, or nothing where it is not set.
    pub value: Option<String>,
    /// Where it came from.
    pub source: Source,
}

impl<C: Config> Loaded<C> {
    fn new(config: DaemonConfig<C>, collected: Collected) -> Self {
        let mut values = Vec::new();
        for section in config.sections() {
            for key in section.keys() {
                let setting = collected.last(section.name(), key.name);
                values.push(Effective {
                    section: section.name(),
                    key: key.name,
                    value: setting.and_then(|setting| shown(key, &setting.value)),
                    source: setting.map_or(Source::Default, |setting| setting.source.clone()),
                });
            }
        }
        Self { config, values, ignored: collected.ignored }
    }
}

/// The configuration as TOML with each value's source in a comment; what `check-config` prints.
impl<C> fmt::Display for Loaded<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = "";
        for line in &self.values {
            if line.section != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                section = line.section;
                writeln!(f, "{gap}[{section}]")?;
            }
            match &line.value {
                Some(value) => writeln!(f, "{} = {value}  # {}", line.key, line.source)?,
                None => writeln!(f, "# {} is not set", line.key)?,
            }
        }
        if !self.ignored.is_empty() {
            writeln!(f, "\n# not for this daemon: {}", self.ignored.join(", "))?;
        }
        Ok(())
    }
}

/// How a value is shown to a person: as TOML, a secret not at all.
pub(super) fn shown(key: &Key, value: &Value) -> Option<String> {
    if key.kind == Kind::Secret {
        return Some("\"[secret]\"".to_owned());
    }
    toml::Value::try_from(value).ok().map(|value| value.to_string())
}

/// What is the daemon's own and what is common are read one by one: of `#[serde(flatten)]`, errors would not name their
/// key.
fn extract<C: Config>(merged: &Figment) -> Result<DaemonConfig<C>, Box<figment::Error>> {
    match (merged.extract::<C>(), merged.extract()) {
        (Ok(own), Ok(common)) => Ok(DaemonConfig { own, common }),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(Box::new(error)),
        (Err(own), Err(common)) => Err(Box::new(own.chain(common))),
    }
}

fn merge(settings: &[Setting]) -> Figment {
    settings.iter().fold(Figment::new(), Figment::merge)
}

/// Each setting is a provider of its own, so that figment's errors lead back to it.
impl Provider for &Setting {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let table = Dict::from([(self.key.name.to_owned(), self.value.clone())]);
        Ok(Profile::Default.collect(Dict::from([(self.section.to_owned(), Value::from(table))])))
    }
}

fn validate<C: Config>(config: &DaemonConfig<C>, collected: &Collected) -> Vec<Problem> {
    let wrong = |section: &dyn super::Section| {
        let invalid = section.validate().err()?;
        let source = collected
            .last(section.name(), invalid.key)
            .map_or(Source::Default, |setting| setting.source.clone());
        Some(Problem::new(format!("{}.{}", section.name(), invalid.key), source, invalid.reason))
    };
    config.sections().into_iter().filter_map(wrong).collect()
}

/// Puts figment's error into our words: key, source, and no secret.
fn explain(error: &figment::Error, collected: &Collected) -> Problem {
    let setting = match error.path.as_slice() {
        [section, key, ..] => collected.last(section, key),
        _ => None,
    };
    let source = setting.map_or(Source::Default, |setting| setting.source.clone());
    let reason = match setting {
        Some(setting) if setting.key.kind == Kind::Secret => {
            "this must be text (it is secret and not shown)".to_owned()
        }
        _ => error.kind.to_string(),
    };
    Problem::new(error.path.join("."), source, reason)
}
