//! Output by number, input, terminals: nothing is lost, doubled or mixed up.

use std::time::{Duration, Instant};

use domain::agent::{
    AgentProblem, AgentState, ConsoleEntry, ConsoleInput, ConsoleMode, ConsolePage, ConsoleSize, InstallStep,
    Scope, ServiceSpec, ServiceStats,
};
use reqwest::{Method, StatusCode};

use crate::support::{PATIENCE, TestAgent, eventually, script, well_behaved};

impl TestAgent {
    pub async fn page(&self, from: u64, wait_ms: u64) -> ConsolePage {
        let path = format!("/v1/console/read?from={from}&wait_ms={wait_ms}");
        self.call(Method::GET, &path, Scope::Console, &()).await.json().await.unwrap()
    }

    /// Everything from `from` on, by pages, until an entry that `is_last`.
    pub async fn read_until(&self, from: u64, is_last: impl Fn(&ConsoleEntry) -> bool) -> Vec<ConsoleEntry> {
        let (end, mut all) = (Instant::now() + PATIENCE, Vec::new());
        let mut next = from;
        loop {
            let page = self.page(next, 1_000).await;
            for (index, entry) in page.entries.iter().enumerate() {
                assert_eq!(entry.seq, page.entries[0].seq + index as u64, "without gaps");
            }
            if let Some(last) = page.entries.last() {
                next = last.seq + 1;
            }
            let done = page.entries.iter().any(&is_last);
            all.extend(page.entries);
            if done {
                return all;
            }
            assert!(Instant::now() < end, "never; the last were {:?}", &all[all.len().saturating_sub(5)..]);
        }
    }

    pub async fn type_in(&self, text: &str) -> Result<(), (StatusCode, String)> {
        let body = ConsoleInput { text: text.into() };
        let response = self.call(Method::POST, "/v1/console/input", Scope::Console, &body).await;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        Err((status, response.json::<AgentProblem>().await.unwrap().code))
    }

    pub async fn resize(&self, columns: u16, rows: u16) -> StatusCode {
        let size = ConsoleSize { columns, rows };
        self.call(Method::POST, "/v1/console/resize", Scope::Console, &size).await.status()
    }

    /// Waits until the text of all output has `part`, and gives it.
    async fn shows(&self, part: &str) -> String {
        let (end, mut text, mut next) = (Instant::now() + PATIENCE, String::new(), 1);
        while !text.contains(part) {
            assert!(Instant::now() < end, "never {part:?} in {text:?}");
            let page = self.page(next, 1_000).await;
            next = page.entries.last().map_or(next, |last| last.seq + 1);
            text.extend(page.entries.into_iter().map(|entry| entry.text));
        }
        text
    }
}

pub fn on_terminal(text: &str) -> ServiceSpec {
    let mut spec = script(text);
    spec.run.console = ConsoleMode::Pty;
    spec
}

fn texts(entries: &[ConsoleEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.text.as_str()).collect()
}

#[tokio::test]
async fn five_thousand_lines_at_once_are_all_there_each_once_and_in_order() {
    let agent = TestAgent::start();
    agent.run(&script("echo READY; seq 5000; read line"), AgentState::Running).await;
    let all = agent.read_until(1, |entry| entry.text == "5000").await;
    let expected: Vec<String> = (1..=5_000).map(|number| number.to_string()).collect();
    assert_eq!(texts(&all)[0], "READY");
    assert_eq!(texts(&all)[1..], expected);
    assert_eq!((all[0].seq, all.last().unwrap().seq), (1, 5_001));
    assert!(all.windows(2).all(|two| two[0].at_ms <= two[1].at_ms));
}

#[tokio::test]
async fn a_reader_is_woken_by_output_and_not_before() {
    let agent = TestAgent::start();
    agent.run(&well_behaved(), AgentState::Running).await;
    let next = agent.page(0, 0).await.next;
    assert_eq!(next, 2);
    let (page, ()) = tokio::join!(agent.page(next, 20_000), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        agent.type_in("hello").await.unwrap();
    });
    assert_eq!(texts(&page.entries), ["got hello"]);
    let asked = Instant::now();
    assert!(agent.page(page.next, 300).await.entries.is_empty());
    assert!(asked.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn input_arrives_in_order() {
    let agent = TestAgent::start();
    agent.run(&well_behaved(), AgentState::Running).await;
    for number in 0..200 {
        agent.type_in(&format!("line {number}")).await.unwrap();
    }
    let all = agent.read_until(2, |entry| entry.text == "got line 199").await;
    let expected: Vec<String> = (0..200).map(|number| format!("got line {number}")).collect();
    assert_eq!(texts(&all), expected);
}

#[tokio::test]
async fn input_that_cannot_be_taken_is_refused_with_the_reason() {
    let agent = TestAgent::start();
    let refused = |code: &str| Err((StatusCode::CONFLICT, code.to_owned()));
    assert_eq!(agent.type_in("early").await, refused("not_running"));
    agent.run(&script("exec 0<&-; echo READY; sleep 1000"), AgentState::Running).await;
    eventually_refused(&agent).await;
    let invalid = |code: &str| Err((StatusCode::UNPROCESSABLE_ENTITY, code.to_owned()));
    assert_eq!(agent.type_in("two\nlines").await, invalid("input_invalid"));
    assert_eq!(agent.type_in(&"x".repeat(4_097)).await, invalid("input_too_long"));
    assert_eq!(agent.resize(0, 24).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(agent.resize(80, 24).await, StatusCode::NO_CONTENT);
}

/// A pipe that nobody reads is told from one that is read late by its end only.
async fn eventually_refused(agent: &TestAgent) {
    let end = Instant::now() + PATIENCE;
    while agent.type_in("anybody?").await.is_ok() {
        assert!(Instant::now() < end, "never refused");
    }
    let refused = (StatusCode::CONFLICT, "not_reading".to_owned());
    assert_eq!(agent.type_in("anybody?").await, Err(refused));
}

#[tokio::test]
async fn a_line_without_an_end_is_cut_and_bounded_and_so_is_what_is_kept() {
    let agent = TestAgent::start();
    // 20 MiB in one line, more than is kept.
    let text = "echo READY; head -c 20971520 /dev/zero | tr '\\0' x; echo; echo END; read line";
    agent.run(&script(text), AgentState::Running).await;
    agent.until_said("END").await;
    let page = agent.page(1, 0).await;
    assert!(page.first > 1, "what is lost shows");
    assert_eq!(page.entries[0].seq, page.first);
    let all = agent.read_until(page.first, |entry| entry.text == "END").await;
    assert!(all.iter().all(|entry| entry.text.len() <= 8 * 1024));
    let kept: usize = all.iter().map(|entry| entry.text.len()).sum();
    assert!((4 << 20..=8 << 20).contains(&kept), "{kept}");
    let folder = agent.root.path().join("agent/output_log");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    assert!(files.sum::<u64>() <= 8 << 20);
}

#[tokio::test]
async fn numbers_go_on_through_runs() {
    let agent = TestAgent::start();
    agent.run(&well_behaved(), AgentState::Running).await;
    let pid = agent.status().await.pid;
    agent.power(domain::agent::PowerAction::Restart).await.unwrap();
    agent.follow(|status| status.state == AgentState::Running && status.pid != pid).await;
    let all = agent.read_until(1, |entry| entry.seq == 3).await;
    assert_eq!(texts(&all), ["READY", "got stop", "READY"]);
}

#[tokio::test]
async fn a_program_on_a_terminal_sees_one_and_its_size() {
    let agent = TestAgent::start();
    let text = "tty; stty size; trap 'stty size; echo CHANGED' WINCH; echo $TERM; echo READY; \
                while :; do read line; done";
    agent.run(&on_terminal(text), AgentState::Running).await;
    let shown = agent.shows("READY").await;
    assert!(shown.contains("/dev/pts/") && shown.contains("24 80"), "{shown:?}");
    assert!(shown.contains("xterm-256color"), "{shown:?}");
    assert_eq!(agent.page(1, 0).await.mode, ConsoleMode::Pty);
    assert_eq!(agent.resize(132, 43).await, StatusCode::NO_CONTENT);
    assert!(agent.shows("CHANGED").await.contains("43 132"));
    // A program that is started later has the size from its beginning.
    agent.power(domain::agent::PowerAction::Kill).await.unwrap();
    agent.until(AgentState::Stopped).await;
    agent.power(domain::agent::PowerAction::Start).await.unwrap();
    agent.until(AgentState::Running).await;
    let shown = agent.shows("READY\r\n").await;
    assert!(shown.matches("43 132").count() >= 1, "{shown:?}");
}

#[tokio::test]
async fn what_is_typed_arrives_without_an_end_of_line_and_ctrl_c_interrupts() {
    let agent = TestAgent::start();
    let text = "trap 'echo INTERRUPTED' INT; stty -icanon -echo; echo READY; \
                head -c 3 | od -An -c; stty icanon; read line; echo line $line; sleep 1000 & wait; wait";
    agent.run(&on_terminal(text), AgentState::Running).await;
    for typed in ["a", "b", "c"] {
        agent.type_in(typed).await.unwrap();
    }
    agent.shows("a   b   c").await;
    agent.type_in("zwölf\r").await.unwrap();
    agent.shows("line zwölf").await;
    agent.type_in("\u{3}").await.unwrap();
    agent.shows("INTERRUPTED").await;
}

#[tokio::test]
async fn a_server_on_a_terminal_stops_by_its_line_and_nothing_of_it_is_left() {
    let agent = TestAgent::start();
    let mut spec = well_behaved();
    spec.run.console = ConsoleMode::Pty;
    // A probe looks at lines, whatever they arrive in.
    agent.run(&spec, AgentState::Running).await;
    agent.power(domain::agent::PowerAction::Stop).await.unwrap();
    agent.until(AgentState::Stopped).await;
    assert!(agent.data().join("stopped").exists(), "by its own line");
    assert!(agent.shows("got stop").await.contains("READY"));
}

#[tokio::test]
async fn characters_are_whole_on_a_terminal_however_they_are_written() {
    let agent = TestAgent::start();
    // The three bytes of an arrow, one at a time; then many at once.
    let text = "printf '\\342'; sleep 0.2; printf '\\206'; sleep 0.2; printf '\\222\\n'; \
                i=0; while [ $i -lt 3000 ]; do printf '→😀é'; i=$((i+1)); done; echo; echo READY; read line";
    agent.run(&on_terminal(text), AgentState::Running).await;
    let shown = agent.shows("READY").await;
    assert!(!shown.contains('\u{fffd}'));
    assert!(shown.starts_with("→\r\n"), "{:?}", &shown[..20]);
    assert!(shown.contains(&"→😀é".repeat(3_000)));
}

#[tokio::test]
async fn stats_are_of_all_the_processes_of_the_game() {
    let agent = TestAgent::start();
    let stats = async || {
        let response = agent.call(Method::GET, "/v1/stats", Scope::Observe, &()).await;
        response.json::<ServiceStats>().await.unwrap()
    };
    assert_eq!(stats().await, ServiceStats::default());
    let mut spec = script(
        "echo READY; setsid sh -c 'echo $$ > child; while :; do :; done' & head -c 40000000 /dev/zero | tail; sleep 1000",
    );
    spec.disk_limit_bytes = Some(7);
    agent.run(&spec, AgentState::Running).await;
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = stats().await;
        assert_eq!(seen.disk_limit_bytes, Some(7));
        // The child in a session of its own burns time; `tail` has a long line in memory.
        if seen.cpu_ms >= 200 && seen.memory_bytes > 40_000_000 && seen.uptime_ms > 0 {
            break;
        }
        assert!(Instant::now() < end, "{seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    agent.power(domain::agent::PowerAction::Kill).await.unwrap();
    agent.until(AgentState::Stopped).await;
    let down = stats().await;
    assert_eq!((down.cpu_ms, down.memory_bytes, down.uptime_ms), (0, 0, 0));
}

#[tokio::test]
async fn what_was_installed_is_counted_at_once() {
    let agent = TestAgent::start();
    let content = "x".repeat(100_000);
    let write = InstallStep::Write { path: "world".into(), content, keep_existing: false };
    agent.install("1", vec![write]).await;
    let end = Instant::now() + PATIENCE;
    loop {
        let response = agent.call(Method::GET, "/v1/stats", Scope::Observe, &()).await;
        if response.json::<ServiceStats>().await.unwrap().disk_bytes >= 100_000 {
            break;
        }
        assert!(Instant::now() < end, "the next count is a minute away");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn nobody_reads_and_the_game_goes_on() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut agent = TestAgent::start();
        // Far more than a pipe has room for, while there is no agent.
        let text = "echo READY; read line; while [ -e ../agent/wait ]; do sleep 0.01; done; \
                    seq 200000; echo DONE; touch done; read line";
        std::fs::write(agent.root.path().join("agent/wait"), "").unwrap();
        agent.run(&script(text), AgentState::Running).await;
        agent.type_in("go").await.unwrap();
        agent.kill();
        std::fs::remove_file(agent.root.path().join("agent/wait")).unwrap();
        let done = agent.data().join("done");
        eventually("all is written", || done.exists());
        agent.boot_again();
        let all = agent.read_until(1, |entry| entry.text == "DONE").await;
        assert_eq!(all.len(), 200_002);
        assert_eq!(all[200_000].text, "200000");
    });
}
