//! Gathers the settings of every source, in the order of precedence, each with the place it came from.

use std::{fs, io, path::Path};

use figment::value::{Dict, Value};
use serde::Serialize;

use super::{Config, DaemonConfig, Key, Kind, Problem, Section, Source, Sources};

/// One value for one key, from one source.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) section: &'static str,
    pub(super) key: &'static Key,
    pub(super) value: Value,
    pub(super) source: Source,
}

/// A value as a source gives it.
enum Raw {
    /// TOML knows its type.
    Typed(Value),
    /// The environment and credentials know only text.
    Text(String),
}

/// What was found so far. Later settings win over earlier ones.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) settings: Vec<Setting>,
    pub(super) problems: Vec<Problem>,
    /// Tables of the file that belong to other daemons, or to nobody.
    pub(super) ignored: Vec<String>,
    schema: Vec<(&'static str, &'static [Key])>,
    layer_start: usize,
}

/// Reads every source for the configuration `defaults` is a value of.
pub(super) fn collect<C: Config>(defaults: &DaemonConfig<C>, sources: &Sources) -> Collected {
    let mut collected = Collected {
        schema: defaults
            .sections()
            .into_iter()
            .map(|section: &dyn Section| (section.name(), section.keys()))
            .collect(),
        ..Collected::default()
    };
    collected.add_defaults(&defaults.own);
    collected.add_defaults(&defaults.common);
    if let Some(file) = &sources.file {
        collected.add_file(&file.path, file.required, &sources.daemon);
    }
    collected.add_environment(&sources.environment);
    if let Some(folder) = &sources.credentials {
        collected.add_credentials(folder);
    }
    collected
}

impl Collected {
    /// The setting that is in force.
    pub(super) fn last(&self, section: &str, key: &str) -> Option<&Setting> {
        self.settings.iter().rfind(|setting| setting.section == section && setting.key.name == key)
    }

    fn add_defaults(&mut self, defaults: &impl Serialize) {
        match Value::serialize(defaults).map(Value::into_dict) {
            Ok(Some(tables)) => self.offer_tables(tables, &Source::Default),
            _ => self
                .problems
                .push(Problem::unreadable(Source::Default, "the defaults are not a table of sections")),
        }
    }

    fn add_file(&mut self, path: &Path, required: bool, daemon: &str) {
        let source = Source::File(path.to_owned());
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => return,
            Err(error) => return self.problems.push(Problem::unreadable(source, error.to_string())),
        };
        match parse_toml(&text) {
            Ok(mut tables) => {
                let own = tables.remove(daemon).and_then(Value::into_dict).unwrap_or_default();
                self.offer_tables(tables, &source);
                self.refuse_unknown(&own, daemon, &source);
                self.offer_tables(own, &source);
            }
            Err(reason) => self.problems.push(Problem::unreadable(source, reason)),
        }
    }

    /// Below the daemon's own name, a section that it does not know is nobody else's either.
    fn refuse_unknown(&mut self, tables: &Dict, daemon: &str, source: &Source) {
        let unknown: Vec<_> = tables.keys().filter(|section| !self.knows(section)).collect();
        for section in unknown {
            let reason = format!("unknown section; {daemon} has {}", self.section_names());
            self.problems.push(Problem::new(format!("{daemon}.{section}"), source.clone(), reason));
        }
    }

    fn knows(&self, section: &str) -> bool {
        self.schema.iter().any(|(known, _)| *known == section)
    }

    fn section_names(&self) -> String {
        let names: Vec<_> = self.schema.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    fn add_environment(&mut self, environment: &[(String, String)]) {
        self.layer_start = self.settings.len();
        for (name, value) in environment {
            let Some((section, key)) = name.strip_prefix("ZLH_").and_then(|rest| rest.split_once("__"))
            else {
                continue;
            };
            self.offer(
                &section.to_lowercase(),
                &key.to_lowercase(),
                Raw::Text(value.clone()),
                Source::Environment(name.clone()),
            );
        }
    }

    fn add_credentials(&mut self, folder: &Path) {
        self.layer_start = self.settings.len();
        let source = Source::Credential(folder.to_owned());
        let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => return self.problems.push(Problem::unreadable(source, error.to_string())),
        };
        for entry in entries {
            let name = entry.file_name();
            let Some((section, key)) = name.to_str().and_then(|name| name.split_once('.')) else {
                continue;
            };
            if !self.knows(section) {
                continue;
            }
            let source = Source::Credential(entry.path());
            match read_secret(&entry.path()) {
                Ok(text) => self.offer(section, key, Raw::Text(text), source),
                Err(reason) => self.problems.push(Problem::new(format!("{section}.{key}"), source, reason)),
            }
        }
    }

    /// Offers all tables of one layer.
    fn offer_tables(&mut self, tables: Dict, source: &Source) {
        self.layer_start = self.settings.len();
        for (section, table) in tables {
            if !self.knows(&section) {
                self.ignored.push(section);
                continue;
            }
            let Some(table) = table.into_dict() else {
                let problem = Problem::new(section, source.clone(), "this is a section and must be a table");
                self.problems.push(problem);
                continue;
            };
            for (key, value) in table {
                self.offer(&section, &key, Raw::Typed(value), source.clone());
            }
        }
    }

    /// Takes a value for a known key, ignores other daemons' sections, and complains about anything else.
    fn offer(&mut self, section: &str, name: &str, raw: Raw, source: Source) {
        let Some(&(section, keys)) = self.schema.iter().find(|(known, _)| *known == section) else {
            return;
        };
        if let Some(key) = keys.iter().find(|key| key.name == name) {
            return self.accept(section, key, raw.for_kind(key.kind), source);
        }
        let behind_file = name
            .strip_suffix("_file")
            .and_then(|name| keys.iter().find(|key| key.name == name && key.kind == Kind::Secret));
        let Some(key) = behind_file else {
            let known: Vec<_> = keys.iter().map(|key| key.name).collect();
            let reason = format!("unknown key; the section {section} has {}", known.join(", "));
            return self.problems.push(Problem::new(format!("{section}.{name}"), source, reason));
        };
        match raw.into_path().and_then(|path| Ok((read_secret(Path::new(&path))?, path))) {
            Ok((text, path)) => {
                let source = Source::SecretFile { path: path.into(), named_by: Box::new(source) };
                self.accept(section, key, Value::from(text), source);
            }
            Err(reason) => self.problems.push(Problem::new(format!("{section}.{name}"), source, reason)),
        }
    }

    fn accept(&mut self, section: &'static str, key: &'static Key, value: Value, source: Source) {
        let given_twice = self.settings[self.layer_start..]
            .iter()
            .any(|other| other.section == section && other.key.name == key.name);
        if given_twice {
            let reason = format!("given both directly and as {}_file; keep one", key.name);
            self.problems.push(Problem::new(format!("{section}.{}", key.name), source, reason));
        } else {
            self.settings.push(Setting { section, key, value, source });
        }
    }
}

impl Raw {
    /// Text stays text for a textual key, and is read as a TOML value for any other.
    fn for_kind(self, kind: Kind) -> Value {
        match self {
            Self::Typed(value) => value,
            Self::Text(text) if kind.is_text() => Value::from(text),
            Self::Text(text) => parse_toml(&format!("value = {text}"))
                .ok()
                .and_then(|mut table| table.remove("value"))
                .unwrap_or_else(|| Value::from(text)),
        }
    }

    fn into_path(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Typed(value) => value.into_string().ok_or_else(|| "this must be a path".to_owned()),
        }
    }
}

/// Parses TOML. The message has the line but not its text, which may hold a secret.
fn parse_toml(text: &str) -> Result<Dict, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        format!("not valid TOML at line {line}: {}", error.message())
    })?;
    Value::serialize(table)
        .map_err(|error| error.to_string())?
        .into_dict()
        .ok_or_else(|| "not a table".to_owned())
}

fn read_secret(path: &Path) -> Result<String, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(text.trim().to_owned())
}
