//! What makes a blueprint file acceptable. Every message names the place, since its reader wrote the file.

use std::collections::{BTreeMap, BTreeSet};

use super::{Blueprint, InstallTemplate, ProbeTemplate, RenderInput, ResolvedArtifact, Variant};
use crate::{
    agent::limits,
    instance::{AGENT_PORT, AllocatedPort, InstanceKind},
};

/// Why a blueprint file is refused.
#[derive(Debug, thiserror::Error)]
pub enum BlueprintError {
    /// Not TOML of this shape.
    #[error("not a blueprint: {0}")]
    Shape(#[from] toml::de::Error),
    /// Well-formed, but wrong.
    #[error("{place}: {what}")]
    Invalid {
        /// Where in the file.
        place: String,
        /// What is wrong.
        what: String,
    },
}

fn invalid<T>(place: impl Into<String>, what: impl Into<String>) -> Result<T, BlueprintError> {
    Err(BlueprintError::Invalid { place: place.into(), what: what.into() })
}

impl Blueprint {
    pub(super) fn validate(&self) -> Result<(), BlueprintError> {
        check_id("id", &self.id)?;
        if self.name.trim().is_empty() || self.summary.trim().is_empty() {
            return invalid("name, summary", "may not be empty");
        }
        if self.min_memory_mib == 0 {
            return invalid("min_memory_mib", "must be above zero");
        }
        self.check_ports()?;
        if self.variants.is_empty() {
            return invalid("variants", "a blueprint needs at least one");
        }
        check_unique("variants", self.variants.iter().map(|variant| variant.id.as_str()))?;
        self.variants.iter().try_for_each(|variant| self.check_variant(variant))
    }

    fn check_ports(&self) -> Result<(), BlueprintError> {
        if self.ports.is_empty() && self.kind == InstanceKind::Game {
            return invalid("ports", "a game needs at least one, the one that players use");
        }
        for port in &self.ports {
            check_id("ports", &port.name)?;
            if port.name == AGENT_PORT {
                return invalid("ports", "the name \"agent\" is the agent's own");
            }
            if let Some(service) = &port.service {
                check_id("ports.service", service)?;
            }
        }
        check_unique("ports", self.ports.iter().map(|port| port.name.as_str()))
    }

    /// A workspace without an IDE cannot be opened, and nobody would reach a game's.
    fn check_ide(&self, place: &str, variant: &Variant) -> Result<(), BlueprintError> {
        let run = &variant.run;
        let has = run.argv.iter().chain(run.env.values()).any(|text| text.contains("{{ide_socket}}"));
        match self.kind {
            InstanceKind::Dev if !has => {
                invalid(format!("{place}.run"), "a workspace's IDE listens on {{ide_socket}}")
            }
            InstanceKind::Game if has => {
                invalid(format!("{place}.run"), "only a workspace has {{ide_socket}}")
            }
            _ => Ok(()),
        }
    }

    fn check_variant(&self, variant: &Variant) -> Result<(), BlueprintError> {
        let place = format!("variants.{}", variant.id);
        check_id(&place, &variant.id)?;
        if variant.versions.is_empty() && variant.artifacts().next().is_none() {
            return invalid(place, "without artifacts the versions must be listed");
        }
        if variant.run.argv.first().is_none_or(String::is_empty) {
            return invalid(format!("{place}.run.argv"), "names no program");
        }
        check_seconds(&format!("{place}.ready.deadline_seconds"), variant.ready.deadline_seconds)?;
        check_seconds(&format!("{place}.install_deadline_seconds"), variant.install_deadline_seconds)?;
        for (n, step) in variant.install.iter().enumerate() {
            check_step(&format!("{place}.install[{n}]"), step)?;
        }
        self.check_probe(&place, variant)?;
        self.check_ide(&place, variant)?;
        check_hooks(&place, variant)?;
        self.check_placeholders(&place, variant)
    }

    fn check_probe(&self, place: &str, variant: &Variant) -> Result<(), BlueprintError> {
        let place = format!("{place}.ready.probe");
        if let ProbeTemplate::Log { pattern } = &variant.ready.probe
            && let Err(error) = limits::probe_pattern(pattern)
        {
            return invalid(place, error.to_string());
        }
        match variant.ready.probe.port() {
            Some((name, protocol)) => match self.ports.iter().find(|port| port.name == name) {
                None => invalid(place, format!("there is no port {name:?}")),
                Some(port) if port.protocol != protocol => {
                    invalid(place, format!("asks over {protocol}, but port {name:?} is {}", port.protocol))
                }
                Some(_) => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Renders it once with made-up values: whatever would fail at a customer's create, or be refused by the agent, fails
    /// here.
    fn check_placeholders(&self, place: &str, variant: &Variant) -> Result<(), BlueprintError> {
        let ports: Vec<_> = (self.ports.iter())
            .map(|port| AllocatedPort { name: port.name.clone(), protocol: port.protocol, port: 1 })
            .collect();
        let nowhere = ResolvedArtifact { url: String::new(), sha256: String::new(), size: 0 };
        let artifacts: BTreeMap<_, _> =
            variant.artifacts().map(|file| (file.to_owned(), nowhere.clone())).collect();
        let input = RenderInput {
            variant: &variant.id,
            version: "1.0",
            name: "name",
            hostname: "name",
            memory_mib: self.min_memory_mib,
            disk_mib: 1,
            bind_address: "127.0.0.1",
            ports: &ports,
            artifacts: &artifacts,
        };
        let spec = self.render(&input).map_err(|error| error.to_string());
        spec.and_then(|spec| spec.check_limits()).or_else(|flaw| invalid(place, flaw))
    }
}

fn check_hooks(place: &str, variant: &Variant) -> Result<(), BlueprintError> {
    let place = format!("{place}.backup");
    let hooks = &variant.backup;
    if hooks.before.iter().chain(&hooks.after).any(|line| line.is_empty() || line.contains('\n')) {
        return invalid(place, "a hook is one line");
    }
    let Some(pattern) = &hooks.flushed else { return Ok(()) };
    if let Err(error) = limits::flushed_pattern(pattern) {
        return invalid(place, error.to_string());
    }
    check_seconds(&format!("{place}.flush_seconds"), hooks.flush_seconds)
}

fn check_step(place: &str, step: &InstallTemplate) -> Result<(), BlueprintError> {
    match step {
        InstallTemplate::Artifact { file, path, .. } => {
            if file.is_empty() || file.contains('/') || file.starts_with('.') {
                return invalid(place, format!("{file:?} is not a file name"));
            }
            check_path(place, path)
        }
        InstallTemplate::Write { path, .. } | InstallTemplate::Properties { path, .. } => {
            check_path(place, path)
        }
        InstallTemplate::Run { argv, timeout_seconds } => {
            if argv.first().is_none_or(String::is_empty) {
                return invalid(place, "names no program");
            }
            check_seconds(place, *timeout_seconds)
        }
    }
}

/// A courtesy to the author: the agent refuses such paths in any case, through directory handles.
fn check_path(place: &str, path: &str) -> Result<(), BlueprintError> {
    let inside = !path.is_empty() && !path.starts_with('/') && path.split('/').all(|part| part != "..");
    if inside { Ok(()) } else { invalid(place, format!("{path:?} is not a path inside the data folder")) }
}

fn check_seconds(place: &str, seconds: u64) -> Result<(), BlueprintError> {
    if (1..=3_600).contains(&seconds) { Ok(()) } else { invalid(place, "must be 1 to 3600 seconds") }
}

fn check_id(place: &str, id: &str) -> Result<(), BlueprintError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !id.is_empty() && id.len() <= 40 && id.chars().all(plain) {
        return Ok(());
    }
    invalid(place, format!("{id:?} is not an id (lower-case letters, digits, - and _, at most 40)"))
}

fn check_unique<'a>(place: &str, mut ids: impl Iterator<Item = &'a str>) -> Result<(), BlueprintError> {
    let mut seen = BTreeSet::new();
    match ids.find(|id| !seen.insert(*id)) {
        Some(twice) => invalid(place, format!("{twice:?} is there twice")),
        None => Ok(()),
    }
}
