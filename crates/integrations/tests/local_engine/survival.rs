//! Agents outlive the process that started them, and are started again when they die.

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use domain::token::{Signer, generate_key};
use integrations::engine::{ContainerState, Engine, local::Isolation};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::world::{World, agents, cgroups, is_alive, kill_hard, open, processes_naming, spec, until};

const ROOT: &str = "ZLH_TEST_ENGINE_ROOT";

/// Not a test: the process that [`an_agent_survives_the_death_of_its_parent_and_is_found_again`] kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a helper process of another test"]
async fn parent_of_a_container() {
    let Some(root) = std::env::var_os(ROOT).map(PathBuf::from) else { return };
    let engine = open(&root, Isolation::Auto).await;
    let signer = Signer::from_base64("provision-worker", &generate_key().unwrap()).unwrap();
    let spec = spec(&signer);
    engine.create(&spec).await.unwrap();
    engine.start(spec.instance_id).await.unwrap();
    println!("started {}", spec.instance_id);
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the parent to be killed is a process")]
async fn an_agent_survives_the_death_of_its_parent_and_is_found_again() {
    let world = World::new(Isolation::Auto).await;
    let mut parent = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "survival::parent_of_a_container", "--ignored", "--nocapture"])
        .env(ROOT, world.root())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let id = loop {
        let line = lines.next_line().await.unwrap().expect("the parent ended early");
        if let Some((_, id)) = line.split_once("started ") {
            break id.parse().unwrap();
        }
    };
    let pid = world.pid(id).await.unwrap();
    parent.kill().await.unwrap();

    let again = world.another_engine().await;
    let found = again.inspect(id).await.unwrap().unwrap();
    assert_eq!((found.state, found.pid), (ContainerState::Running, Some(pid)));
    again.start(id).await.unwrap();
    assert_eq!(agents(&world.engine.root_of(id)).len(), 1);
    again.stop(id, Duration::from_secs(10)).await.unwrap();
    assert!(!is_alive(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_lost_between_spawn_and_save_is_made_up_for_by_the_pid_file() {
    let world = World::new(Isolation::Auto).await;
    let id = world.started().await.instance_id;
    let pid = world.pid(id).await;
    let record = world.root().join(id.to_string()).join("container.json");
    let mut content: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    content["process"] = serde_json::Value::Null;
    fs::write(&record, content.to_string()).unwrap();
    assert_eq!(world.pid(id).await, pid);
    world.engine.start(id).await.unwrap();
    assert_eq!(agents(&world.engine.root_of(id)).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_is_started_again() {
    let world = World::new(Isolation::Auto).await;
    let id = world.started().await.instance_id;
    let (cancel, engine) = (CancellationToken::new(), world.engine.clone());
    let token = cancel.clone();
    let supervisor = tokio::spawn(async move { engine.supervise(token, || ()).await });
    let mut seen: Vec<u32> = Vec::new();
    let mut next = async || {
        let look = async || agents(&world.engine.root_of(id)).into_iter().find(|pid| !seen.contains(pid));
        let agent = until("another agent", look).await;
        seen.push(agent);
        agent
    };
    kill_hard(next().await);
    kill_hard(next().await);
    let third = next().await;
    cancel.cancel();
    supervisor.await.unwrap();
    assert_eq!(agents(&world.engine.root_of(id)), [third]);
}

/// What does not end by itself, nor when its input ends.
const GAME: &str = "echo ready; exec sleep 1000";

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_is_back_by_itself_and_its_game_never_went_away() {
    for isolation in [Isolation::Auto, Isolation::None] {
        let world = World::new(isolation).await;
        let spec = world.started().await;
        let (id, root) = (spec.instance_id, world.engine.root_of(spec.instance_id));
        let session = world.play(&spec, GAME).await;
        let before = session.status(None, Duration::ZERO).await.unwrap();
        let outermost = world.pid(id).await;
        for _ in 0..3 {
            let former = agents(&root)[0];
            kill_hard(former);
            // Nobody supervises here.
            let another = async || agents(&root).into_iter().find(|agent| *agent != former);
            until("another agent", another).await;
            let answer = async || session.status(None, Duration::ZERO).await.ok();
            let after = until("its answer", answer).await;
            assert_eq!((after.state, after.pid, after.ready_at), (before.state, before.pid, before.ready_at));
        }
        assert_eq!(world.pid(id).await, outermost);
        world.engine.stop(id, Duration::from_secs(10)).await.unwrap();
        assert_eq!(processes_naming(&root), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_isolation_shim_and_game_of_a_killed_container_are_found_and_ended() {
    let world = World::new(Isolation::None).await;
    let spec = world.started().await;
    let (id, root) = (spec.instance_id, world.engine.root_of(spec.instance_id));
    let session = world.play(&spec, GAME).await;
    let game = session.status(None, Duration::ZERO).await.unwrap().pid.unwrap();
    leave_cgroups(id);
    kill_hard(agents(&root)[0]);
    kill_hard(world.pid(id).await.unwrap());
    until("its end", async || world.pid(id).await.is_none().then_some(())).await;
    assert!(is_alive(game), "its shim is alive, and nobody's");
    world.engine.stop(id, Duration::from_secs(10)).await.unwrap();
    assert!(!is_alive(game));
    assert_eq!(processes_naming(&root), []);
}

/// As on a machine without cgroups: they must not be what finds a container's processes.
fn leave_cgroups(id: domain::ids::InstanceId) {
    for group in cgroups(id) {
        for pid in fs::read_to_string(group.join("cgroup.procs")).unwrap().lines() {
            fs::write(group.join("../../cgroup.procs"), pid).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_only_the_outermost_process_is_killed_the_rest_is_replaced() {
    let world = World::new(Isolation::Auto).await;
    let id = world.started().await.instance_id;
    let before = agents(&world.engine.root_of(id));
    leave_cgroups(id);
    kill_hard(world.pid(id).await.unwrap());
    until("its end", async || world.pid(id).await.is_none().then_some(())).await;
    world.engine.start(id).await.unwrap();
    let after = agents(&world.engine.root_of(id));
    assert!(after.len() == 1 && !after.contains(&before[0]), "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_supervisor_does_not_bring_back_what_was_stopped_or_deleted() {
    let world = World::new(Isolation::Auto).await;
    let (stopped, deleted) = (world.started().await.instance_id, world.started().await.instance_id);
    let (cancel, engine) = (CancellationToken::new(), world.engine.clone());
    let token = cancel.clone();
    let supervisor = tokio::spawn(async move { engine.supervise(token, || ()).await });
    world.engine.stop(stopped, Duration::from_secs(10)).await.unwrap();
    world.engine.delete(deleted).await.unwrap();
    // Longer than the supervisor's interval; nothing may appear at any time.
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        assert!(processes_naming(&world.root()).is_empty());
        sleep(Duration::from_millis(20)).await;
    }
    cancel.cancel();
    supervisor.await.unwrap();
    assert!(!world.root().join(deleted.to_string()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_puts_in_the_way_of_its_agent_holds_up_nobody() {
    let world = World::new(Isolation::Auto).await;
    let (hostile, other) = (world.started().await.instance_id, world.started().await.instance_id);
    let in_the_way = world.engine.root_of(hostile).join("agent/trust.json.new");
    rustix::fs::mkfifoat(rustix::fs::CWD, &in_the_way, rustix::fs::Mode::RWXU).unwrap();
    for id in [hostile, other] {
        kill_hard(agents(&world.engine.root_of(id))[0]);
    }
    let (cancel, engine) = (CancellationToken::new(), world.engine.clone());
    let token = cancel.clone();
    let supervisor = tokio::spawn(async move { engine.supervise(token, || ()).await });
    for id in [hostile, other] {
        let back = async || agents(&world.engine.root_of(id)).first().copied();
        until("the agent's return", back).await;
    }
    cancel.cancel();
    supervisor.await.unwrap();
    world.engine.delete(hostile).await.unwrap();
    assert!(!world.root().join(hostile.to_string()).exists());
}
