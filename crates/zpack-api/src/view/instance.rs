//! An instance as its owner sees it.

use chrono::{DateTime, Utc};
use domain::instance::{
    AGENT_PORT, AllocatedPort, DesiredPower, Hold, Instance, InstanceKind, Lifecycle, ObservedPower,
    Protocol, Resources, Stop, StopReason,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ActorView, LoadView, ReasonView, schema};

/// A server of the caller's. Its state has axes: none follows from another.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Instance)]
pub struct InstanceView {
    /// Its id.
    pub id: Uuid,
    /// What the customer calls it.
    pub name: String,
    /// DNS label, unique among live instances.
    pub hostname: String,
    /// What it is for.
    #[schema(schema_with = schema::instance_kind)]
    pub kind: InstanceKind,
    /// Blueprint id.
    pub blueprint: String,
    /// Variant id.
    pub variant: String,
    /// Version of the software.
    pub version: String,
    /// Plan id.
    pub plan: String,
    /// Limits.
    pub resources: ResourcesView,
    /// Where players connect (`host:port`), once it is reachable.
    #[schema(required)]
    pub address: Option<String>,
    /// Its ports.
    pub ports: Vec<PortView>,
    /// Axis: whether it exists, is being made or unmade.
    #[schema(schema_with = schema::lifecycle)]
    pub lifecycle: Lifecycle,
    /// Axis: what the customer wants.
    #[schema(schema_with = schema::desired_power)]
    pub desired_power: DesiredPower,
    /// Axis: what was last seen.
    #[schema(schema_with = schema::observed_power)]
    pub observed_power: ObservedPower,
    /// Axis: reasons for which it may not run.
    pub holds: Vec<HoldView>,
    /// Axis: the operation under way.
    #[schema(required)]
    pub active_operation: Option<Uuid>,
    /// When its machine answered last.
    #[schema(required)]
    pub last_heard_at: Option<DateTime<Utc>>,
    /// What it used then; null before the first look.
    #[schema(required)]
    pub load: Option<LoadView>,
    /// Since when it does not run, and why; null while it does.
    #[schema(required)]
    pub stopped: Option<StopView>,
    /// When the licence was accepted, where there is one.
    #[schema(required)]
    pub eula_accepted_at: Option<DateTime<Utc>>,
    /// Increases with every edit; the `ETag`, without its quotes.
    pub row_version: i64,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
}

impl From<Instance> for InstanceView {
    fn from(it: Instance) -> Self {
        Self {
            id: it.id.0,
            name: it.name,
            hostname: it.hostname,
            kind: it.kind,
            blueprint: it.blueprint,
            variant: it.variant,
            version: it.version,
            plan: it.plan,
            resources: it.resources.into(),
            address: it.address,
            ports: it.ports.into_iter().filter(|port| port.name != AGENT_PORT).map(Into::into).collect(),
            lifecycle: it.lifecycle,
            desired_power: it.desired_power,
            observed_power: it.observed_power,
            holds: it.holds.into_iter().map(Into::into).collect(),
            active_operation: it.active_operation.map(|operation| operation.id.0),
            last_heard_at: it.heard_at,
            load: it.load.map(Into::into),
            stopped: it.stop.map(Into::into),
            eula_accepted_at: it.eula_accepted_at,
            row_version: it.row_version,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

/// What an instance may use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Resources)]
pub struct ResourcesView {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// CPU in per cent of one core.
    pub cpu_percent: u32,
    /// Disk in MiB.
    pub disk_mib: u32,
}

impl From<Resources> for ResourcesView {
    fn from(it: Resources) -> Self {
        Self { memory_mib: it.memory_mib, cpu_percent: it.cpu_percent, disk_mib: it.disk_mib }
    }
}

/// A port that players use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Port)]
pub struct PortView {
    /// The blueprint's name for it.
    pub name: String,
    /// Transport.
    #[schema(schema_with = schema::protocol)]
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
}

impl From<AllocatedPort> for PortView {
    fn from(it: AllocatedPort) -> Self {
        Self { name: it.name, protocol: it.protocol, port: it.port }
    }
}

/// A reason for which an instance may not run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldView {
    /// Why: `billing`, `abuse` or `operator`, and what the customer is told.
    pub reason: ReasonView,
    /// Since when.
    pub placed_at: DateTime<Utc>,
}

impl From<Hold> for HoldView {
    fn from(it: Hold) -> Self {
        Self { reason: (&it).into(), placed_at: it.placed_at }
    }
}

/// Since when a server does not run, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stop)]
pub struct StopView {
    /// When it was first seen not to run.
    pub at: DateTime<Utc>,
    /// Why: `requested`, `idle`, `hold`, `exited` (it ended by itself) or `crashed`.
    pub reason: ReasonView,
    /// Who asked for it; null when nobody did.
    #[schema(required)]
    pub actor: Option<ActorView>,
}

impl From<Stop> for StopView {
    fn from(it: Stop) -> Self {
        let message = it.message.unwrap_or_else(|| explained(it.reason).to_owned());
        Self {
            at: it.at,
            reason: ReasonView { code: it.reason.to_string(), message },
            actor: it.by.map(|by| ActorView::new(&by, it.by_name)),
        }
    }
}

fn explained(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Requested => "It was stopped because somebody asked for it. Its files are kept.",
        StopReason::Idle => {
            "Nobody used it for a while, so it was stopped. Its files are kept; start it again at any time."
        }
        StopReason::Hold => "It was stopped because it is on hold. Its files are kept.",
        StopReason::Exited => "It ended by itself. Its console says why.",
        StopReason::Crashed => "It crashed. Its files are kept; its console says more.",
    }
}
