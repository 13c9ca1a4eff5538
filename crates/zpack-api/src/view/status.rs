//! What an instance's agent says at this moment.

use chrono::{DateTime, Utc};
use domain::agent::{AgentFault, AgentStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::{LoadView, PlayersView, ReasonView};

/// The live state of a server's process.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = ProcessStatus)]
pub struct StatusView {
    /// Where it stands.
    #[schema(schema_with = agent_state)]
    pub state: domain::agent::AgentState,
    /// Why it is in `error` or `crashed`.
    #[schema(required)]
    pub error: Option<FaultView>,
    /// The installation step under way.
    #[schema(required)]
    pub install_step: Option<String>,
    /// Progress of the installation, 0–100.
    #[schema(required)]
    pub progress_percent: Option<u8>,
    /// Crashes since the last start that was asked for.
    pub crash_count: u32,
    /// When it became ready.
    #[schema(required)]
    pub ready_at: Option<DateTime<Utc>>,
}

/// The live state of a server's process, with what it uses.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceStatus)]
pub struct InstanceStatusView {
    /// What it does.
    #[serde(flatten)]
    pub status: StatusView,
    /// What it used when it was looked at last; null before the first look.
    #[schema(required)]
    pub load: Option<LoadView>,
    /// Who plays at this moment; null while it is down, and of a game that does not tell.
    #[schema(required)]
    pub players: Option<PlayersView>,
}

impl From<AgentStatus> for StatusView {
    fn from(it: AgentStatus) -> Self {
        Self {
            state: it.state,
            error: it.error.map(Into::into),
            install_step: it.install_step,
            progress_percent: it.progress,
            crash_count: it.crash_count,
            ready_at: it.ready_at,
        }
    }
}

/// Why an installation or a start failed.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Fault)]
pub struct FaultView {
    /// What it was.
    #[serde(flatten)]
    pub reason: ReasonView,
    /// The last lines of output, oldest first.
    pub last_output: Vec<String>,
}

impl From<AgentFault> for FaultView {
    fn from(it: AgentFault) -> Self {
        Self { reason: (&it).into(), last_output: it.last_output }
    }
}

fn agent_state() -> utoipa::openapi::Object {
    use domain::agent::AgentState as S;
    let all = [
        S::Idle,
        S::Installing,
        S::Verifying,
        S::Starting,
        S::Running,
        S::Stopping,
        S::Stopped,
        S::Crashed,
        S::Error,
    ];
    let values = all.iter().map(|state| serde_json::to_value(state).unwrap_or_default());
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .enum_values(Some(values))
        .build()
}
