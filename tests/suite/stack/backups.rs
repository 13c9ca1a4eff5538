//! Backups of a real game: what was damaged comes back byte for byte, and players come back too.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use xtask::stack::Daemon;
use zlh_tests::{Customer, Town, as_the_container, differences, eventually, smallest, tree};

use super::clients::{answers, join, power};

fn data(town: &Town, id: &str) -> PathBuf {
    town.stack.containers().join(id).join("root/data")
}

/// Files below a folder of the storage.
fn stored(town: &Town, what: &str) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => walk(&entry.path(), found),
                _ => found.push(entry.path().to_string_lossy().into_owned()),
            }
        }
    }
    let mut found = Vec::new();
    walk(&town.stack.home().join("backups").join(what), &mut found);
    found
}

/// Asks for work and waits for its end. The last answer about its operation, and the backup's id.
fn done(customer: &Customer, path: &str) -> (Value, String) {
    let answer = customer.post(path, None, &json!({}));
    assert_eq!(answer.status, 202, "{path}: {:?}", answer.body);
    let backup = answer.body["backup"]["id"].as_str().expect("a backup").to_owned();
    (customer.follow(&answer.location.expect("a location")), backup)
}

fn stop(customer: &Customer, id: &str) {
    power(customer, id, "stop");
    eventually("stopped", || {
        let status = customer.get(&format!("/api/instances/{id}/status")).body;
        (status["state"] == "stopped").then_some(())
    });
}

#[test]
fn what_was_damaged_comes_back_byte_for_byte_and_the_server_can_be_joined_again() {
    let town = Town::start(&[]);
    let customer = town.customer("uma");
    let (id, address) = customer.server("World", "minecraft-js", "flying-squid");
    let data = data(&town, &id);
    assert_eq!(join(&address)["joined"], json!(true));
    fs::create_dir(data.join("notes")).unwrap();
    fs::write(data.join("notes/ä b.txt"), "kept").unwrap();
    fs::set_permissions(data.join("notes/ä b.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    as_the_container(&data);
    stop(&customer, &id);
    let backups = format!("/api/instances/{id}/backups");
    let (made, backup) = done(&customer, &backups);
    assert_eq!(made["state"], "succeeded", "{made}");
    let kept = tree(&data);

    // Damaged so that it could not start again, and restored while it runs.
    power(&customer, &id, "start");
    eventually("started", || answers(&address).then_some(()));
    fs::write(data.join("settings.json"), "rubbish").unwrap();
    fs::remove_dir_all(data.join("notes")).unwrap();
    fs::write(data.join("new.txt"), "new").unwrap();
    as_the_container(&data);
    let (restored, _) = done(&customer, &format!("{backups}/{backup}/restore"));
    assert_eq!(restored["state"], "succeeded", "{restored}");
    let joined = join(&address);
    assert_eq!((&joined["joined"], &joined["chatted"]), (&json!(true), &json!(true)), "{joined}");
    assert!(!data.join("new.txt").exists() && data.join("notes/ä b.txt").exists());

    // And while it is stopped, so that nobody writes between the restore and the look.
    stop(&customer, &id);
    fs::write(data.join("settings.json"), "rubbish").unwrap();
    as_the_container(&data);
    let (restored, _) = done(&customer, &format!("{backups}/{backup}/restore"));
    assert_eq!(restored["state"], "succeeded", "{restored}");
    assert_eq!(differences(&kept, &tree(&data)), [""; 0]);
    assert!(!answers(&address), "it stays stopped");
    power(&customer, &id, "start");
    eventually("started", || answers(&address).then_some(()));
    assert_eq!(join(&address)["joined"], json!(true));

    let (verified, _) = done(&customer, &format!("{backups}/{backup}/verify"));
    assert_eq!(verified["state"], "succeeded", "{verified}");
    let now = customer.get(&format!("{backups}/{backup}")).body;
    assert!(now["verified_at"].is_string() && now["verify_failure"].is_null(), "{now}");
    strangers_and_holds(&town, &customer, &id, &backup);

    customer.remove(&id);
    eventually("nothing in the storage", || stored(&town, "").is_empty().then_some(()));
    town.expect_nothing_left();
}

fn strangers_and_holds(town: &Town, customer: &Customer, id: &str, backup: &str) {
    let backups = format!("/api/instances/{id}/backups");
    let stranger = town.customer("vic");
    assert_eq!(stranger.get(&backups).status, 404);
    assert_eq!(stranger.get(&format!("{backups}/{backup}/download")).status, 404);
    assert_eq!(stranger.post(&format!("{backups}/{backup}/restore"), None, &json!({})).status, 404);
    assert_eq!(stranger.delete(&format!("{backups}/{backup}")).status, 404);
    let hold = "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at)
                VALUES (gen_random_uuid(), '{id}', 'billing', 'n', 'o', now())";
    town.sql(&hold.replace("{id}", id));
    for path in [backups.clone(), format!("{backups}/{backup}/restore")] {
        let refused = customer.post(&path, None, &json!({}));
        assert_eq!((refused.status, &refused.body["code"]), (409, &json!("instance_on_hold")));
    }
    town.sql("UPDATE holds SET lifted_at = now()");
}

/// Something that takes a while to pack.
fn fill(data: &Path) {
    let mut random = fs::File::open("/dev/urandom").unwrap().take(150 << 20);
    std::io::copy(&mut random, &mut fs::File::create(data.join("big")).unwrap()).unwrap();
}

#[test]
fn a_backup_whose_worker_is_killed_is_finished_by_another_and_stored_once() {
    let mut town = Town::start(&[smallest()]);
    let customer = town.customer("wes");
    let (id, _) = customer.server("World", "smallest", "only");
    fill(&data(&town, &id));
    let backups = format!("/api/instances/{id}/backups");
    let ask = || customer.post(&backups, None, &json!({})).location.expect("a location");
    // While it is packed.
    let operation = ask();
    eventually("work begins", || customer.get(&operation).body["step_detail"].is_string().then_some(()));
    town.stack.kill(Daemon::Worker).expect("the worker dies");
    town.stack.start(Daemon::Worker).expect("another worker");
    let ended = customer.follow(&operation);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(stored(&town, "objects").len(), 2, "an archive and its manifest");
    // And finished while there is no worker at all.
    let operation = ask();
    eventually("work begins", || customer.get(&operation).body["step_detail"].is_string().then_some(()));
    town.stack.kill(Daemon::Worker).expect("the worker dies");
    eventually("the agent is done", || {
        let manifests = stored(&town, "objects").iter().filter(|path| path.contains("manifest")).count();
        (manifests == 2).then_some(())
    });
    town.stack.start(Daemon::Worker).expect("another worker");
    let ended = customer.follow(&operation);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(stored(&town, "objects").len(), 4);
    assert_eq!(stored(&town, "uploads"), Vec::<String>::new());
    customer.remove(&id);
    eventually("nothing in the storage", || stored(&town, "").is_empty().then_some(()));
}
