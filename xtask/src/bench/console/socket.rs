//! One open console, as a page has it: docs/console.md is its protocol.

use std::{collections::VecDeque, net::TcpStream, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, client::client, http::Request};

use crate::bench::visitor::Visitor;

/// For one message: statistics alone come every two seconds.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An open console. Output that came and was not asked for yet is kept.
pub(super) struct Console {
    socket: WebSocket<TcpStream>,
    lines: VecDeque<String>,
    /// The number that the next output must have.
    next: u64,
}

impl Console {
    /// Opens it, to follow what is printed from now on.
    pub(super) fn open(visitor: &Visitor, instance: &str) -> Result<Self> {
        let host = visitor.origin.trim_start_matches("http://");
        let stream = TcpStream::connect(host).with_context(|| format!("connect to {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let request = Request::get(format!("ws://{host}/api/instances/{instance}/console"))
            .header("host", host)
            .header("origin", &visitor.origin)
            .header("cookie", &visitor.customer.cookie)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", tungstenite::handshake::client::generate_key())
            .body(())?;
        let (socket, _) =
            client(request, stream).map_err(|error| anyhow::anyhow!("open a console: {error}"))?;
        let mut console = Self { socket, lines: VecDeque::new(), next: 0 };
        let hello = console.receive()?;
        ensure!(hello["type"] == "hello", "instead of hello: {hello}");
        console.next = hello["next"].as_u64().context("hello has no next")?;
        console.send(&json!({ "type": "resume", "from": console.next }))?;
        Ok(console)
    }

    /// Types a line.
    pub(super) fn tell(&mut self, line: &str) -> Result<()> {
        self.send(&json!({ "type": "input", "text": line }))
    }

    /// The next line of output. One that is missing, comes twice or out of order is an error.
    pub(super) fn line(&mut self) -> Result<String> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(line);
            }
            let message = self.receive()?;
            match message["type"].as_str() {
                Some("output") => self.take(&message)?,
                Some("gap" | "error") => bail!("the console says {message}"),
                Some("input_result") => ensure!(message["ok"] == true, "an input was refused: {message}"),
                _ => {}
            }
        }
    }

    fn take(&mut self, output: &Value) -> Result<()> {
        for entry in output["entries"].as_array().into_iter().flatten() {
            let (number, text) = (entry["seq"].as_u64(), entry["text"].as_str());
            ensure!(number == Some(self.next), "instead of number {}: {entry}", self.next);
            self.next += 1;
            self.lines.push_back(text.context("an entry without text")?.to_owned());
        }
        Ok(())
    }

    fn send(&mut self, message: &Value) -> Result<()> {
        self.socket.send(Message::text(message.to_string())).context("send to a console")
    }

    fn receive(&mut self) -> Result<Value> {
        loop {
            match self.socket.read().context("read from a console")? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(why) => bail!("the console was closed: {why:?}"),
                // The API's pings are answered with the next thing that is sent.
                _ => {}
            }
        }
    }
}
