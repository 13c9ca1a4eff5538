//! The engine touches only what carries its mark.

use std::{fs, os::unix::fs::symlink, time::Duration};

use domain::ids::InstanceId;
use integrations::engine::{ContainerState, Engine, EngineErrorKind, local::Isolation};

use crate::world::{World, is_alive};

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_our_mark_is_invisible_and_refused() {
    let world = World::new(Isolation::None).await;
    let spec = world.spec();
    let id = spec.instance_id;
    let dir = world.root().join(id.to_string());
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("precious"), "").unwrap();
    // A record that names another instance is no mark either.
    let other = world.created().await.instance_id;
    let copied = world.root().join(other.to_string()).join("container.json");
    for record in [None, Some(fs::read(&copied).unwrap()), Some(b"{}".to_vec())] {
        if let Some(record) = record {
            fs::write(dir.join("container.json"), record).unwrap();
        }
        let engine = &world.engine;
        assert!(engine.inspect(id).await.unwrap().is_none());
        assert_eq!(engine.list().await.unwrap().len(), 1);
        let refusals = [
            engine.create(&spec).await.unwrap_err(),
            engine.start(id).await.unwrap_err(),
            engine.stop(id, Duration::ZERO).await.unwrap_err(),
            engine.delete(id).await.unwrap_err(),
        ];
        assert!(refusals.iter().all(|error| error.kind() == EngineErrorKind::NotOurs), "{refusals:?}");
        assert!(dir.join("precious").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a bystander is a process")]
async fn a_reused_pid_is_neither_called_ours_nor_killed() {
    let world = World::new(Isolation::None).await;
    let spec = world.started().await;
    let id = spec.instance_id;
    world.engine.stop(id, Duration::from_secs(10)).await.unwrap();

    let mut bystander = tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
    let pid = bystander.id().unwrap();
    let dir = world.root().join(id.to_string());
    let mut record: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.join("container.json")).unwrap()).unwrap();
    record["process"] = serde_json::json!({"pid": pid, "start_time": 1});
    record["desired"] = "running".into();
    fs::write(dir.join("container.json"), record.to_string()).unwrap();
    fs::write(dir.join("agent.pid"), pid.to_string()).unwrap();

    let seen = world.engine.inspect(id).await.unwrap().unwrap();
    assert_eq!((seen.state, seen.pid), (ContainerState::Stopped, None));
    world.engine.stop(id, Duration::from_secs(10)).await.unwrap();
    world.engine.delete(id).await.unwrap();
    assert!(is_alive(pid));
    bystander.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_half_made_is_invisible_and_swept() {
    let world = World::new(Isolation::None).await;
    let (unfinished, trash) = (InstanceId::generate(), InstanceId::generate());
    let places =
        [format!(".new-{unfinished}"), format!(".trash-{trash}")].map(|name| world.root().join(name));
    for place in &places {
        fs::create_dir_all(place.join("root/data")).unwrap();
    }
    assert!(world.engine.list().await.unwrap().is_empty());
    world.another_engine().await;
    assert!(!places.iter().any(|place| place.exists()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symlink_planted_by_the_container_is_not_written_through() {
    let world = World::new(Isolation::None).await;
    let spec = world.created().await;
    let agent = world.engine.root_of(spec.instance_id).join("agent");
    let outside = tempfile::tempdir().unwrap();
    fs::remove_dir(&agent).unwrap();
    symlink(outside.path(), &agent).unwrap();
    world.engine.start(spec.instance_id).await.unwrap_err();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);

    fs::remove_file(&agent).unwrap();
    fs::create_dir(&agent).unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, agent.join("trust.json.new")).unwrap();
    symlink(&victim, agent.join("trust.json")).unwrap();
    // Refused, or replaced: either way not followed.
    let _ = world.engine.start(spec.instance_id).await;
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    world.engine.delete(spec.instance_id).await.unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
}
