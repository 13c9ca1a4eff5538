//! Somebody who watches a console and connects again whenever that ends, as a browser's page does.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue},
};
use tokio_util::sync::CancellationToken;

use crate::{Customer, Town};

/// Between two tries to connect.
const AGAIN: Duration = Duration::from_millis(100);

/// What somebody has seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// Every piece of output, as it came: number and text.
    pub entries: Vec<(u64, String)>,
    /// Every other message.
    pub others: Vec<Value>,
    /// Sockets that were opened.
    pub connections: usize,
    /// The codes that they were closed with; 1006 stands for a connection that broke.
    pub closes: Vec<u16>,
}

/// Somebody who watches. Dropped, they leave.
pub struct Watcher {
    seen: Arc<Mutex<Seen>>,
    left: CancellationToken,
    thread: Option<thread::JoinHandle<()>>,
}

struct Page {
    url: String,
    headers: Vec<(&'static str, String)>,
    seen: Arc<Mutex<Seen>>,
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher {
    /// Watches an instance's console from its first line on.
    pub fn start(town: &Town, customer: &Customer, instance: &str) -> Self {
        let url = town.stack.api_url().replace("http://", "ws://");
        let (seen, left) = (Arc::new(Mutex::default()), CancellationToken::new());
        let page = Page {
            url: format!("{url}/api/instances/{instance}/console"),
            headers: customer.browser().map(|(name, value)| (name, value.to_owned())).to_vec(),
            seen: seen.clone(),
        };
        let until = left.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(until.run_until_cancelled(page.watch()));
        });
        Self { seen, left, thread: Some(thread) }
    }

    /// What was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.left.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Page {
    async fn watch(&self) {
        loop {
            let code = self.connect().await.unwrap_or(1006);
            lock(&self.seen).closes.push(code);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// One connection to its end: the code that it was closed with.
    async fn connect(&self) -> Result<u16, Error> {
        let mut request = self.url.as_str().into_client_request()?;
        for (name, value) in &self.headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).expect("a header"));
        }
        let (mut socket, _) = connect_async(request).await?;
        let from = {
            let mut seen = lock(&self.seen);
            seen.connections += 1;
            seen.entries.last().map_or(1, |(last, _)| last + 1)
        };
        socket.send(Message::text(json!({ "type": "resume", "from": from }).to_string())).await?;
        while let Some(message) = socket.next().await {
            match message? {
                Message::Text(text) => self.note(&serde_json::from_str(&text).expect("JSON")),
                Message::Close(frame) => return Ok(frame.map_or(1005, |frame| frame.code.into())),
                _ => {}
            }
        }
        Ok(1006)
    }

    fn note(&self, message: &Value) {
        let mut seen = lock(&self.seen);
        if message["type"] != "output" {
            seen.others.push(message.clone());
            return;
        }
        for entry in message["entries"].as_array().expect("entries") {
            let number = entry["seq"].as_u64().expect("a number");
            seen.entries.push((number, entry["text"].as_str().expect("a text").to_owned()));
        }
    }
}
