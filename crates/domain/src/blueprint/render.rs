//! From a blueprint and an instance to the [`ServiceSpec`] that its agent gets.

use std::collections::BTreeMap;

use super::{Blueprint, InstallTemplate, ProbeTemplate, Variant, template::expand};
use crate::{
    agent::{IDE_SOCKET, InstallStep, Probe, ReadySpec, RunSpec, ServiceSpec, StopSpec},
    instance::AllocatedPort,
};

/// What differs between two servers of one blueprint.
#[derive(Clone, Debug)]
pub struct RenderInput<'a> {
    /// Variant id.
    pub variant: &'a str,
    /// Version of the software.
    pub version: &'a str,
    /// The instance's name, for a message of the day.
    pub name: &'a str,
    /// The instance's hostname label.
    pub hostname: &'a str,
    /// The instance's memory in MiB.
    pub memory_mib: u32,
    /// The instance's disk space in MiB.
    pub disk_mib: u32,
    /// Address that the software listens on: loopback where instances share a host, else all of its container's.
    pub bind_address: &'a str,
    /// The instance's ports.
    pub ports: &'a [AllocatedPort],
    /// The artifact files of this variant and version, by name.
    pub artifacts: &'a BTreeMap<String, ResolvedArtifact>,
}

/// Where an artifact file is, and how to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedArtifact {
    /// Where from.
    pub url: String,
    /// SHA-256, hex.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
}

/// Why a spec cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// No such variant.
    #[error("the blueprint has no variant {0:?}")]
    UnknownVariant(String),
    /// The artifact source's manifest lacks a file.
    #[error("the artifact source has no file {0:?} for this version")]
    MissingArtifact(String),
    /// A placeholder that nothing stands for.
    #[error("nothing stands for the placeholder {0:?}")]
    UnknownPlaceholder(String),
    /// A port that the instance does not have.
    #[error("the instance has no port {0:?}")]
    UnknownPort(String),
}

/// Smallest heap that we hand to a program, in MiB.
const MIN_HEAP_MIB: u32 = 256;

impl Blueprint {
    /// What the agent installs and runs. `revision` is this content's digest, so the same input is a no-op.
    pub fn render(&self, input: &RenderInput<'_>) -> Result<ServiceSpec, RenderError> {
        let variant = self
            .variant(input.variant)
            .ok_or_else(|| RenderError::UnknownVariant(input.variant.to_owned()))?;
        let text = |template: &str| self.expand(template, input);
        let mut spec = ServiceSpec {
            revision: String::new(),
            install: variant
                .install
                .iter()
                .map(|step| install(step, input, &text))
                .collect::<Result<_, _>>()?,
            run: run(variant, input, &text)?,
            ready: ReadySpec {
                probe: probe(&variant.ready.probe, input)?,
                deadline_seconds: variant.ready.deadline_seconds,
            },
            disk_limit_bytes: Some(u64::from(input.disk_mib) << 20),
        };
        let bytes = serde_json::to_vec(&spec).unwrap_or_default();
        spec.revision = hex::encode(ring::digest::digest(&ring::digest::SHA256, &bytes));
        Ok(spec)
    }

    fn expand(&self, template: &str, input: &RenderInput<'_>) -> Result<String, RenderError> {
        expand(template, |name| match name {
            "version" => Some(input.version.to_owned()),
            "name" => Some(input.name.to_owned()),
            "name_json" => serde_json::to_string(input.name).ok(),
            "hostname" => Some(input.hostname.to_owned()),
            "bind_address" => Some(input.bind_address.to_owned()),
            // Programs run in the data folder.
            "ide_socket" => Some(format!("../{IDE_SOCKET}")),
            "memory_mib" => Some(input.memory_mib.to_string()),
            "heap_mib" => {
                Some(input.memory_mib.saturating_sub(self.overhead_mib).max(MIN_HEAP_MIB).to_string())
            }
            _ => {
                let port = name.strip_prefix("port.")?;
                input.ports.iter().find(|p| p.name == port).map(|p| p.port.to_string())
            }
        })
        .map_err(RenderError::UnknownPlaceholder)
    }
}

type Text<'t> = &'t dyn Fn(&str) -> Result<String, RenderError>;

fn install(
    step: &InstallTemplate,
    input: &RenderInput<'_>,
    text: Text<'_>,
) -> Result<InstallStep, RenderError> {
    Ok(match step {
        InstallTemplate::Artifact { file, path, unpack } => {
            let found =
                input.artifacts.get(file).ok_or_else(|| RenderError::MissingArtifact(file.clone()))?.clone();
            InstallStep::Download {
                url: found.url,
                sha256: found.sha256,
                size: found.size,
                path: text(path)?,
                unpack: *unpack,
            }
        }
        InstallTemplate::Write { path, content, keep_existing } => {
            InstallStep::Write { path: text(path)?, content: text(content)?, keep_existing: *keep_existing }
        }
        InstallTemplate::Properties { path, set } => {
            let set =
                set.iter().map(|(key, value)| Ok((key.clone(), text(value)?))).collect::<Result<_, _>>()?;
            InstallStep::Properties { path: text(path)?, set }
        }
        InstallTemplate::Run { argv, timeout_seconds } => {
            InstallStep::Run { argv: texts(argv, text)?, timeout_seconds: *timeout_seconds }
        }
    })
}

fn run(variant: &Variant, input: &RenderInput<'_>, text: Text<'_>) -> Result<RunSpec, RenderError> {
    let template = &variant.run;
    Ok(RunSpec {
        argv: texts(&template.argv, text)?,
        runtime: variant.runtime.for_version(input.version),
        env: template
            .env
            .iter()
            .map(|(key, value)| Ok((key.clone(), text(value)?)))
            .collect::<Result<_, _>>()?,
        stop: StopSpec { line: template.stop_line.clone(), grace_seconds: template.stop_grace_seconds },
        console: template.console,
    })
}

fn probe(template: &ProbeTemplate, input: &RenderInput<'_>) -> Result<Probe, RenderError> {
    let number = |name: &str| number(name, input);
    Ok(match template {
        ProbeTemplate::MinecraftPing { port } => Probe::MinecraftPing { port: number(port)? },
        ProbeTemplate::Luanti { port } => Probe::Luanti { port: number(port)? },
        ProbeTemplate::Teeworlds { port } => Probe::Teeworlds { port: number(port)? },
        ProbeTemplate::Tcp { port } => Probe::Tcp { port: number(port)? },
        ProbeTemplate::Log { pattern } => Probe::Log { pattern: pattern.clone() },
    })
}

fn number(name: &str, input: &RenderInput<'_>) -> Result<u16, RenderError> {
    let port = input.ports.iter().find(|port| port.name == name);
    port.map(|port| port.port).ok_or_else(|| RenderError::UnknownPort(name.to_owned()))
}

fn texts(templates: &[String], text: Text<'_>) -> Result<Vec<String>, RenderError> {
    templates.iter().map(|template| text(template)).collect()
}
