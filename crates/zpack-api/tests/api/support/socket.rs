//! A console's socket as a client has it.

use std::{collections::VecDeque, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::Client;

/// An open socket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    entries: VecDeque<Value>,
}

/// What is heard.
#[derive(Debug, PartialEq)]
pub enum Heard {
    Message(Value),
    Closed(u16),
    Gone,
}

/// A refused upgrade: status and problem.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub code: String,
}

impl Socket {
    /// Opens an instance's console with this client's credentials and these headers.
    pub async fn try_open(
        client: &Client,
        id: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Refused> {
        let url = client.base.replace("http://", "ws://") + &format!("/api/instances/{id}/console");
        let mut request = url.into_client_request().unwrap();
        let mut header = |name: &'static str, value: &str| {
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        };
        if let Some(cookie) = &client.cookie {
            header("cookie", cookie);
        }
        if let Some(key) = &client.key {
            header("authorization", &format!("Bearer {key}"));
        }
        for (name, value) in headers {
            header(name, value);
        }
        match connect_async(request).await {
            Ok((stream, _)) => Ok(Self { stream, entries: VecDeque::new() }),
            Err(Error::Http(answer)) => {
                assert_eq!(answer.headers()["content-type"], "application/problem+json");
                let body: Value =
                    serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap();
                let code = body["code"].as_str().unwrap().to_owned();
                Err(Refused { status: answer.status().as_u16(), code })
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens a console as a browser on our own page does.
    pub async fn open(client: &Client, id: &str) -> Self {
        Self::try_open(client, id, &[("origin", "http://127.0.0.1:8080")]).await.expect("a socket")
    }

    /// Opens a console, hears the greeting and says where to begin.
    pub async fn resume(client: &Client, id: &str, from: Option<u64>) -> Self {
        let mut socket = Self::open(client, id).await;
        let hello = socket.message().await;
        assert_eq!(hello["type"], "hello", "{hello}");
        socket
            .say(from.map_or(json!({ "type": "resume" }), |from| json!({ "type": "resume", "from": from })))
            .await;
        socket
    }

    pub async fn say(&mut self, message: Value) {
        self.send(Message::text(message.to_string())).await;
    }

    pub async fn send(&mut self, message: Message) {
        self.stream.send(message).await.expect("the socket to be open");
    }

    /// What is heard next, within 20 s.
    pub async fn hear(&mut self) -> Heard {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.stream.next()).await;
            return match next.expect("something within 20 s") {
                Some(Ok(Message::Text(text))) => Heard::Message(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(frame)))) => Heard::Closed(frame.code.into()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(_)) | None => Heard::Gone,
            };
        }
    }

    pub async fn message(&mut self) -> Value {
        match self.hear().await {
            Heard::Message(message) => message,
            other => panic!("{other:?} instead of a message"),
        }
    }

    /// The next message of this type.
    pub async fn find(&mut self, kind: &str) -> Value {
        loop {
            let message = self.message().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// The next piece of output; a gap's message where numbers are lost.
    pub async fn entry(&mut self) -> Value {
        loop {
            if let Some(entry) = self.entries.pop_front() {
                return entry;
            }
            let message = self.message().await;
            match message["type"].as_str() {
                Some("output") => self.entries.extend(message["entries"].as_array().unwrap().iter().cloned()),
                Some("gap") => return message,
                _ => {}
            }
        }
    }

    /// Fails unless exactly these numbers come next.
    pub async fn expect_entries(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            let entry = self.entry().await;
            assert_eq!(entry["seq"], number, "{entry}");
        }
    }

    /// The code that it is closed with; the last message before it.
    pub async fn closed(&mut self) -> (u16, Value) {
        let mut last = Value::Null;
        loop {
            match self.hear().await {
                Heard::Message(message) => last = message,
                Heard::Closed(code) => return (code, last),
                Heard::Gone => panic!("gone without a close code; before: {last}"),
            }
        }
    }
}
