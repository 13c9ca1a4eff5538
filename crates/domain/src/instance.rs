//! An instance and its axes of state. No axis is derived from another, and clearing one never clears another.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{CustomerId, InstanceId, NodeId, OperationId},
    operation::OperationKind,
};

/// Defines an enum that is stored as text in SQL and JSON, with one spelling for both.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The spelling used in SQL, JSON and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::instance::UnknownValue;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(crate::instance::UnknownValue { of: stringify!($name), value: text.to_owned() }),
                }
            }
        }
    };
}
pub(crate) use text_enum;

/// A stored text is none of an enum's values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a {of}")]
pub struct UnknownValue {
    /// The enum.
    pub of: &'static str,
    /// What was found.
    pub value: String,
}

text_enum! {
    /// What an instance is for.
    InstanceKind {
        /// A game server.
        Game = "game",
        /// A development workspace.
        Dev = "dev",
    }
}

text_enum! {
    /// Whether an instance exists, is being made or unmade.
    Lifecycle {
        /// Its create operation is under way.
        Provisioning = "provisioning",
        /// It exists.
        Active = "active",
        /// Its delete operation is under way.
        Deleting = "deleting",
        /// Gone; the row is history.
        Deleted = "deleted",
        /// Its create failed and was undone; the row is history until the customer removes it.
        Failed = "failed",
    }
}

impl Lifecycle {
    /// Whether it counts against entitlements and holds its name and hostname.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Provisioning | Self::Active | Self::Deleting)
    }
}

text_enum! {
    /// What the customer wants.
    DesiredPower {
        /// Run.
        Running = "running",
        /// Do not run.
        Stopped = "stopped",
    }
}

text_enum! {
    /// What was last seen.
    ObservedPower {
        /// Not looked at yet.
        Unknown = "unknown",
        /// The process runs and is not ready yet.
        Starting = "starting",
        /// Ready.
        Running = "running",
        /// Asked to stop.
        Stopping = "stopping",
        /// Not running.
        Stopped = "stopped",
        /// Died, and its agent has given up.
        Crashed = "crashed",
    }
}

impl From<crate::agent::AgentState> for ObservedPower {
    fn from(state: crate::agent::AgentState) -> Self {
        use crate::agent::AgentState as A;
        match state {
            A::Idle | A::Installing | A::Verifying | A::Stopped | A::Error => Self::Stopped,
            A::Starting => Self::Starting,
            A::Running => Self::Running,
            A::Stopping => Self::Stopping,
            A::Crashed => Self::Crashed,
        }
    }
}

text_enum! {
    /// Why an instance may not run. Paying lifts only [`HoldReason::Billing`].
    HoldReason {
        /// An unpaid invoice.
        Billing = "billing",
        /// A report of abuse.
        Abuse = "abuse",
        /// An operator's decision.
        Operator = "operator",
    }
}

text_enum! {
    /// Transport of a port.
    Protocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }
}

/// What an instance may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// CPU in per cent of one core.
    pub cpu_percent: u32,
    /// Disk in MiB.
    pub disk_mib: u32,
}

impl Resources {
    /// Whether each amount is at most the other's.
    pub fn fits_in(&self, limit: &Self) -> bool {
        self.memory_mib <= limit.memory_mib
            && self.cpu_percent <= limit.cpu_percent
            && self.disk_mib <= limit.disk_mib
    }
}

/// A port of a node that an instance owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocatedPort {
    /// The blueprint's name for it; [`AGENT_PORT`] is the agent's.
    pub name: String,
    /// Transport.
    pub protocol: Protocol,
    /// Number on the node.
    pub port: u16,
}

/// The name of the port that the agent listens on; no blueprint may use it.
pub const AGENT_PORT: &str = "agent";

/// A hold in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub reason: HoldReason,
    /// For the customer.
    pub note: String,
    /// Since when.
    pub placed_at: DateTime<Utc>,
}

/// What an instance used when it was looked at last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// When that was.
    pub measured_at: DateTime<Utc>,
    /// Of one core, in per cent; none at the first look.
    pub cpu_percent: Option<f32>,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Size of the data folder, in bytes.
    pub disk_bytes: u64,
    /// Who plays; none while it is down, and of a game that does not tell.
    pub players: Option<PlayerCount>,
}

/// How many play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayerCount {
    /// How many there are.
    pub online: u32,
    /// How many there may be.
    pub max: u32,
}

text_enum! {
    /// Why an instance does not run.
    StopReason {
        /// Somebody asked for it.
        Requested = "requested",
        /// A workspace that nobody used.
        Idle = "idle",
        /// A hold.
        Hold = "hold",
        /// It ended by itself, and its agent has no fault to tell of.
        Exited = "exited",
        /// It died, or could not be started.
        Crashed = "crashed",
    }
}

/// Since when an instance does not run, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// When it was first seen not to run.
    pub at: DateTime<Utc>,
    /// Why.
    pub reason: StopReason,
    /// Who asked for it, as the audit log names them.
    pub by: Option<String>,
    /// What that key or schedule is called.
    pub by_name: Option<String>,
    /// What its agent said of it, for the customer.
    pub message: Option<String>,
}

/// An instance as the control plane knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Chosen before anything outside was made; the mark on all of it.
    pub id: InstanceId,
    /// Its owner.
    pub customer_id: CustomerId,
    /// What the customer calls it.
    pub name: String,
    /// DNS label, unique among live instances.
    pub hostname: String,
    /// What it is for.
    pub kind: InstanceKind,
    /// Blueprint id.
    pub blueprint: String,
    /// Content version of the blueprint in use: `{id}@{digest}`.
    pub blueprint_version: String,
    /// Variant id.
    pub variant: String,
    /// Version of the software.
    pub version: String,
    /// Plan id.
    pub plan: String,
    /// Limits.
    pub resources: Resources,
    /// Where it runs.
    pub node_id: NodeId,
    /// Its ports; empty once released.
    pub ports: Vec<AllocatedPort>,
    /// Where players connect, once published: `host:port`.
    pub address: Option<String>,
    /// Pinned SHA-256 of its agent's certificate, hex.
    pub agent_fingerprint: Option<String>,
    /// Axis: lifecycle.
    pub lifecycle: Lifecycle,
    /// Axis: what is wanted.
    pub desired_power: DesiredPower,
    /// Axis: what was seen.
    pub observed_power: ObservedPower,
    /// Axis: holds in force.
    pub holds: Vec<Hold>,
    /// Axis: the operation under way.
    pub active_operation: Option<ActiveOperation>,
    /// When its agent answered last.
    pub heard_at: Option<DateTime<Utc>>,
    /// What it used then.
    pub load: Option<Load>,
    /// Why it does not run; none while it does, or was not looked at yet.
    pub stop: Option<Stop>,
    /// When the EULA was accepted, where the blueprint asks for it.
    pub eula_accepted_at: Option<DateTime<Utc>>,
    /// Increases with every change a person makes; the `ETag`.
    pub row_version: i64,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
}

/// The operation that is under way on an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveOperation {
    /// Its id.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
}

impl ActiveOperation {
    /// Whether nobody may start or stop the server meanwhile, or type into its console by a schedule. A verification reads
    /// a backup beside the server: it touches neither its files nor its process.
    pub fn is_busy(self) -> bool {
        self.kind.saga().keeps_busy
    }
}

/// Why a power action is not possible now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PowerRefusal {
    /// Not active.
    #[error("the server is {0}, not active")]
    NotActive(Lifecycle),
    /// On hold; only stopping is possible.
    #[error("the server is on hold: {0}")]
    OnHold(HoldReason),
    /// An operation is under way.
    #[error("operation {0} is under way")]
    Busy(OperationId),
}

impl Instance {
    /// The port with this name.
    pub fn port(&self, name: &str) -> Option<&AllocatedPort> {
        self.ports.iter().find(|port| port.name == name)
    }

    /// Whether a power action is possible: an active instance, [not busy](ActiveOperation::is_busy), and for anything that
    /// ends with a running server no hold. Stopping is always possible on an active one: a hold must not keep it running.
    pub fn allows_power(&self, action: crate::agent::PowerAction) -> Result<(), PowerRefusal> {
        use crate::agent::PowerAction as P;
        if self.lifecycle != Lifecycle::Active {
            return Err(PowerRefusal::NotActive(self.lifecycle));
        }
        self.not_busy()?;
        match (action, self.holds.first()) {
            (P::Start | P::Restart, Some(hold)) => Err(PowerRefusal::OnHold(hold.reason)),
            _ => Ok(()),
        }
    }

    /// Whether no operation is under way that must not be disturbed.
    pub fn not_busy(&self) -> Result<(), PowerRefusal> {
        match self.active_operation {
            Some(operation) if operation.is_busy() => Err(PowerRefusal::Busy(operation.id)),
            _ => Ok(()),
        }
    }
}
