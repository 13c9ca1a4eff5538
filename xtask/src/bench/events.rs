//! Hearing of an operation's end as a browser does: by Server-Sent Events.

use std::{
    io::{BufRead, BufReader},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{client::Connection, customers::Customer};
use crate::interrupt;

/// How long no word may come before the operation is asked for: an event that was missed must not hang the run.
const PATIENCE: Duration = Duration::from_millis(250);

/// One customer's event stream.
pub(super) struct Events {
    heard: Receiver<(Instant, Value)>,
}

impl Events {
    /// Opens the stream. It ends with the API.
    pub(super) fn open(origin: &str, customer: &Customer) -> Result<Self> {
        let request = ureq::get(format!("{origin}/api/events")).header("cookie", &customer.cookie);
        let response = request.call().context("GET /api/events")?;
        let lines = BufReader::new(response.into_body().into_reader());
        let (tell, heard) = mpsc::channel();
        thread::spawn(move || listen(lines, &tell));
        Ok(Self { heard })
    }

    /// When this operation's success was heard of; an error when it failed, or is not over `within`.
    pub(super) fn until_succeeded(
        &self,
        connection: &mut Connection,
        customer: &Customer,
        operation: &str,
        within: Duration,
    ) -> Result<Instant> {
        let deadline = Instant::now() + within;
        loop {
            interrupt::check()?;
            ensure!(Instant::now() < deadline, "operation {operation} is not over in time");
            let (at, now) = match self.heard.recv_timeout(PATIENCE) {
                Ok(heard) => heard,
                Err(RecvTimeoutError::Disconnected) => bail!("the event stream has ended"),
                Err(RecvTimeoutError::Timeout) => {
                    let path = format!("/api/operations/{operation}");
                    let now = connection.ask(customer, "GET", &path, "")?.expect(&path)?;
                    (Instant::now(), now)
                }
            };
            if now["id"] == operation && has_succeeded(&now)? {
                return Ok(at);
            }
        }
    }
}

fn listen(lines: impl BufRead, tell: &Sender<(Instant, Value)>) {
    for line in lines.lines().map_while(Result::ok) {
        let Some(data) = line.strip_prefix("data:") else { continue };
        let at = Instant::now();
        if let Ok(value) = serde_json::from_str(data)
            && tell.send((at, value)).is_err()
        {
            return;
        }
    }
}

fn has_succeeded(operation: &Value) -> Result<bool> {
    match operation["state"].as_str() {
        Some("succeeded") => Ok(true),
        Some("failed" | "stuck") => bail!("the operation failed: {}", operation["failure"]),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_data_of_events_is_heard() {
        let (tell, heard) = mpsc::channel();
        let text = ": heartbeat\n\nevent: operation\ndata: {\"id\":\"1\",\"state\":\"succeeded\"}\n\n";
        listen(text.as_bytes(), &tell);
        let (_, event) = heard.recv().unwrap();
        assert!(has_succeeded(&event).unwrap() && heard.try_recv().is_err());
        assert!(has_succeeded(&serde_json::json!({ "state": "failed" })).is_err());
    }
}
