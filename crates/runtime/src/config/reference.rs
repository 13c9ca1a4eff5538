//! The machine-readable description of a configuration, from which the reference in `docs/` is written.

use std::{collections::BTreeSet, fmt::Write as _};

use serde::{Serialize, de::DeserializeOwned};

use super::{Config, DaemonConfig, Key, Kind, Section, Sources, collect::collect, load::shown};

/// A section as the reference shows it.
#[derive(Debug, Clone, Serialize)]
pub struct SectionReference {
    /// The table's name.
    pub name: String,
    /// Its keys.
    pub keys: Vec<KeyReference>,
}

/// A key as the reference shows it.
#[derive(Debug, Clone, Serialize)]
pub struct KeyReference {
    /// The key's name.
    pub name: String,
    /// What it takes.
    pub kind: String,
    /// The default in TOML notation; nothing where there is none.
    pub default: Option<String>,
    /// The environment variable that sets it.
    pub environment: String,
    /// What it is for.
    pub doc: String,
    /// Whether it is never shown and may come as `<key>_file` or as a credential.
    pub secret: bool,
}

/// Describes every section of the daemon whose own configuration is `C`.
pub fn reference<C: Config>() -> Vec<SectionReference> {
    let defaults = DaemonConfig::<C>::default();
    let collected = collect(&defaults, &Sources::none(""));
    let describe = |section: &dyn Section| SectionReference {
        name: section.name().to_owned(),
        keys: section
            .keys()
            .iter()
            .map(|key| KeyReference {
                name: key.name.to_owned(),
                kind: key.kind.to_string(),
                default: collected
                    .last(section.name(), key.name)
                    .and_then(|setting| shown(key, &setting.value)),
                environment: format!("ZLH_{}__{}", section.name(), key.name).to_uppercase(),
                doc: key.doc.to_owned(),
                secret: key.kind == Kind::Secret,
            })
            .collect(),
    };
    defaults.sections().into_iter().map(describe).collect()
}

/// The reference of one daemon as Markdown.
pub fn markdown(daemon: &str, sections: &[SectionReference]) -> String {
    let mut text = format!("# Configuration of {daemon}\n");
    for section in sections {
        let _ = write!(
            text,
            "\n## `[{}]`\n\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n",
            section.name
        );
        for key in &section.keys {
            let default = key.default.as_ref().map_or("–".to_owned(), |value| format!("`{value}`"));
            let kind = key.kind.replace('|', "\\|");
            let _ = writeln!(text, "| `{}` | {kind} | {default} | {} |", key.name, key.doc);
        }
    }
    text
}

/// For tests: fails unless the section's table of keys and its struct agree.
///
/// # Panics
/// When a key is missing on either side.
pub fn assert_described<S: Section + Serialize + DeserializeOwned + Default>() {
    let section = S::default();
    let serialized = serde_json::to_value(&section).expect("a section serialises");
    let fields: BTreeSet<_> = serialized.as_object().expect("a section is a table").keys().cloned().collect();
    let (secret, open): (Vec<&Key>, Vec<&Key>) =
        section.keys().iter().partition(|key| key.kind == Kind::Secret);
    let described: BTreeSet<_> = open.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(fields, described, "section {}: struct (left) and table (right) differ", section.name());
    for key in secret {
        let value = serde_json::json!({ key.name: "x" });
        assert!(
            serde_json::from_value::<S>(value).is_ok(),
            "section {}: the struct has no secret {}",
            section.name(),
            key.name
        );
    }
}
