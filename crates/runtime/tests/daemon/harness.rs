//! Starts the daemon of `child` as a process, plays its service manager, and asks its health server.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixDatagram,
    process::{Child, Command},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub(crate) const SERVED: u16 = 200;
/// Far longer than anything takes; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Daemon {
    folder: TempDir,
    notices: Receiver<String>,
    child: Child,
}

impl Daemon {
    /// Starts the daemon in that mode and waits until its health server answers.
    pub(crate) fn start(mode: &str, environment: &[(&str, &str)]) -> Self {
        let mut daemon = Self::spawn(mode, environment);
        let path = daemon.folder.path().join("health");
        until("the daemon's address", || {
            assert!(daemon.is_running(), "the daemon ended: {}", daemon.log());
            fs::read_to_string(&path).is_ok_and(|address| !address.is_empty())
        });
        daemon
    }

    /// Starts the daemon in that mode.
    #[expect(clippy::disallowed_methods, reason = "a test of processes starts one")]
    pub(crate) fn spawn(mode: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("notify");
        let notices = listen(UnixDatagram::bind(&socket).unwrap());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child::child", "--ignored", "--nocapture"])
            .env("TEST_MODE", mode)
            .env("TEST_DIR", folder.path())
            .env("NOTIFY_SOCKET", &socket)
            .env("ZLH_HEALTH__LISTEN", "127.0.0.1:0")
            .env("ZLH_DATABASE__URL", "postgres://nobody@127.0.0.1:1/nothing")
            .env("ZLH_REDIS__URL", "redis://127.0.0.1:1")
            .envs(environment.iter().copied())
            .stdout(File::create(folder.path().join("stdout")).unwrap())
            .stderr(File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        Self { folder, notices, child }
    }

    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn exit_code(&mut self) -> i32 {
        until("the daemon's end", || !self.is_running());
        self.child.wait().unwrap().code().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("stdout")).unwrap()
    }

    pub(crate) fn touch(&self, name: &str) {
        File::create(self.folder.path().join(name)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    pub(crate) fn expect_notice(&self, expected: &str) {
        until(expected, || self.next_notice(PATIENCE).as_deref() == Some(expected));
    }

    /// Reads what was said until nothing has been said for so long.
    pub(crate) fn expect_silence(&self, span: Duration) {
        until("silence", || self.next_notice(span).is_none());
    }

    /// The next message to the service manager, if one comes in time.
    fn next_notice(&self, patience: Duration) -> Option<String> {
        self.notices.recv_timeout(patience).ok()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let address = fs::read_to_string(self.folder.path().join("health")).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        (status, answer)
    }

    pub(crate) fn get_until(&self, path: &str, holds: impl Fn(u16, &str) -> bool) -> (u16, String) {
        let mut answer = self.get(path);
        until(path, || {
            answer = self.get(path);
            holds(answer.0, &answer.1)
        });
        answer
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what the daemon says as it says it, as a service manager does: the socket's queue is short, and a full one
/// blocks the daemon.
fn listen(socket: UnixDatagram) -> Receiver<String> {
    let (received, notices) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(length) = socket.recv(&mut buffer) {
            let notice = String::from_utf8_lossy(&buffer[..length]).trim().to_owned();
            if received.send(notice).is_err() {
                break;
            }
        }
    });
    notices
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
