//! The binary itself: its commands, and a run from start to SIGTERM.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use reqwest::Method;
use secrecy::ExposeSecret as _;
use store::testing::{REDIS_ENV, TestDatabase, required};
use tempfile::TempDir;

use crate::support::{Client, PASSWORD};

#[expect(clippy::disallowed_methods, reason = "the binary under test")]
fn zpack_api(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zpack-api"));
    command.env_clear().env("ZLH_CONFIG", folder.join("zlh.toml")).current_dir(folder);
    command
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with everything that the binary is configured with.
fn installation(database: &TestDatabase) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = folder.path().join("catalogue");
    std::fs::create_dir_all(catalogue.join("blueprints")).unwrap();
    std::fs::write(catalogue.join("plans.toml"), "plan = []").unwrap();
    std::fs::write(folder.path().join("agent.key"), domain::token::generate_key().unwrap()).unwrap();
    std::fs::write(folder.path().join("objects.key"), "k".repeat(32)).unwrap();
    std::fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    std::fs::write(folder.path().join("owner-url"), database.url("zlh").expose_secret()).unwrap();
    let config = format!(
        "[api]\nlisten = \"127.0.0.1:0\"\n[health]\nlisten = \"127.0.0.1:0\"\n[catalogue]\ndir = \"catalogue\"\n\
         [database]\nurl = \"{}\"\n[redis]\nurl = \"{}\"\n[agent]\nkey_file = \"agent.key\"\n\
         [objects]\nfolder = \"backups\"\nlisten = \"127.0.0.1:0\"\nkey_file = \"objects.key\"\n\
         [logging]\nformat = \"json\"\n",
        database.url("zlh_api").expose_secret(),
        required(REDIS_ENV),
    );
    std::fs::write(folder.path().join("zlh.toml"), config).unwrap();
    folder
}

#[tokio::test]
async fn commands_that_need_no_configuration_have_none() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(zpack_api(folder.path()).arg("openapi"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("{\n  \"openapi\": \"3.1.0\""));
    let output = run(zpack_api(folder.path()).arg("config-reference"));
    assert!(text(&output.stdout).contains("| `public_url` |"), "{}", text(&output.stdout));
    let output = run(zpack_api(folder.path()).arg("check-config"));
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("zlh.toml"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_configuration_is_checked_and_shown_without_its_secrets() {
    let database = TestDatabase::create().await;
    let folder = installation(&database);
    let output = run(zpack_api(folder.path()).arg("check-config"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("[api]"));
    assert!(!text(&output.stdout).contains("postgres://"));
    let output = run(zpack_api(folder.path()).arg("check-config").env("ZLH_API__PUBLIC_URL", "panel"));
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("api.public_url"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_key_is_made_and_its_public_half_shown() {
    let database = TestDatabase::create().await;
    let folder = installation(&database);
    let key = text(&run(zpack_api(folder.path()).arg("generate-key")).stdout);
    std::fs::write(folder.path().join("agent.key"), &key).unwrap();
    let public = text(&run(zpack_api(folder.path()).arg("public-key")).stdout);
    let signer = domain::token::Signer::from_base64("zpack-api", &key).unwrap();
    assert_eq!(public.trim(), signer.trusted_key(vec![]).public_key);
}

#[tokio::test]
async fn a_schema_is_brought_up_to_date_as_often_as_one_likes() {
    let database = TestDatabase::create().await;
    let folder = installation(&database);
    let url = folder.path().join("owner-url");
    for _ in 0..2 {
        let output = run(zpack_api(folder.path()).arg("migrate").arg("--database-url-file").arg(&url));
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

#[tokio::test]
async fn accounts_are_made_without_a_password_on_the_command_line() {
    let database = TestDatabase::create().await;
    let folder = installation(&database);
    let file = folder.path().join("password");
    let output = run(zpack_api(folder.path())
        .args(["create-operator", "Root@example.org", "--password-file"])
        .arg(&file));
    assert!(output.status.success(), "{}", text(&output.stderr));
    uuid::Uuid::parse_str(text(&output.stdout).trim()).expect("its id");

    let mut child = zpack_api(folder.path())
        .args(["create-customer", "ada@example.org", "--instance-limit", "7"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let made = "SELECT count(*) FROM customers WHERE (email, role, instance_limit) IN
                (('root@example.org', 'operator', 3), ('ada@example.org', 'customer', 7))";
    assert_eq!(database.count(made).await, 2);

    let again = run(zpack_api(folder.path())
        .args(["create-operator", "root@example.org", "--password-file"])
        .arg(&file));
    assert!(!again.status.success());
    assert!(text(&again.stderr).contains("address is taken"), "{}", text(&again.stderr));
    let hidden = run(zpack_api(folder.path())
        .args(["create-operator", "eve", "--display-name", "E\u{202E}ve", "--password-file"])
        .arg(&file));
    assert!(!hidden.status.success());
    for field in ["display_name: a name has no invisible", "email: this is not an e-mail address"] {
        assert!(text(&hidden.stderr).contains(field), "{}", text(&hidden.stderr));
    }
    let argument =
        run(zpack_api(folder.path()).args(["create-operator", "eve@example.org", "--password", PASSWORD]));
    assert!(!argument.status.success());
}

/// A running daemon; killed when the test fails.
struct Daemon {
    child: Child,
    base: String,
}

impl Daemon {
    fn start(folder: &Path) -> Self {
        let mut child = zpack_api(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line =
            lines.by_ref().map(Result::unwrap).find(|line| line.contains("listening")).expect("to listen");
        let address = line.split("127.0.0.1:").nth(1).unwrap();
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        // Keeps the pipe from filling up.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, base: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_daemon_serves_and_ends_at_once_when_told_to_even_with_a_stream_open() {
    let database = TestDatabase::create().await;
    let folder = installation(&database);
    let mut daemon = Daemon::start(folder.path());
    let client = Client::register(&daemon.base, "ada@example.org").await;
    client.get("/api/me").await.expect(200);
    let mut stream = client.request(Method::GET, "/api/events").send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());

    let pid = rustix::process::Pid::from_child(&daemon.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();

    let ended = async { while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {} };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the stream to end");
    let status = tokio::task::spawn_blocking(move || daemon.child.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{status}");
}
