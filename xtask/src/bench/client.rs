//! The load's side of HTTP: one keep-alive connection, as little work as can be, for it shares the machine with what
//! it measures.

use std::{
    fs::File,
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

/// Bytes read from a download at once.
const DOWNLOAD_BUFFER: usize = 256 * 1024;
const BYTES: &str = "application/octet-stream";

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
        stream.set_write_timeout(Some(TIMEOUT))?;
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
        self.head(customer, method, path, "application/json", body.len() as u64) + body
    }

    fn head(&self, customer: &Customer, method: &str, path: &str, kind: &str, length: u64) -> String {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = KEYS.fetch_add(1, Ordering::Relaxed);
        let (origin, cookie) = (&self.origin, &customer.cookie);
        let host = origin.trim_start_matches("http://");
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nCookie: {cookie}\r\n\
             Idempotency-Key: bench-{key}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        )
    }

    /// Delivers a body as Stripe does, with these headers besides its length.
    pub(super) fn deliver(&mut self, path: &str, signature: &str, body: &str) -> Result<Answer> {
        let host = self.origin.trim_start_matches("http://");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json; charset=utf-8\r\n\
             Stripe-Signature: {signature}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).context("send a request")?;
        self.read()
    }

    /// Sends a file as the body of a PUT.
    pub(super) fn upload(&mut self, customer: &Customer, path: &str, file: &mut File) -> Result<Answer> {
        let length = file.metadata()?.len();
        let head = self.head(customer, "PUT", path, BYTES, length);
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes()).context("send a request")?;
        // From file to socket within the kernel: what the client costs is not what is measured.
        std::io::copy(file, stream).context("send a file")?;
        self.read()
    }

    /// Reads the body of a GET and throws it away. Returns its length.
    pub(super) fn download(&mut self, customer: &Customer, path: &str) -> Result<u64> {
        let head = self.head(customer, "GET", path, BYTES, 0);
        self.stream.get_mut().write_all(head.as_bytes()).context("send a request")?;
        let (status, length) = self.read_head()?;
        ensure!(status == 200, "GET {path}: {status}");
        let length = length.context("a download without Content-Length")?;
        let (mut left, mut buffer) = (length, vec![0; DOWNLOAD_BUFFER]);
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left)?);
            let read = self.stream.read(&mut buffer[..most]).context("read a download")?;
            ensure!(read > 0, "a download broke off");
            left -= read as u64;
        }
        Ok(length)
    }

    fn read(&mut self) -> Result<Answer> {
        let (status, length) = self.read_head()?;
        let length = length.context("an answer without Content-Length")?;
        let mut body = vec![0; usize::try_from(length)?];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, body })
    }

    /// Status and length.
    fn read_head(&mut self) -> Result<(u16, Option<u64>)> {
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
        Ok((status, length))
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
