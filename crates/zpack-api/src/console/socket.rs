//! One socket: what it says and hears, its deadlines, and its end.

use std::time::Duration;

use axum::{
    Error,
    body::Bytes,
    extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket},
};
use domain::agent::ConsoleSize;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite;

use super::{
    follow::Follower,
    hub::Consoles,
    hub::Place,
    input::{InputError, Typist},
    protocol::{Close, FromClient, ToClient},
};

/// Until `resume` must have come.
const RESUME_WITHIN: Duration = Duration::from_secs(10);
/// How often the other side is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long it may be silent.
const SILENT: Duration = Duration::from_mins(1);
/// How long it may take nothing while there is something to send.
const STUCK: Duration = Duration::from_secs(30);
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// Messages a second of any kind, beyond what typing needs; who sends more does not speak this protocol.
const MESSAGES: std::num::NonZeroU32 = std::num::NonZeroU32::new(200).expect("not zero");

/// Serves a socket to its end.
pub async fn serve(consoles: Consoles, place: Place, mut socket: WebSocket) {
    let close = Talk::new(&consoles, &place, &mut socket).run().await;
    let code = close.map_or_else(|| "left".to_owned(), |close| close.code().to_string());
    metrics::counter!("zlh_console_sockets_closed_total", "code" => code).increment(1);
    if let Some(close) = close {
        goodbye(&mut socket, close).await;
    }
}

/// Tells a socket that has no place why, and closes it.
pub async fn refuse(mut socket: WebSocket, close: Close) {
    goodbye(&mut socket, close).await;
}

async fn goodbye(socket: &mut WebSocket, close: Close) {
    let (code, detail) = close.explained();
    let farewell = async {
        let error = ToClient::Error { code, detail, fatal: true }.text();
        socket.send(Message::Text(error)).await?;
        let frame = CloseFrame { code: close.code(), reason: Utf8Bytes::from_static(code) };
        socket.send(Message::Close(Some(frame))).await?;
        // The other side's own close frame: without it some clients see a connection that broke.
        while let Some(Ok(_)) = socket.recv().await {}
        Ok::<(), Error>(())
    };
    let _ = timeout(GOODBYE, farewell).await;
}

enum Step {
    Received(Option<Result<Message, Error>>),
    Send(Utf8Bytes),
    Tick,
    End(Close),
}

/// A conversation: `Err(None)` from its parts is that the other side has left.
struct Talk<'a> {
    socket: &'a mut WebSocket,
    ended: watch::Receiver<Option<Close>>,
    follower: Follower,
    typist: Typist,
    rate: DefaultDirectRateLimiter,
    began: Instant,
    heard: Instant,
    asked: Instant,
}

impl<'a> Talk<'a> {
    fn new(consoles: &Consoles, place: &Place, socket: &'a mut WebSocket) -> Self {
        let now = Instant::now();
        Self {
            socket,
            ended: place.ended.clone(),
            follower: Follower::new(consoles.agents(), &place.tap),
            typist: Typist::new(consoles.agents(), place.instance, consoles.limits()),
            rate: RateLimiter::direct(Quota::per_second(MESSAGES)),
            began: now,
            heard: now,
            asked: now,
        }
    }

    /// Talks until there is a reason to close, or the other side has left.
    async fn run(mut self) -> Option<Close> {
        loop {
            let deadline = self.deadline();
            let step = tokio::select! {
                biased;
                close = end(&mut self.ended) => Step::End(close),
                message = self.socket.recv() => Step::Received(message),
                () = sleep_until(deadline) => Step::Tick,
                answer = self.typist.next() => Step::Send(answer),
                text = self.follower.next() => text.map_or_else(Step::End, Step::Send),
            };
            if let Err(end) = self.take(step).await {
                return end;
            }
        }
    }

    fn deadline(&self) -> Instant {
        let deadline = (self.asked + PING_EVERY).min(self.heard + SILENT);
        if self.follower.resumed() { deadline } else { deadline.min(self.began + RESUME_WITHIN) }
    }

    async fn take(&mut self, step: Step) -> Result<(), Option<Close>> {
        match step {
            Step::End(close) => Err(Some(close)),
            Step::Send(text) => self.say(Message::Text(text)).await,
            Step::Received(None | Some(Ok(Message::Close(_)))) => Err(None),
            Step::Received(Some(message)) => {
                self.heard = Instant::now();
                let Some(message) = understand(message, &self.rate)? else { return Ok(()) };
                match obey(message, &mut self.follower, &mut self.typist)? {
                    Some(answer) => self.say(Message::Text(answer)).await,
                    None => Ok(()),
                }
            }
            Step::Tick => self.tick().await,
        }
    }

    async fn tick(&mut self) -> Result<(), Option<Close>> {
        if !self.follower.resumed() && self.began.elapsed() >= RESUME_WITHIN {
            return Err(Some(Close::NoResume));
        }
        if self.heard.elapsed() >= SILENT {
            return Err(Some(Close::TryLater));
        }
        self.asked = Instant::now();
        self.say(Message::Ping(Bytes::new())).await
    }

    /// Sends, unless the other side takes nothing for too long or the socket has to end meanwhile.
    async fn say(&mut self, message: Message) -> Result<(), Option<Close>> {
        let sent = tokio::select! {
            sent = timeout(STUCK, self.socket.send(message)) => sent,
            close = end(&mut self.ended) => return Err(Some(close)),
        };
        match sent {
            Ok(Ok(())) => Ok(()),
            // Broken or stuck: most likely nothing that is said now arrives either.
            Ok(Err(_)) | Err(_) => Err(Some(Close::TryLater)),
        }
    }
}

async fn end(ended: &mut watch::Receiver<Option<Close>>) -> Close {
    match ended.wait_for(Option::is_some).await {
        Ok(close) => close.unwrap_or(Close::Internal),
        Err(_) => Close::Internal,
    }
}

fn understand(
    message: Result<Message, Error>,
    rate: &DefaultDirectRateLimiter,
) -> Result<Option<FromClient>, Close> {
    let message = message.map_err(broken)?;
    rate.check().map_err(|_| Close::Protocol)?;
    match message {
        Message::Text(text) => serde_json::from_str(&text).map(Some).map_err(|_| Close::Protocol),
        Message::Ping(_) | Message::Pong(_) => Ok(None),
        Message::Binary(_) | Message::Close(_) => Err(Close::Protocol),
    }
}

fn broken(error: Error) -> Close {
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => Close::TooBig,
        _ => Close::Protocol,
    }
}

/// Does what a message says; the answer, if there is one at once.
fn obey(
    message: FromClient,
    follower: &mut Follower,
    typist: &mut Typist,
) -> Result<Option<Utf8Bytes>, Close> {
    if follower.resumed() == matches!(message, FromClient::Resume { .. }) {
        // Once, and first of all.
        return Err(Close::Protocol);
    }
    let refused = |error: InputError| {
        let detail = format!("Nothing was sent: {error}.");
        ToClient::Error { code: error.code(), detail: &detail, fatal: false }.text()
    };
    match message {
        FromClient::Resume { from } => {
            follower.resume(from);
            Ok(None)
        }
        FromClient::Ping {} => Ok(Some(ToClient::Pong.text())),
        FromClient::Resize { columns, rows } => {
            Ok(typist.resize(ConsoleSize { columns, rows }).err().map(refused))
        }
        FromClient::Input { id, text } => {
            let refused = |error: InputError| {
                let detail = format!("Nothing was sent: {error}.");
                let (code, detail) = (Some(error.code()), Some(detail.as_str()));
                ToClient::InputResult { id, ok: false, code, detail }.text()
            };
            Ok(typist.input(id, follower.mode(), &text).err().map(refused))
        }
    }
}
