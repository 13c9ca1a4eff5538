//! An artifact source that plays scenarios: each connection gets the next answer, the last one for ever.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use domain::agent::{InstallStep, Unpack};
use ring::digest::{SHA256, digest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

#[derive(Clone)]
pub enum Answer {
    /// A whole file.
    File(Vec<u8>),
    /// A status without content.
    Status(u16),
    /// The length of all, but only so many bytes; then the connection is closed.
    Cut(Vec<u8>, usize),
    /// Without a length; ends when the connection does.
    Unmeasured(Vec<u8>),
    /// A redirect to a path of this source.
    Redirect(&'static str),
    /// The length of all, so many bytes, and then nothing.
    Hang(Vec<u8>, usize),
}

pub struct Source {
    pub port: u16,
    asked: Arc<Mutex<usize>>,
}

impl Source {
    pub async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut answers: VecDeque<Answer> = answers.into();
            while let Ok((mut stream, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        request.push(stream.read_u8().await?);
                    }
                    answer(&mut stream, next.unwrap()).await
                });
            }
        });
        Self { port, asked }
    }

    pub fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }

    pub fn step(&self, content: &[u8], path: &str, unpack: Option<Unpack>) -> InstallStep {
        download(self.port, content, path, unpack)
    }
}

pub fn download(port: u16, content: &[u8], path: &str, unpack: Option<Unpack>) -> InstallStep {
    InstallStep::Download {
        url: format!("http://127.0.0.1:{port}/files/server.bin?signature=secret"),
        sha256: hex::encode(digest(&SHA256, content)),
        size: content.len() as u64,
        path: path.into(),
        unpack,
    }
}

async fn answer(stream: &mut tokio::net::TcpStream, answer: Answer) -> std::io::Result<()> {
    let head =
        |status: u16, headers: &str| format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}\r\n");
    let length = |content: &[u8]| format!("content-length: {}\r\n", content.len());
    let (head, body, hang) = match answer {
        Answer::File(content) => (head(200, &length(&content)), content, false),
        Answer::Status(status) => (head(status, "content-length: 0\r\n"), vec![], false),
        Answer::Cut(content, bytes) => (head(200, &length(&content)), content[..bytes].to_vec(), false),
        Answer::Unmeasured(content) => (head(200, ""), content, false),
        Answer::Redirect(to) => {
            (head(302, &format!("location: {to}\r\ncontent-length: 0\r\n")), vec![], false)
        }
        Answer::Hang(content, bytes) => (head(200, &length(&content)), content[..bytes].to_vec(), true),
    };
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    if hang {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await
}
