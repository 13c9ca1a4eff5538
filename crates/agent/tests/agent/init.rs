//! A container's first process: keeps the agent, and with it nothing else, running.

use std::{
    fs,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use domain::agent::AgentState;

use crate::support::{TestAgent, eventually, is_alive, kill_hard, trusted_root, well_behaved};

struct Init {
    child: Child,
}

impl Drop for Init {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn init(root: &Path, listen: &str) -> Init {
    let child = Command::new(env!("CARGO_BIN_EXE_zlh-agent"))
        .args(["init", "--", "run", "--listen", listen, "--root"])
        .arg(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    Init { child }
}

impl Init {
    /// Its children, by what they were started with.
    fn children(&self) -> Vec<(u32, Vec<String>)> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let arguments = |child: u32| {
            let line = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
            line.split('\0').map(str::to_owned).collect()
        };
        children
            .split_whitespace()
            .map(|child| child.parse().unwrap())
            .map(|child| (child, arguments(child)))
            .collect()
    }

    /// An agent that is not `former`.
    fn agent(&self, former: Option<u32>) -> u32 {
        let mut found = None;
        eventually("an agent", || {
            let runs =
                |(_, arguments): &&(u32, Vec<String>)| arguments.get(1).is_some_and(|word| word == "run");
            found = self
                .children()
                .iter()
                .filter(|child| Some(child.0) != former)
                .find(runs)
                .map(|child| child.0);
            found.is_some()
        });
        found.unwrap()
    }

    fn terminate(&mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

#[tokio::test]
async fn an_agent_that_is_killed_is_back_at_once_with_the_same_game() {
    let mut agent = TestAgent::start();
    agent.terminate();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut init = init(agent.root.path(), &format!("127.0.0.1:{port}"));
    agent.url = format!("https://127.0.0.1:{port}");
    agent.until_it_answers().await;
    let game = agent.run(&well_behaved(), AgentState::Running).await.pid;
    let mut former = init.agent(None);
    for _ in 0..3 {
        kill_hard(former);
        former = init.agent(Some(former));
        agent.until_it_answers().await;
        let status = agent.status().await;
        assert_eq!((status.state, status.pid), (AgentState::Running, game));
    }
    let shim = agent.shim().unwrap();
    assert!(init.children().iter().any(|(pid, _)| *pid == shim), "it is found below its init");
    assert!(init.terminate().success());
    assert!(agent.data().join("stopped").exists(), "by its own line");
    assert!(!is_alive(game.unwrap()) && !is_alive(former));
    eventually("nothing is left", || !is_alive(shim));
}

#[test]
fn what_is_orphaned_is_collected() {
    let (root, ..) = trusted_root();
    let init = init(root.path(), "127.0.0.1:0");
    init.agent(None);
    let agent = env!("CARGO_BIN_EXE_zlh-agent");
    assert!(agent.ends_with("zlh-agent"));
    // Its only child is the agent: whatever the agent started and left has been waited for.
    eventually("one child", || init.children().len() == 1);
}

#[test]
fn an_agent_that_cannot_start_ends_its_init_with_the_same_code() {
    let (root, ..) = trusted_root();
    fs::remove_file(root.path().join("agent/trust.json")).unwrap();
    let mut refused = init(root.path(), "127.0.0.1:0");
    assert_eq!(refused.child.wait().unwrap().code(), Some(78));
    let (root, ..) = trusted_root();
    fs::write(root.path().join("agent/state.json"), "{").unwrap();
    let mut broken = init(root.path(), "127.0.0.1:0");
    assert_eq!(broken.child.wait().unwrap().code(), Some(1));
}

impl TestAgent {
    async fn until_it_answers(&self) {
        let end = std::time::Instant::now() + crate::support::PATIENCE;
        while self.client.get(&self.url).send().await.is_err() {
            assert!(std::time::Instant::now() < end, "no answer");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn a_stop_between_two_agents_still_stops_the_game_in_order() {
    let mut agent = TestAgent::start();
    agent.run(&well_behaved(), AgentState::Running).await;
    // Its game runs on, and is found by the agent of an init that is asked to stop before that agent is up.
    agent.kill();
    let mut init = init(agent.root.path(), "127.0.0.1:0");
    let asked = init.agent(None);
    assert!(init.terminate().success());
    assert!(!is_alive(asked));
    assert!(agent.data().join("stopped").exists(), "by its own line");
    assert_eq!(agent.shim(), None);
}
