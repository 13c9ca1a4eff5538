//! Create, start, stop, delete: repeatable, graceful, and without leftovers.

use std::{fs, time::Duration};

use domain::ids::InstanceId;
use integrations::engine::{ContainerState, Engine, EngineError, EngineErrorKind, local::Isolation};
use tokio::time::Instant;

use crate::world::{World, agents, cgroups, game, is_alive, processes_naming, state_of};

const GRACE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn creating_twice_makes_one_container_and_keeps_its_files() {
    let world = World::new(Isolation::Auto).await;
    let mut spec = world.created().await;
    fs::write(world.data(spec.instance_id).join("world.dat"), "precious").unwrap();
    spec.resources.memory_mib = 512;
    world.engine.create(&spec).await.unwrap();
    let listed = world.engine.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].state, listed[0].resources.memory_mib), (ContainerState::Stopped, 512));
    assert_eq!(fs::read_to_string(world.data(spec.instance_id).join("world.dat")).unwrap(), "precious");
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_many_times_at_once_from_two_engines_starts_one_process() {
    let world = World::new(Isolation::Auto).await;
    let spec = world.created().await;
    let other = world.another_engine().await;
    let id = spec.instance_id;
    let (a, b, c, d) =
        tokio::join!(world.engine.start(id), other.start(id), world.engine.start(id), other.start(id));
    for outcome in [a, b, c, d] {
        outcome.unwrap();
    }
    assert_eq!(agents(&world.engine.root_of(id)).len(), 1);
    let first = world.pid(id).await.unwrap();
    world.engine.start(id).await.unwrap();
    assert_eq!(world.pid(id).await, Some(first));
    assert_eq!(other.inspect(id).await.unwrap().unwrap().pid, Some(first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_the_game_end_in_its_own_way() {
    let world = World::new(Isolation::Auto).await;
    let spec = world.started().await;
    world
        .play(&spec, "trap 'echo saved > saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
        .await;
    let pid = world.pid(spec.instance_id).await.unwrap();
    world.engine.stop(spec.instance_id, GRACE).await.unwrap();
    assert_eq!(fs::read_to_string(world.data(spec.instance_id).join("saved")).unwrap(), "saved\n");
    assert!(!is_alive(pid));
    let container = world.engine.inspect(spec.instance_id).await.unwrap().unwrap();
    assert_eq!((container.state, container.pid), (ContainerState::Stopped, None));
    world.engine.stop(spec.instance_id, GRACE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_does_not_stop_is_killed_when_the_grace_is_over() {
    let world = World::new(Isolation::Auto).await;
    let spec = world.started().await;
    world.play(&spec, "trap '' TERM; echo ready; while :; do sleep 0.05; done").await;
    let began = Instant::now();
    world.engine.stop(spec.instance_id, Duration::from_secs(1)).await.unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
    assert!(processes_naming(&world.engine.root_of(spec.instance_id)).is_empty());
    assert!(cgroups(spec.instance_id).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_leaves_no_process_no_file_and_no_cgroup() {
    for isolation in [Isolation::Auto, Isolation::None] {
        let world = World::new(isolation).await;
        let before: Vec<_> =
            fs::read_dir(world.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let spec = world.started().await;
        let id = spec.instance_id;
        // The grandchild has left the game's process group and session.
        let script =
            "trap '' TERM; setsid sleep 987 & echo $! > orphan; echo ready; while :; do sleep 0.05; done";
        world.play(&spec, script).await;
        let seen: Vec<u32> = agents(&world.engine.root_of(id));
        assert_eq!((seen.len(), cgroups(id).is_empty()), (1, !world.engine.capabilities().memory));

        world.engine.delete(id).await.unwrap();
        assert!(processes_naming(&world.engine.root_of(id)).is_empty());
        assert!(!seen.into_iter().any(is_alive));
        assert!(cgroups(id).is_empty());
        let after: Vec<_> =
            fs::read_dir(world.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(after, before);
        assert_eq!(fs::read_dir(world.root().join(".locks")).unwrap().count(), 0);
        assert!(world.engine.inspect(id).await.unwrap().is_none());
        world.engine.delete(id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_installed_is_there_again_after_stop_and_start() {
    let world = World::new(Isolation::Auto).await;
    let spec = world.started().await;
    let id = spec.instance_id;
    world.session(&spec).await.put_service(&game("echo ready; sleep 600")).await.unwrap();
    let session = world.session(&spec).await;
    state_of(&session, |status| status.installed_revision.is_some()).await;
    world.engine.stop(id, GRACE).await.unwrap();
    world.engine.start(id).await.unwrap();
    // The session is still pinned to the same certificate.
    let status = session.status(None, Duration::ZERO).await.unwrap();
    assert_eq!(status.installed_revision.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_start_is_reported_at_once_with_its_reason() {
    let world = World::new(Isolation::Auto).await;
    let mut spec = world.spec();
    spec.trust.keys.clear();
    world.engine.create(&spec).await.unwrap();
    let began = Instant::now();
    let error = world.engine.start(spec.instance_id).await.unwrap_err();
    assert!(matches!(&error, EngineError::AgentFailed { reason, .. } if reason.contains("78")), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(world.engine.inspect(spec.instance_id).await.unwrap().unwrap().state, ContainerState::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_and_may_be_tried_again() {
    let world = World::new(Isolation::Auto).await;
    let spec = world.created().await;
    let taken = tokio::net::TcpListener::bind(("127.0.0.1", spec.agent_port)).await.unwrap();
    let error = world.engine.start(spec.instance_id).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("in use"), "{error}");
    drop(taken);
    world.engine.start(spec.instance_id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_cannot_be_started_but_may_be_stopped_and_deleted() {
    let world = World::new(Isolation::Auto).await;
    let id = InstanceId::generate();
    assert_eq!(world.engine.start(id).await.unwrap_err().kind(), EngineErrorKind::NotFound);
    world.engine.stop(id, GRACE).await.unwrap();
    world.engine.delete(id).await.unwrap();
    assert!(world.engine.inspect(id).await.unwrap().is_none());
}
