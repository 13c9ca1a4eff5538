//! What is typed in: checked, bounded in rate, and sent to the agent one after the other.

use std::{collections::VecDeque, num::NonZeroU32, sync::Arc};

use axum::extract::ws::Utf8Bytes;
use domain::{
    agent::{ConsoleMode, ConsoleSize, MAX_CONSOLE_INPUT_BYTES},
    ids::InstanceId,
};
use futures_util::future::BoxFuture;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use integrations::agent::{AgentError, AgentSession};

use super::protocol::ToClient;
use crate::{
    agent::{Agents, call},
    config::ConsoleSection,
};

/// Inputs of one socket that may wait for the one before them.
const WAITING: usize = 64;
/// Columns and rows of a terminal.
const SIZES: std::ops::RangeInclusive<u16> = 1..=1_000;

/// Why an input was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Too long.
    #[error("an input may have {MAX_CONSOLE_INPUT_BYTES} bytes")]
    TooLong,
    /// More than one line, where lines are what is read.
    #[error("an input is one line, without a line break in it")]
    NotALine,
    /// Too much waits already, or came too fast.
    #[error("there were too many inputs in too short a time")]
    TooMany,
    /// Not 1 to 1,000.
    #[error("a terminal has 1 to 1,000 columns and rows")]
    Size,
}

impl InputError {
    /// For programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "input_too_long",
            Self::NotALine => "input_not_a_line",
            Self::TooMany => "too_many_inputs",
            Self::Size => "invalid_size",
        }
    }
}

/// A text as it is typed in: with pipes one line without its end, with a terminal whatever it is.
pub fn checked_line(mode: ConsoleMode, text: &str) -> Result<&str, InputError> {
    if text.len() > MAX_CONSOLE_INPUT_BYTES {
        return Err(InputError::TooLong);
    }
    if mode == ConsoleMode::Pty {
        return Ok(text);
    }
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains(['\n', '\r', '\0']) { Err(InputError::NotALine) } else { Ok(line) }
}

/// Types a text in.
pub async fn send(session: &dyn AgentSession, text: &str) -> Result<(), AgentError> {
    call(session.console_input(text)).await
}

enum Work {
    Input { id: Option<u64>, text: String },
    Resize(ConsoleSize),
}

type Session = Arc<dyn AgentSession>;
type Done = (Option<Session>, Option<Utf8Bytes>);

/// One socket's inputs.
pub struct Typist {
    agents: Agents,
    instance: InstanceId,
    rate: DefaultDirectRateLimiter,
    waiting: VecDeque<Work>,
    working: Option<BoxFuture<'static, Done>>,
    session: Option<Session>,
}

impl Typist {
    /// With nothing typed yet.
    pub fn new(agents: &Agents, instance: InstanceId, limits: &ConsoleSection) -> Self {
        let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(limits.inputs_per_second))
            .allow_burst(at_least_one(limits.inputs_burst));
        Self {
            agents: agents.clone(),
            instance,
            rate: RateLimiter::direct(quota),
            waiting: VecDeque::new(),
            working: None,
            session: None,
        }
    }

    /// Takes an input on.
    pub fn input(&mut self, id: Option<u64>, mode: ConsoleMode, text: &str) -> Result<(), InputError> {
        let text = checked_line(mode, text)?.to_owned();
        self.take(Work::Input { id, text })
    }

    /// Takes a size on.
    pub fn resize(&mut self, size: ConsoleSize) -> Result<(), InputError> {
        if !SIZES.contains(&size.columns) || !SIZES.contains(&size.rows) {
            return Err(InputError::Size);
        }
        self.take(Work::Resize(size))
    }

    fn take(&mut self, work: Work) -> Result<(), InputError> {
        if self.rate.check().is_err() || self.waiting.len() >= WAITING {
            return Err(InputError::TooMany);
        }
        self.waiting.push_back(work);
        Ok(())
    }

    /// The next answer to something that was typed. May be dropped and asked for again.
    pub async fn next(&mut self) -> Utf8Bytes {
        loop {
            if self.working.is_none()
                && let Some(work) = self.waiting.pop_front()
            {
                let (agents, instance, session) = (self.agents.clone(), self.instance, self.session.take());
                self.working = Some(Box::pin(done(agents, instance, session, work)));
            }
            let Some(working) = &mut self.working else { return std::future::pending().await };
            let (session, answer) = working.await;
            (self.working, self.session) = (None, session);
            if let Some(answer) = answer {
                return answer;
            }
        }
    }
}

async fn done(agents: Agents, instance: InstanceId, kept: Option<Session>, work: Work) -> Done {
    let result = async {
        let session = match kept {
            Some(session) => session,
            None => agents.session_of(instance).await?,
        };
        match &work {
            Work::Input { text, .. } => send(&*session, text).await?,
            Work::Resize(size) => call(session.console_resize(*size)).await?,
        }
        Ok(session)
    };
    let result: Result<Session, AgentError> = result.await;
    let answer = match (&work, &result) {
        (Work::Input { id, .. }, Ok(_)) => {
            Some(ToClient::InputResult { id: *id, ok: true, code: None, detail: None }.text())
        }
        (Work::Input { id, .. }, Err(error)) => {
            let (code, detail) = explained(error);
            Some(ToClient::InputResult { id: *id, ok: false, code: Some(code), detail: Some(detail) }.text())
        }
        (Work::Resize(_), _) => None,
    };
    (result.ok(), answer)
}

/// Why the agent did not take an input, for the customer.
fn explained(error: &AgentError) -> (&'static str, &'static str) {
    match error {
        AgentError::Conflict { code, .. } if code == "not_reading" => {
            ("not_reading", "The server does not read what is typed. The input was not taken.")
        }
        AgentError::Conflict { .. } => (
            "not_running",
            "The server is not running, so nobody reads what you type. Start it, then try again.",
        ),
        AgentError::Rejected { .. } => ("input_refused", "The server's machine refused this input."),
        error => {
            tracing::warn!(%error, "an input for a console could not be sent, and its author was told: {error}");
            ("agent_unreachable", "The server's machine does not answer. The input may not have arrived.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_pipes_an_input_is_one_line_and_with_a_terminal_whatever_was_typed() {
        let pipes = |text| checked_line(ConsoleMode::Pipes, text);
        assert_eq!(pipes("say hi"), Ok("say hi"));
        assert_eq!(pipes("say hi\r\n"), Ok("say hi"));
        assert_eq!(pipes(""), Ok(""));
        assert_eq!(pipes("say hi\nstop"), Err(InputError::NotALine));
        assert_eq!(pipes("say hi\n\n"), Err(InputError::NotALine));
        assert_eq!(checked_line(ConsoleMode::Pty, "\u{3}ls\n"), Ok("\u{3}ls\n"));
        let long = "x".repeat(MAX_CONSOLE_INPUT_BYTES + 1);
        assert_eq!(pipes(&long), Err(InputError::TooLong));
        assert_eq!(checked_line(ConsoleMode::Pty, &long), Err(InputError::TooLong));
    }
}
