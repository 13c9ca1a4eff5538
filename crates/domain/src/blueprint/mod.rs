//! Blueprints: what is installed and how it is run. Data in `catalogue/blueprints/*.toml`, validated at load, so
//! that adding a game is adding a file.

mod minecraft;
mod render;
mod template;
mod validate;

use serde::{Deserialize, Serialize};

pub use minecraft::{java_for_minecraft, newest_first};
pub use render::{RenderError, RenderInput, ResolvedArtifact};
pub use validate::BlueprintError;

use crate::{
    agent::{BackupHooks, ConsoleMode, Runtime, Unpack},
    edge::Publication,
    instance::{Instance, InstanceKind, Protocol},
};

/// A blueprint file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blueprint {
    /// Stable id; the game's id in the artifact catalogue as well.
    pub id: String,
    /// For people.
    pub name: String,
    /// One sentence for people.
    pub summary: String,
    /// Which plans it runs on.
    pub kind: InstanceKind,
    /// Terms that the customer must accept in the create request.
    #[serde(default)]
    pub eula: Option<Eula>,
    /// Least memory in MiB with which it works.
    pub min_memory_mib: u32,
    /// Memory in MiB that is not the program's heap; `{{heap_mib}}` is the instance's memory less this.
    #[serde(default)]
    pub overhead_mib: u32,
    /// Ports that the software listens on; the first is the one that players use. A workspace needs none: its IDE
    /// listens on a Unix socket, `{{ide_socket}}`, and is reached through the control plane only.
    #[serde(default)]
    pub ports: Vec<PortTemplate>,
    /// Editions.
    pub variants: Vec<Variant>,
}

/// Terms of use that only the customer can accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eula {
    /// For people.
    pub name: String,
    /// Where it can be read.
    pub url: String,
}

/// A port that the software listens on. The number is allocated per instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortTemplate {
    /// Name for templates: `{{port.NAME}}`.
    pub name: String,
    /// Transport.
    pub protocol: Protocol,
    /// The service of DNS under which clients look for this port by the server's name alone (`minecraft`), if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// An instance lacks a port of its blueprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the instance has no port {0:?}")]
pub struct MissingPort(String);

/// An edition of the software.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Stable id; the variant's id in the artifact catalogue as well.
    pub id: String,
    /// For people.
    pub name: String,
    /// Versions on offer, newest first. Empty: those of the artifact catalogue.
    #[serde(default)]
    pub versions: Vec<String>,
    /// What it needs to run.
    #[serde(default)]
    pub runtime: RuntimeTemplate,
    /// Installation, in order.
    #[serde(default)]
    pub install: Vec<InstallTemplate>,
    /// Longest installation, in seconds.
    #[serde(default = "default_install_deadline")]
    pub install_deadline_seconds: u64,
    /// How it runs.
    pub run: RunTemplate,
    /// How readiness is recognised.
    pub ready: ReadyTemplate,
    /// What makes a copy of the running service's files consistent.
    #[serde(default)]
    pub backup: BackupHooks,
}

fn default_install_deadline() -> u64 {
    900
}

/// What a variant needs to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RuntimeTemplate {
    /// Nothing beyond the files installed.
    #[default]
    None,
    /// The Java that the Minecraft version asks for: 21 from 1.20.5, else 17.
    JavaForMinecraft,
    /// A Java runtime of at least this major version.
    Java {
        /// For example 17.
        major: u16,
    },
    /// A program on the path.
    Program {
        /// Its name.
        name: String,
        /// The package that has it.
        package: String,
    },
}

impl RuntimeTemplate {
    fn for_version(&self, version: &str) -> Runtime {
        match self {
            Self::None => Runtime::None,
            Self::JavaForMinecraft => Runtime::Java { major: java_for_minecraft(version) },
            Self::Java { major } => Runtime::Java { major: *major },
            Self::Program { name, package } => {
                Runtime::Program { name: name.clone(), package: package.clone() }
            }
        }
    }
}

/// An installation step with placeholders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum InstallTemplate {
    /// A file of this game, variant and version in the artifact catalogue.
    Artifact {
        /// Its name there.
        file: String,
        /// Where it goes in the data folder.
        path: String,
        /// How to unpack it.
        #[serde(default)]
        unpack: Option<Unpack>,
    },
    /// A text file.
    Write {
        /// In the data folder.
        path: String,
        /// Content.
        content: String,
        /// Leave a customer's edits alone.
        #[serde(default)]
        keep_existing: bool,
    },
    /// Keys of a `.properties` file.
    Properties {
        /// In the data folder.
        path: String,
        /// Keys and values.
        set: std::collections::BTreeMap<String, String>,
    },
    /// A program of the installation.
    Run {
        /// Program and arguments.
        argv: Vec<String>,
        /// Longest run, in seconds.
        timeout_seconds: u64,
    },
}

/// The process, with placeholders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunTemplate {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Extra environment.
    #[serde(default)]
    pub env: std::collections::BTreeMap<String, String>,
    /// Line on its console that stops it; without one it gets SIGTERM.
    #[serde(default)]
    pub stop_line: Option<String>,
    /// Seconds until it is killed.
    pub stop_grace_seconds: u64,
    /// How its output and input are connected.
    #[serde(default)]
    pub console: ConsoleMode,
}

/// Readiness, with port names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyTemplate {
    /// What is asked.
    pub probe: ProbeTemplate,
    /// Seconds from start until the start counts as failed.
    pub deadline_seconds: u64,
}

/// A readiness probe with a port's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ProbeTemplate {
    /// Minecraft Server List Ping.
    MinecraftPing {
        /// Port name.
        port: String,
    },
    /// Luanti handshake.
    Luanti {
        /// Port name.
        port: String,
    },
    /// Teeworlds token request.
    Teeworlds {
        /// Port name.
        port: String,
    },
    /// TCP connection.
    Tcp {
        /// Port name.
        port: String,
    },
    /// A line of output.
    Log {
        /// Regular expression.
        pattern: String,
    },
}

impl ProbeTemplate {
    /// The port that it asks, and the transport that this port must have.
    fn port(&self) -> Option<(&str, Protocol)> {
        match self {
            Self::MinecraftPing { port } | Self::Tcp { port } => Some((port, Protocol::Tcp)),
            Self::Luanti { port } | Self::Teeworlds { port } => Some((port, Protocol::Udp)),
            Self::Log { .. } => None,
        }
    }
}

impl Blueprint {
    /// Reads and validates a blueprint file.
    pub fn parse(text: &str) -> Result<Self, BlueprintError> {
        let blueprint: Self = toml::from_str(text)?;
        blueprint.validate()?;
        Ok(blueprint)
    }

    /// What is published of an instance of it, at a node that players reach at `node_host`: its first port. `None` for what has
    /// no port of its own.
    pub fn publication(
        &self,
        instance: &Instance,
        node_host: String,
    ) -> Result<Option<Publication>, MissingPort> {
        let Some(first) = self.ports.first() else { return Ok(None) };
        let port = instance.port(&first.name).cloned().ok_or_else(|| MissingPort(first.name.clone()))?;
        let (instance_id, hostname, service) =
            (instance.id, instance.hostname.clone(), first.service.clone());
        Ok(Some(Publication { instance_id, hostname, node_host, port, service }))
    }

    /// The variant with this id.
    pub fn variant(&self, id: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.id == id)
    }

    /// `{id}@{digest}`: names this content, so that an instance keeps the blueprint that it was made with.
    pub fn content_version(&self) -> String {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        format!("{}@{}", self.id, hex::encode(&digest.as_ref()[..8]))
    }
}

impl Variant {
    /// Names of the artifact files that it installs.
    pub fn artifacts(&self) -> impl Iterator<Item = &str> {
        self.install.iter().filter_map(|step| match step {
            InstallTemplate::Artifact { file, .. } => Some(file.as_str()),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
