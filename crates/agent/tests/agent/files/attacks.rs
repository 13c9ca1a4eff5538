//! Everything that was ever tried against such an interface, as a table. Beside the customer's folder lies one that no
//! request may read, change or even touch.

use std::{
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use domain::agent::{ArchiveFormat, FileChange, FileJobSpec, FileJobState, Scope};
use reqwest::Method;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::picture;
use crate::support::TestAgent;

const SECRET: &str = "nobody may read this";

/// One attempt.
#[derive(Clone, Copy, Debug)]
enum Try {
    Get(&'static str),
    /// A query string as it is sent, for `GET content`.
    Raw(&'static str),
    Stat(&'static str),
    List(&'static str),
    Put(&'static str),
    PutParents(&'static str),
    Make(&'static str),
    Rename(&'static str, &'static str),
    Delete(&'static str),
    Mode(&'static str, u32),
    Copy(&'static str, &'static str),
    Pack(&'static str, &'static str),
    Extract(&'static str, &'static str),
    Search(&'static str),
}

use Try::*;

/// What is tried, and the code it ends with; `ok` is success, which must then have stayed inside.
const CORPUS: &[(Try, &str)] = &[
    // Out by dots, in every spelling.
    (Get("../outside/secret"), "path_invalid"),
    (Get(".."), "path_invalid"),
    (Get("dir/../../outside/secret"), "path_invalid"),
    (Get("./../outside/secret"), "path_invalid"),
    (Get("dir/./file"), "path_invalid"),
    (Get("....//outside/secret"), "path_invalid"),
    (Get(".../outside/secret"), "file_not_found"),
    (Get("..;/outside/secret"), "file_not_found"),
    (Get("%2e%2e/outside/secret"), "path_invalid"),
    (Get("%2E%2E%2Foutside%2Fsecret"), "path_invalid"),
    (Get("..%2Foutside%2Fsecret"), "path_invalid"),
    (Get("%252e%252e/outside/secret"), "file_not_found"),
    (Get("%c0%ae%c0%ae/outside/secret"), "path_invalid"),
    (Get("%C0%AE%C0%AE/outside/secret"), "file_not_found"),
    (Get("%C0%AF../outside/secret"), "file_not_found"),
    (Get("%u002e%u002e/outside/secret"), "path_invalid"),
    (Get("..\\outside\\secret"), "file_not_found"),
    (Get("..%5Coutside%5Csecret"), "path_invalid"),
    (Get("．．/outside/secret"), "file_not_found"),
    (Get("․․/outside/secret"), "file_not_found"),
    (Get("..／outside／secret"), "file_not_found"),
    (Get("..∕outside∕secret"), "file_not_found"),
    (Get("dir/..\u{a0}/outside"), "file_not_found"),
    (Raw("path=%2e%2e%2foutside%2fsecret"), "path_invalid"),
    (Raw("path=..%2foutside%2fsecret"), "path_invalid"),
    (Raw("path=%252e%252e%252foutside%252fsecret"), "path_invalid"),
    (Raw("path=%25252e%25252e/outside/secret"), "file_not_found"),
    (Raw("path=%c0%ae%c0%ae%c0%afoutside"), "file_not_found"),
    (Raw("path=dir/file&path=../outside/secret"), "query_invalid"),
    (Raw("path[]=../outside/secret"), "query_invalid"),
    (Raw("PATH=../outside/secret"), "query_invalid"),
    // Absolute, empty, NUL, control characters.
    (Get("/etc/passwd"), "path_invalid"),
    (Get("//etc/passwd"), "path_invalid"),
    (Get("/proc/self/environ"), "path_invalid"),
    (Get("C:\\Windows\\win.ini"), "file_not_found"),
    (Get("file:///etc/passwd"), "path_invalid"),
    (Get("~/secret"), "file_not_found"),
    (Get(""), "is_folder"),
    (Get("dir//file"), "path_invalid"),
    (Get("dir/file/"), "path_invalid"),
    (Get("dir/file%00.txt"), "path_invalid"),
    (Raw("path=dir/file%00.txt"), "path_invalid"),
    (Raw("path=dir/file%0a"), "path_invalid"),
    // The agent's own names.
    (Get(".zlh-files/0"), "path_reserved"),
    (Put(".zlh-files/0"), "path_reserved"),
    (Make(".zlh-tmp"), "path_reserved"),
    (Rename("dir/file", ".zlh-files/x"), "path_reserved"),
    (Delete(".zlh-files"), "path_reserved"),
    // The folder itself.
    (Delete(""), "root_refused"),
    (Rename("", "dir/x"), "request_invalid"),
    (Mode("", 0o777), "root_refused"),
    (Copy("", "dir/x"), "root_refused"),
    (Put(""), "root_refused"),
    // Links that were there before: to a folder, to a file, absolute, to themselves, on the way and at the end.
    (Get("out/secret"), "is_link"),
    (Get("out-absolute/secret"), "is_link"),
    (Get("secret-link"), "is_link"),
    (Get("inner/file"), "is_link"),
    (Get("proc/self/root/etc/passwd"), "is_link"),
    (Get("loop"), "is_link"),
    (Get("loop/file"), "is_link"),
    (List("out"), "is_link"),
    (List("out/deep"), "is_link"),
    (Stat("out/secret"), "is_link"),
    (Search("out"), "is_link"),
    (Put("out/new"), "is_link"),
    (Put("secret-link"), "is_link"),
    (Put("dangling"), "is_link"),
    (PutParents("out/a/b/new"), "is_link"),
    (Make("out/new"), "already_exists"),
    (Make("out"), "already_exists"),
    // Deleting through a link (CVE-2023-25152).
    (Delete("out/secret"), "is_link"),
    (Delete("out/deep"), "is_link"),
    (Delete("out-absolute/deep/file"), "is_link"),
    // Renaming through a link, in both directions (CVE-2023-25168).
    (Rename("out/secret", "stolen"), "is_link"),
    (Rename("dir/file", "out/file"), "is_link"),
    (Rename("dir/file", "out/deep/file"), "is_link"),
    (Rename("out/deep", "out/deeper"), "is_link"),
    (Rename("dir", "dir/inside"), "request_invalid"),
    // Changing permissions through a link (chmod without NOFOLLOW), set-id bits.
    (Mode("secret-link", 0o666), "is_link"),
    (Mode("out/secret", 0o666), "is_link"),
    (Mode("out", 0o777), "is_link"),
    (Mode("dir/file", 0o4755), "request_invalid"),
    (Mode("dir/file", 0o2755), "request_invalid"),
    (Mode("dir/file", 0o1777), "request_invalid"),
    (Mode("hard", 0o666), "hard_linked"),
    // Copying, packing and unpacking through links.
    (Copy("out/secret", "stolen"), "is_link"),
    (Copy("out/deep", "stolen"), "is_link"),
    (Copy("dir", "out/dir"), "is_link"),
    (Pack("out/secret", "stolen.zip"), "is_link"),
    (Pack("dir", "out/dir.zip"), "is_link"),
    (Pack("dir", "secret-link"), "already_exists"),
    (Extract("good.zip", "out"), "is_link"),
    (Extract("good.zip", "out/deep"), "is_link"),
    (Extract("secret-link", "dir"), "is_link"),
    // What is no file: a FIFO must not be waited for, a device not be opened.
    (Get("fifo"), "not_a_file"),
    (Get("device"), "not_a_file"),
    (Get("socket"), "not_a_file"),
    (Put("fifo"), "not_a_file"),
    (Put("device"), "not_a_file"),
    (Mode("fifo", 0o666), "not_a_file"),
    (Mode("device", 0o666), "not_a_file"),
    (Copy("fifo", "copy"), "not_a_file"),
    (Copy("device", "copy"), "not_a_file"),
    (Extract("fifo", "dir"), "not_a_file"),
    // A file as a folder, a folder as a file.
    (Get("dir"), "is_folder"),
    (Get("dir/file/x"), "not_a_folder"),
    (Put("dir"), "is_folder"),
    (List("dir/file"), "not_a_folder"),
    (Put("none/new"), "file_not_found"),
    (Rename("dir/file", "dir/other"), "already_exists"),
    (Rename("none", "other"), "file_not_found"),
    (Make("dir/file"), "already_exists"),
    // Allowed, and staying inside: what is done to a link itself.
    (Stat("out"), "ok"),
    (Rename("out", "renamed"), "ok"),
    (Copy("secret-link", "copied-link"), "ok"),
    (Delete("renamed"), "ok"),
    (Delete("out-absolute"), "ok"),
    (Delete("fifo"), "ok"),
    (Delete("hard"), "ok"),
    (Copy("tricky", "tricky-copy"), "ok"),
    (Pack("tricky", "tricky.tar.gz"), "ok"),
    (Delete("tricky"), "ok"),
];

/// The customer's folder with everything that a game could put there, and the one beside it.
fn plant(agent: &TestAgent) -> PathBuf {
    let (data, outside) = (agent.data(), agent.root.path().join("outside"));
    std::fs::create_dir_all(outside.join("deep")).unwrap();
    for file in ["secret", "deep/file", "hard"] {
        std::fs::write(outside.join(file), SECRET).unwrap();
        std::fs::set_permissions(outside.join(file), PermissionsExt::from_mode(0o600)).unwrap();
    }
    std::fs::create_dir_all(data.join("dir")).unwrap();
    std::fs::create_dir_all(data.join("tricky/sub")).unwrap();
    for file in ["dir/file", "dir/other", "tricky/sub/file"] {
        std::fs::write(data.join(file), "inside").unwrap();
    }
    for (target, link) in [
        ("../outside", "out"),
        (outside.to_str().unwrap(), "out-absolute"),
        ("../outside/secret", "secret-link"),
        ("../outside/new", "dangling"),
        ("dir", "inner"),
        ("/proc", "proc"),
        ("loop", "loop"),
        ("../../outside", "tricky/sub/out"),
        ("../../../outside/secret", "tricky/sub/secret"),
    ] {
        symlink(target, data.join(link)).unwrap();
    }
    std::fs::hard_link(outside.join("hard"), data.join("hard")).unwrap();
    for name in ["fifo", "tricky/fifo"] {
        mknodat(CWD, data.join(name), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    }
    let null = rustix::fs::makedev(1, 3);
    mknodat(CWD, data.join("device"), FileType::CharacterDevice, Mode::from_raw_mode(0o644), null)
        .expect("these tests run as root, to make a device");
    drop(std::os::unix::net::UnixListener::bind(data.join("socket")).unwrap());
    std::fs::write(data.join("good.zip"), super::archives::zip_of(&[("a/b", b"x")])).unwrap();
    outside
}

/// The code it ends with, and everything that it answered.
async fn attempt(agent: &TestAgent, attempt: Try) -> (String, String) {
    let content = |method, path| agent.files(method, "content", &[("path", path)]);
    let change = |change| agent.files(Method::POST, "change", &[]).json(&change);
    let request = match attempt {
        Get(path) => content(Method::GET, path),
        Raw(query) => agent
            .client
            .get(format!("{}/v1/files/content?{query}", agent.url))
            .bearer_auth(agent.token(Scope::Files)),
        Stat(path) => agent.files(Method::GET, "stat", &[("path", path)]),
        List(path) => agent.files(Method::GET, "list", &[("path", path)]),
        Put(path) => content(Method::PUT, path).body("written"),
        PutParents(path) => {
            agent.files(Method::PUT, "content", &[("path", path), ("parents", "true")]).body("x")
        }
        Make(path) => change(FileChange::MakeFolder { path: path.into() }),
        Rename(from, to) => change(FileChange::Rename { from: from.into(), to: to.into() }),
        Delete(path) => change(FileChange::Delete { paths: vec![path.into()] }),
        Mode(path, mode) => change(FileChange::SetMode { path: path.into(), mode }),
        Copy(from, to) => return job(agent, FileJobSpec::Copy { from: from.into(), to: to.into() }).await,
        Pack(path, to) => {
            let (paths, to, format) = (vec![path.into()], to.into(), ArchiveFormat::TarGz);
            return job(agent, FileJobSpec::Archive { paths, to, format }).await;
        }
        Extract(path, to) => {
            let (path, to, replace) = (path.into(), to.into(), true);
            return job(agent, FileJobSpec::Extract { path, to, replace }).await;
        }
        Search(path) => return job(agent, FileJobSpec::Search { path: path.into(), name: "e".into() }).await,
    };
    let response = request.timeout(Duration::from_secs(10)).send().await.expect("an answer, soon");
    let success = response.status().is_success();
    let text = response.text().await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    (if success { "ok".into() } else { body["code"].as_str().unwrap_or("none").to_owned() }, text)
}

async fn job(agent: &TestAgent, spec: FileJobSpec) -> (String, String) {
    let job = agent.job(spec).await;
    let code =
        if job.state == FileJobState::Succeeded { "ok".into() } else { job.error.clone().unwrap().code };
    (code, format!("{job:?}"))
}

#[tokio::test]
async fn no_request_reaches_anything_outside() {
    const { assert!(CORPUS.len() >= 60) };
    let agent = TestAgent::start();
    let outside = plant(&agent);
    let before = picture(&outside);
    let mut unexpected = Vec::new();
    for (what, expected) in CORPUS {
        let (code, said) = attempt(&agent, *what).await;
        if code != *expected {
            unexpected.push(format!("{what:?}: {code} instead of {expected}: {said}"));
        }
        assert!(!said.contains(SECRET), "{what:?} read a secret: {said}");
        assert_eq!(picture(&outside), before, "{what:?} changed what lies outside");
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert_eq!(std::fs::read(agent.data().join("dir/file")).unwrap(), b"inside");
    assert!(!agent.data().join("tricky").exists() && agent.data().join("tricky-copy/sub/file").exists());
    assert_copies_hold_no_secret(&agent.data());
    agent.assert_nothing_unfinished();
}

/// No copy of the secret lies in the customer's folder now.
fn assert_copies_hold_no_secret(data: &Path) {
    let secret = format!("{:?}", SECRET.as_bytes());
    for line in picture(data) {
        assert!(!line.ends_with(&secret), "{line}");
    }
}

/// The path is what it should be when it is looked at, and a link when it is used (CVE-2024-27102, and many others).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_becomes_a_link_during_the_request_leads_nowhere() {
    let agent = TestAgent::start();
    let outside = agent.root.path().join("outside");
    std::fs::create_dir_all(outside.join("deep")).unwrap();
    for file in ["file", "deep/file"] {
        std::fs::write(outside.join(file), SECRET).unwrap();
    }
    let before = picture(&outside);
    let data = agent.data();
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let (swapper, swapping) = (stop.clone(), data.clone());
    let thread = std::thread::spawn(move || swap_until(&swapper, &swapping));
    let end = Instant::now() + Duration::from_secs(6);
    let mut rounds = 0;
    while Instant::now() < end || rounds < 20 {
        rounds += 1;
        race_once(&agent, rounds).await;
        assert_eq!(picture(&outside), before, "after {rounds} rounds");
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = thread.join().unwrap();
    assert!(swaps > rounds, "{swaps} swaps in {rounds} rounds");
    assert_copies_hold_no_secret(&data);
}

/// What a game could do: `race/spot` is a folder, then a link to the outside, then a folder, and so on.
fn swap_until(stop: &AtomicBool, data: &Path) -> usize {
    std::fs::create_dir_all(data.join("race/real/deep")).unwrap();
    for file in ["file", "deep/file"] {
        std::fs::write(data.join("race/real").join(file), "inside").unwrap();
    }
    symlink("../../outside", data.join("race/link")).unwrap();
    std::fs::create_dir(data.join("race/spot")).unwrap();
    let (spot, real, link) = (data.join("race/spot"), data.join("race/real"), data.join("race/link"));
    let exchange = |other: &Path| {
        let flags = rustix::fs::RenameFlags::EXCHANGE;
        // The spot may have been deleted by a request.
        let _ = rustix::fs::renameat_with(CWD, &spot, CWD, other, flags);
    };
    let mut swaps = 0;
    while !stop.load(Ordering::Relaxed) {
        exchange(&real);
        exchange(&link);
        exchange(&link);
        exchange(&real);
        swaps += 4;
        if !spot.exists() && spot.symlink_metadata().is_err() {
            let _ = std::fs::create_dir(&spot);
        }
    }
    swaps
}

async fn race_once(agent: &TestAgent, round: usize) {
    for what in [
        Get("race/spot/file"),
        Get("race/spot/deep/file"),
        List("race/spot"),
        Put("race/spot/file"),
        Put("race/spot/deep/new"),
        PutParents("race/spot/a/b"),
        Make("race/spot/made"),
        Mode("race/spot/file", 0o666),
        Mode("race/spot", 0o777),
        Rename("race/spot/file", "race/spot/deep/moved"),
        Rename("race/spot/deep/moved", "race/spot/file"),
        Search("race"),
    ] {
        let (_, said) = attempt(agent, what).await;
        assert!(!said.contains(SECRET), "{what:?} in round {round}: {said}");
    }
    let (copy, archive) = (format!("copy-{round}"), format!("archive-{round}.tar.gz"));
    let paths = vec!["race/spot".to_owned()];
    agent.job(FileJobSpec::Copy { from: "race/spot".into(), to: copy }).await;
    agent.job(FileJobSpec::Archive { paths, to: archive.clone(), format: ArchiveFormat::TarGz }).await;
    let to = format!("unpacked-{round}");
    agent.job(FileJobSpec::Extract { path: archive.clone(), to, replace: false }).await;
    agent.job(FileJobSpec::Extract { path: archive, to: "race/spot".into(), replace: true }).await;
    attempt(agent, Delete("race/spot/deep/file")).await;
    if round.is_multiple_of(7) {
        attempt(agent, Delete("race/spot")).await;
    }
}
