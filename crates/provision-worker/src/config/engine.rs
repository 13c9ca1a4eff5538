//! `[engine]`: what runs containers on this machine, and what it offers as a node.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use integrations::engine::local::Isolation;
use runtime::config::{Invalid, Key, Kind, Section};
use serde::{Deserialize, Serialize};
use store::nodes::NodeSpec;

/// Which engine runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// Processes on this machine.
    Local,
}

/// The engine and its node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSection {
    /// Which engine.
    pub kind: EngineKind,
    /// Folder of the containers.
    pub root: PathBuf,
    /// The `zlh-agent` program.
    pub agent_program: PathBuf,
    /// How containers are kept apart.
    pub isolation: Isolation,
    /// Folders besides the system's that containers may read.
    pub visible: Vec<PathBuf>,
    /// The node's name.
    pub node: String,
    /// What customers connect to.
    pub public_host: String,
    /// What servers listen on: loopback, or `0.0.0.0` for everybody.
    pub bind_address: IpAddr,
    /// Memory for instances, MiB.
    pub memory_mib: i64,
    /// CPU for instances, per cent of a core.
    pub cpu_percent: i64,
    /// Disk for instances, MiB.
    pub disk_mib: i64,
    /// First port that may be handed out.
    pub first_port: u16,
    /// Last port that may be handed out.
    pub last_port: u16,
    /// Pause between two reports of what the engine has.
    pub report_seconds: u32,
}

impl Default for EngineSection {
    fn default() -> Self {
        Self {
            kind: EngineKind::Local,
            root: PathBuf::from("/var/lib/zlh/containers"),
            agent_program: PathBuf::from("/usr/lib/zlh/zlh-agent"),
            isolation: Isolation::Auto,
            visible: Vec::new(),
            node: "local".to_owned(),
            public_host: "127.0.0.1".to_owned(),
            bind_address: Ipv4Addr::LOCALHOST.into(),
            memory_mib: 16_384,
            cpu_percent: 800,
            disk_mib: 204_800,
            first_port: 25_600,
            last_port: 26_599,
            report_seconds: 10,
        }
    }
}

impl EngineSection {
    /// The node as the store knows it.
    pub fn node(&self) -> NodeSpec {
        NodeSpec {
            name: self.node.clone(),
            public_host: self.public_host.clone(),
            agent_host: match self.kind {
                // Its agents listen on loopback only.
                EngineKind::Local => Ipv4Addr::LOCALHOST.to_string(),
            },
            memory_mib: self.memory_mib,
            cpu_percent: self.cpu_percent,
            disk_mib: self.disk_mib,
            ports: self.first_port..=self.last_port,
        }
    }
}

impl Section for EngineSection {
    fn name(&self) -> &'static str {
        "engine"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new(
                "kind",
                Kind::Choice(&["local"]),
                "Which engine runs containers: `local` runs them as isolated processes of this machine.",
            ),
            Key::new("root", Kind::Path, "Folder of the containers. Nobody else may write there."),
            Key::new("agent_program", Kind::Path, "The `zlh-agent` program that runs in each container."),
            Key::new(
                "isolation",
                Kind::Choice(&["auto", "bubblewrap", "none"]),
                "How containers are kept apart: `auto` uses bubblewrap where it works, `bubblewrap` refuses to start without it.",
            ),
            Key::new(
                "visible",
                Kind::List,
                "Folders besides the system's that isolated containers may read, for example a Java runtime's.",
            ),
            Key::new("node", Kind::Text, "Name of the node that this engine is."),
            Key::new("public_host", Kind::Text, "Host name or address that customers connect to."),
            Key::new(
                "bind_address",
                Kind::Text,
                "What servers listen on: `127.0.0.1` for this machine only, `0.0.0.0` for everybody.",
            ),
            Key::new("memory_mib", Kind::Integer, "Memory for servers, in MiB."),
            Key::new("cpu_percent", Kind::Integer, "CPU for servers, in per cent of one core."),
            Key::new("disk_mib", Kind::Integer, "Disk for servers, in MiB."),
            Key::new(
                "first_port",
                Kind::Integer,
                "First port that may be handed out to servers and their agents.",
            ),
            Key::new("last_port", Kind::Integer, "Last port that may be handed out."),
            Key::new(
                "report_seconds",
                Kind::Integer,
                "Seconds between two reports of which containers the engine has, for zlh-controller. A node that is silent for \
                 two minutes is a finding.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        for (key, value) in [("node", &self.node), ("public_host", &self.public_host)] {
            if value.is_empty() {
                return Err(Invalid::new(key, "may not be empty"));
            }
        }
        // Readiness probes ask at loopback.
        if !self.bind_address.is_loopback() && !self.bind_address.is_unspecified() {
            return Err(Invalid::new("bind_address", "must be a loopback address or 0.0.0.0"));
        }
        Invalid::unless_within("memory_mib", self.memory_mib, 1..=1_000_000_000)?;
        Invalid::unless_within("cpu_percent", self.cpu_percent, 1..=1_000_000)?;
        Invalid::unless_within("disk_mib", self.disk_mib, 1..=1_000_000_000)?;
        Invalid::unless_within("first_port", self.first_port, 1_024..=65_535)?;
        Invalid::unless_within("last_port", self.last_port, self.first_port..=65_535)?;
        Invalid::unless_within("report_seconds", self.report_seconds, 1..=60)
    }
}
