//! A real S3 server (npm s3rver), which neither aborts uploads nor cuts listings short (`s3_faults` has that). It looks at whose credentials are used and when they expire; of signatures it checks
//! only those of version 2, which are not ours.

use std::{
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use domain::objects::S3Bucket;
use integrations::objects::{ObjectError, ObjectStore as _, S3Store};
use tempfile::TempDir;

use super::contract;

/// s3rver's only credentials.
const CREDENTIALS: &str = "S3RVER";
/// S3's smallest part but the last.
const PART: usize = 5 * 1024 * 1024;

struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Server {
    fn start() -> Self {
        let js =
            std::env::var_os("ZLH_TEST_JS").expect("ZLH_TEST_JS is set: run the tests by `cargo xtask test`");
        let program = PathBuf::from(js).join("node_modules/s3rver/bin/s3rver.js");
        assert!(program.exists(), "{} is missing: `npm ci` in tests/js", program.display());
        let folder = TempDir::new().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = Command::new("node");
        command.arg(program).args(["--silent", "--address", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("--directory").arg(folder.path()).args([
            "--no-vhost-buckets",
            "--configure-bucket",
            "backups",
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, port, _folder: folder };
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                server.child.try_wait().unwrap().is_none() && Instant::now() < end,
                "s3rver does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn store(&self, access_key_id: &str, bucket: &str) -> S3Store {
        let config = S3Bucket {
            endpoint: format!("http://127.0.0.1:{}", self.port),
            region: "us-east-1".into(),
            bucket: bucket.into(),
            access_key_id: access_key_id.into(),
            path_style: true,
        };
        S3Store::new(&config, CREDENTIALS).unwrap()
    }
}

#[tokio::test]
async fn a_bucket_keeps_the_contract() {
    let server = Server::start();
    contract::holds_but_for_aborts(&server.store(CREDENTIALS, "backups"), PART).await;
}

#[tokio::test]
async fn credentials_that_are_refused_are_told_and_never_shown() {
    let server = Server::start();
    let store = server.store("unknown", "backups");
    for refused in [
        store.begin_upload("a").await.map(drop),
        store.get("a", 1).await.map(drop),
        store.list("", None, 1).await.map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(&error, ObjectError::Refused(why) if why.contains("InvalidAccessKeyId")), "{error}");
        assert!(!error.to_string().contains("X-Amz") && !error.is_transient());
    }
    assert!(!format!("{store:?}").contains(CREDENTIALS));
    let missing = server.store(CREDENTIALS, "no-such-bucket").begin_upload("a").await.unwrap_err();
    assert!(matches!(&missing, ObjectError::Refused(why) if why.contains("NoSuchBucket")), "{missing}");
}
