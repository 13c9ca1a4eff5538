//! The sandbox as a process: files whole and in ranges, each fault as a client sees it, and Stripe and a mail relay as their callers do.

mod smtp;
mod stripe;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

const FILE: &str = "/minecraft/paper/1.21/server.jar";

struct Sandbox {
    child: Child,
    base: String,
    client: Client,
    content: Vec<u8>,
    /// What it said first, by lines.
    said: Vec<String>,
    _folder: TempDir,
}

impl Sandbox {
    fn start() -> Self {
        Self::start_with(&[])
    }

    #[expect(clippy::disallowed_methods, reason = "a test of processes starts one")]
    fn start_with(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let path = folder.path().join(FILE.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &content).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_zlh-sandbox"))
            .args(["serve", "--listen", "127.0.0.1:0", "--artifacts"])
            .arg(folder.path())
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(3);
        let said: Vec<String> = lines.map(Result::unwrap).collect();
        let base = said[0].strip_prefix("listening on ").unwrap().to_owned();
        Self { child, base, client: Client::new(), content, said, _folder: folder }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.client.get(url).timeout(Duration::from_secs(20))
    }

    async fn break_with(&self, fault: Value) {
        let url = format!("{}/_faults", self.base);
        let answer = self.client.post(url).json(&fault).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{}", answer.text().await.unwrap());
    }

    async fn mend(&self) {
        let url = format!("{}/_faults", self.base);
        self.client.delete(url).send().await.unwrap();
    }

    /// Has it end in an orderly way.
    async fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert!(status.success(), "{status}");
    }

    async fn download(&self) -> Vec<u8> {
        let answer = self.get(FILE).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.bytes().await.unwrap().to_vec()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_file_is_served_whole_and_in_ranges() {
    let sandbox = Sandbox::start();
    assert_eq!(sandbox.get("/healthz").send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(sandbox.download().await, sandbox.content);

    let rest = sandbox.get(FILE).header("range", "bytes=199990-").send().await.unwrap();

    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(rest.bytes().await.unwrap(), &sandbox.content[199_990..]);
}

#[tokio::test]
async fn nothing_outside_the_folder_is_served() {
    let sandbox = Sandbox::start();
    let answer = sandbox.get("/%2e%2e/%2e%2e/etc/passwd").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_artifact_goes_missing_and_comes_back() {
    let sandbox = Sandbox::start();
    sandbox.break_with(json!({"path_prefix": "/minecraft/", "kind": "not_found"})).await;
    assert_eq!(sandbox.get(FILE).send().await.unwrap().status(), StatusCode::NOT_FOUND);

    sandbox.mend().await;

    assert_eq!(sandbox.download().await, sandbox.content);
}

#[tokio::test]
async fn a_fault_below_another_path_changes_nothing() {
    let sandbox = Sandbox::start();
    sandbox.break_with(json!({"path_prefix": "/luanti/", "kind": "not_found"})).await;
    assert_eq!(sandbox.download().await, sandbox.content);
}

#[tokio::test]
async fn wrong_bytes_keep_their_length() {
    let sandbox = Sandbox::start();
    sandbox.break_with(json!({"path_prefix": FILE, "kind": "wrong_bytes"})).await;

    let body = sandbox.download().await;

    assert_eq!(body.len(), sandbox.content.len());
    assert_ne!(body, sandbox.content);
}

#[tokio::test]
async fn a_cut_breaks_the_connection_in_the_middle() {
    let sandbox = Sandbox::start();
    sandbox.break_with(json!({"path_prefix": FILE, "kind": "cut", "after_bytes": 70_000})).await;

    let mut answer = sandbox.get(FILE).send().await.unwrap();
    assert_eq!(answer.content_length(), Some(200_000));
    let mut received = Vec::new();
    let error = loop {
        match answer.chunk().await {
            Ok(Some(piece)) => received.extend_from_slice(&piece),
            Ok(None) => panic!("the body ended well after {} bytes", received.len()),
            Err(error) => break error,
        }
    };

    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(received, sandbox.content[..70_000]);
}

#[tokio::test]
async fn a_slow_artifact_takes_its_time_and_arrives_whole() {
    let sandbox = Sandbox::start();
    sandbox.break_with(json!({"path_prefix": FILE, "kind": "slow", "delay_ms": 50})).await;
    let began = Instant::now();

    let body = sandbox.download().await;

    assert_eq!(body, sandbox.content);
    // 200,000 bytes are at least four pieces.
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_fault_for_one_request_spoils_one_request() {
    let sandbox = Sandbox::start();
    sandbox.break_with(json!({"path_prefix": FILE, "kind": "not_found", "times": 1})).await;
    assert_eq!(sandbox.get(FILE).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(sandbox.download().await, sandbox.content);
    let left: Value = sandbox.get("/_faults").send().await.unwrap().json().await.unwrap();
    assert_eq!(left, json!([]));
}

#[tokio::test]
async fn a_misspelt_fault_is_refused() {
    let sandbox = Sandbox::start();
    let url = format!("{}/_faults", sandbox.base);
    for fault in [
        json!({"path_prefix": FILE, "kind": "explode"}),
        json!({"path_prefix": FILE, "kind": "cut", "after_byte": 1}),
    ] {
        let answer = sandbox.client.post(&url).json(&fault).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{fault}");
    }
}

#[tokio::test]
async fn what_the_services_hold_is_on_the_page() {
    let sandbox = Sandbox::start();
    let hash = ring::digest::digest(&ring::digest::SHA256, b"sandbox");
    let server = json!({"server_name": "alpha.play.example", "address": "10.0.0.5", "port": 25_570});
    let register = |server: &Value| {
        let url = format!("{}/velocity/zpack/register", sandbox.base);
        sandbox.client.post(url).header("X-Zpack-Secret", hex::encode(hash)).json(server)
    };
    let add =
        "/technitium/api/zones/records/add?zone=example&type=A&domain=alpha.play.example&ipAddress=10.0.0.2";
    // Once more is the same to both.
    for _ in 0..2 {
        assert_eq!(register(&server).send().await.unwrap().status(), StatusCode::OK);
        let answer: Value =
            sandbox.get(add).bearer_auth("sandbox").send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "ok", "{answer}");
    }
    let page = sandbox.get("/").send().await.unwrap().text().await.unwrap();
    for shown in ["<code>10.0.0.5 port 25570</code>", "<code>10.0.0.2</code>"] {
        assert_eq!(page.matches(shown).count(), 1, "{shown}");
    }
    // Another address, in other case; and another token, which is bad news with a good status.
    let moved = json!({"server_name": "Alpha.play.example", "address": "10.0.0.9", "port": 25_570});
    assert_eq!(register(&moved).send().await.unwrap().status(), StatusCode::CONFLICT);
    let answer = sandbox.get(add).bearer_auth("another").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.json::<Value>().await.unwrap()["status"], "invalid-token");
}

#[tokio::test]
async fn it_ends_well_on_sigterm() {
    Sandbox::start().end().await;
}
