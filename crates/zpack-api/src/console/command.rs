//! One line, typed in without a socket: by a script or by a schedule.

use domain::{
    agent::{ConsoleMode, ConsoleQuery},
    instance::{Instance, Lifecycle, PowerRefusal},
};
use integrations::agent::AgentError;

use super::{checked_line, input::InputError, send};
use crate::agent::{Agents, call};

/// Why a line was not typed in.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Nobody may type into this console now.
    #[error(transparent)]
    Refused(#[from] PowerRefusal),
    /// It is no line.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The server does not read its input: the line was not taken.
    #[error("the server does not read its input")]
    NotReading,
    /// There is no server to read it.
    #[error("the server is not running")]
    NotRunning,
    /// The agent did not answer: the line may not have arrived.
    #[error("the agent did not answer")]
    Agent(#[source] AgentError),
}

impl From<AgentError> for CommandError {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Conflict { code, .. } if code == "not_reading" => Self::NotReading,
            AgentError::Conflict { .. } => Self::NotRunning,
            error => Self::Agent(error),
        }
    }
}

/// Types a line into the console of a running server that is not on hold.
pub async fn type_line(agents: &Agents, instance: &Instance, line: &str) -> Result<(), CommandError> {
    if instance.lifecycle != Lifecycle::Active {
        return Err(PowerRefusal::NotActive(instance.lifecycle).into());
    }
    if let Some(hold) = instance.holds.first() {
        return Err(PowerRefusal::OnHold(hold.reason).into());
    }
    let line = checked_line(ConsoleMode::Pipes, line)?;
    let session = agents.session(instance).await?;
    let oldest = ConsoleQuery { from: 0, wait_ms: 0, limit: Some(1) };
    // A terminal's program reads a line when Enter was pressed.
    Ok(match call(session.console_read(oldest)).await?.mode {
        ConsoleMode::Pipes => send(&*session, line).await,
        ConsoleMode::Pty => send(&*session, &format!("{line}\r")).await,
    }?)
}
