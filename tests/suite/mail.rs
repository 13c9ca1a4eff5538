//! Mail by a relay that is not ours, over STARTTLS and with a login: what is taken, what is refused, and whose fault that is.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use runtime::{
    clock::SystemClock,
    config::MailSection,
    outbox::{Channel, Sender, Settings, run},
};
use serde_json::{Value, json};
use store::{
    outbox::{self, MAX_AGE, NewNotification},
    testing::{TestDatabase, required},
};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use zlh_controller::mail::{Mail, open};

/// The relay as a process, which says what it has taken.
struct Relay {
    process: Child,
    says: BufReader<ChildStdout>,
    port: u16,
    folder: TempDir,
}

impl Relay {
    #[expect(clippy::disallowed_methods, reason = "the relay is a program")]
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let files = ["certificate.pem", "key.pem", "password"].map(|name| folder.path().join(name));
        for (file, content) in files.iter().zip([cert.pem(), signing_key.serialize_pem(), "right".to_owned()])
        {
            fs::write(file, content).expect("a file");
        }
        let python = PathBuf::from("/usr/bin/python3");
        let python = if python.is_file() { python } else { "python3".into() };
        let mut process = Command::new(python)
            .arg(PathBuf::from(required("ZLH_TEST_PY")).join("relay.py"))
            .args(&files)
            .env("PYTHONPATH", required("ZLH_TEST_PY_PACKAGES"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python");
        let says = BufReader::new(process.stdout.take().expect("its output"));
        let mut relay = Self { process, says, port: 0, folder };
        relay.port = u16::try_from(relay.hear()["port"].as_u64().expect("a port")).expect("a port");
        relay
    }

    /// Waits for what it says next.
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("it speaks");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"))
    }

    /// From now on this password is right.
    fn wants(&self, password: &str) {
        fs::write(self.folder.path().join("password"), password).expect("a file");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until a notification is as this condition says.
async fn until(database: &TestDatabase, condition: &str) {
    let sql = format!("SELECT count(*) FROM notifications WHERE {condition}");
    let there = async {
        while database.count(&sql).await == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(Duration::from_secs(20), there).await.is_err() {
        let all = "SELECT string_agg(dedupe_key || ': ' || state || ' ' || coalesce(last_error, ''), '; ') FROM notifications";
        panic!("not {condition}: {}", database.text(all).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_waits_a_refused_recipient_is_given_up_and_the_rest_is_delivered() {
    let mut relay = Relay::start();
    let section = MailSection {
        host: "localhost".into(),
        port: relay.port,
        username: "zlh".into(),
        password: "right".into(),
        from: "ZLH <noreply@example.com>".into(),
        ca_file: Some(relay.folder.path().join("certificate.pem")),
        portal_url: "https://portal.example.com".into(),
        ..MailSection::default()
    };
    // Somebody changed it over there: it is our fault, and nobody else's.
    relay.wants("another");
    let database = TestDatabase::create().await;
    let db = database.role("zlh_controller");
    let add = async |key: &str, payload: Value| {
        let new = NewNotification { channel: "mail", dedupe_key: key, payload: &payload, max_age: MAX_AGE };
        assert!(outbox::enqueue_alone(&database.role("zlh_billing"), &new).await.unwrap());
    };
    let suspended =
        |to: &str| json!({ "template": "billing_suspended", "to": to, "since": "2026-11-01T00:00:00Z" });
    add("good", suspended("ada@example.org")).await;
    add("gone", suspended("gone@example.org")).await;
    add("old shape", json!({ "template": "of a version that never was" })).await;
    let mail: Arc<dyn Channel> =
        Arc::new(Mail::new(db.clone(), open(&section).unwrap(), Arc::new(SystemClock), 5));
    let settings = Settings {
        tick: Duration::from_millis(100),
        blocked_pause: Duration::from_millis(500),
        concurrency: 1,
        ..Settings::default()
    };
    let shutdown = CancellationToken::new();
    let sender = tokio::spawn(run(Sender::new(db, "test", [mail], settings), || {}, shutdown.clone()));
    until(
        &database,
        "state = 'pending' AND failure = 'blocked' AND code = 535 AND last_error LIKE '%refused our login%'",
    )
    .await;
    assert_eq!(database.count("SELECT count(*) FROM notifications WHERE state = 'sent'").await, 0);

    relay.wants("right");
    until(&database, "dedupe_key = 'good' AND state = 'sent'").await;
    until(&database, "dedupe_key = 'gone' AND state = 'dead' AND failure = 'never' AND code = 550").await;
    until(
        &database,
        "dedupe_key = 'old shape' AND state = 'dead' AND last_error LIKE 'this version knows no such mail%'",
    )
    .await;
    let taken = tokio::task::block_in_place(|| relay.hear());
    assert_eq!(
        (&taken["from"], &taken["to"], &taken["tls"]),
        (&json!("noreply@example.com"), &json!(["ada@example.org"]), &json!(true))
    );
    let content = taken["content"].as_str().expect("a message");
    for part in [
        "Auto-Submitted: auto-generated",
        "To: ada@example.org",
        "https://portal.example.com/billing",
        "text/html",
    ] {
        assert!(content.contains(part), "{part}: {content}");
    }
    shutdown.cancel();
    sender.await.unwrap();
}
