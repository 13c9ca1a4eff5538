//! The load's side of HTTP: one keep-alive connection, as little work as can be, for it shares the machine with what
//! it measures.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::customers::Customer;

/// For a whole answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A connection that stays open.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    origin: String,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    /// Status code.
    pub(super) status: u16,
    /// As it came.
    pub(super) body: Vec<u8>,
}

impl Connection {
    /// To `origin`, `http://HOST:PORT`.
    pub(super) fn open(origin: &str) -> Result<Self> {
        let address = origin.strip_prefix("http://").context("not an http address")?;
        let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { stream: BufReader::new(stream), origin: origin.to_owned() })
    }

    /// Asks as `customer`, with an idempotency key of its own, and reads the whole answer.
    pub(super) fn ask(
        &mut self,
        customer: &Customer,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<Answer> {
        let request = self.request(customer, method, path, body);
        self.stream.get_mut().write_all(request.as_bytes()).context("send a request")?;
        self.read()
    }

    /// As a browser asks: by session cookie, and with the page's own origin.
    fn request(&self, customer: &Customer, method: &str, path: &str, body: &str) -> String {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = KEYS.fetch_add(1, Ordering::Relaxed);
        let (origin, cookie, length) = (&self.origin, &customer.cookie, body.len());
        let host = origin.trim_start_matches("http://");
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nCookie: {cookie}\r\n\
             Idempotency-Key: bench-{key}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }

    fn read(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line).context("read an answer")?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("not HTTP")?;
        let mut length = None;
        loop {
            line.clear();
            ensure!(self.stream.read_line(&mut line)? > 0, "the answer ends in its headers");
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            }
        }
        let mut body = vec![0; length.context("an answer without Content-Length")?];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, body })
    }
}

impl Answer {
    /// The body of a 2xx answer; else an error with the whole answer.
    pub(super) fn expect(self, what: &str) -> Result<Value> {
        let text = || String::from_utf8_lossy(&self.body);
        ensure!((200..300).contains(&self.status), "{what}: {} {}", self.status, text());
        serde_json::from_slice(&self.body).with_context(|| format!("{what}: {}", text()))
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn two_answers_come_over_one_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            for answer in
                ["202 Accepted\r\ncontent-length: 2\r\n\r\n{}", "404 No\r\nContent-Length: 0\r\n\r\n"]
            {
                let head = stream.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty());
                assert_eq!(head.filter(|line| line == "Cookie: a=b").count(), 1);
                stream.get_mut().write_all(format!("HTTP/1.1 {answer}").as_bytes()).unwrap();
            }
        });
        let customer = Customer { cookie: "a=b".into(), ..Customer::default() };
        let mut connection = Connection::open(&origin).unwrap();
        assert_eq!(
            connection.ask(&customer, "GET", "/", "").unwrap().expect("x").unwrap(),
            serde_json::json!({})
        );
        assert_eq!(connection.ask(&customer, "GET", "/", "").unwrap().status, 404);
        server.join().unwrap();
    }
}
