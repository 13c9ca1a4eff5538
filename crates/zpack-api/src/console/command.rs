//! One line, typed in without a socket: by a script or by a schedule.

use domain::{
    agent::{ConsoleMode, ConsoleQuery},
    instance::{Instance, Lifecycle, PowerRefusal},
};
use integrations::agent::AgentError;

use super::{checked_line, send};
use crate::{
    agent,
    app::App,
    problem::{Code, Problem},
};

/// Types a line into the console of a running server that is not on hold.
pub async fn type_line(app: &App, instance: &Instance, line: &str) -> Result<(), Problem> {
    if instance.lifecycle != Lifecycle::Active {
        return Err(PowerRefusal::NotActive(instance.lifecycle).into());
    }
    if let Some(hold) = instance.holds.first() {
        return Err(PowerRefusal::OnHold(hold.reason).into());
    }
    let line = checked_line(ConsoleMode::Pipes, line).map_err(|error| {
        Problem::new(Code::ValidationFailed, format!("Nothing was sent: {error}."))
            .field("command", error.to_string())
    })?;
    typed(app, instance, line).await.map_err(|error| match error {
        AgentError::Conflict { code, .. } if code == "not_reading" => {
            Problem::new(Code::AgentConflict, "The server does not read its input. The line was not taken.")
        }
        AgentError::Conflict { .. } => {
            let detail = "Nobody would read the line. Nothing was sent; start the server first.";
            Problem::new(Code::NotRunning, detail)
        }
        error => agent::away(&error, "The line may not have arrived."),
    })
}

async fn typed(app: &App, instance: &Instance, line: &str) -> Result<(), AgentError> {
    let session = agent::session(app, instance).await?;
    let oldest = ConsoleQuery { from: 0, wait_ms: 0, limit: Some(1) };
    // A terminal's program reads a line when Enter was pressed.
    match agent::call(session.console_read(oldest)).await?.mode {
        ConsoleMode::Pipes => send(&*session, line).await,
        ConsoleMode::Pty => send(&*session, &format!("{line}\r")).await,
    }
}
