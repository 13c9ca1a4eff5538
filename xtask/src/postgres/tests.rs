//! A private cluster, started for real.

use super::*;

/// Makes, starts, asks, stops and removes a cluster.
fn full_life(run_as: RunAs) {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("private");
    secrets::private_folder(&inner).unwrap();
    let home = inner.join("postgres");
    Cluster::create(&home, Durability::None, run_as, Binaries::find().unwrap()).unwrap();
    let cluster = Cluster::open(&home, Durability::None).unwrap();
    let (record, child) = cluster.start(None, &inner.join("postgres.log")).unwrap();
    assert_eq!(record.pid, i32::try_from(child.as_ref().unwrap().id()).unwrap());
    cluster.ensure_database("zlh").unwrap();
    cluster.ensure_database("zlh").unwrap();
    assert_eq!(cluster.sql("zlh", "SELECT 1, 'a'").unwrap(), "1\ta");
    let stranger = Cluster { password: "wrong".into(), ..cluster.clone() };
    assert!(stranger.sql("zlh", "SELECT 1").unwrap_err().to_string().contains("password"));
    Cluster::stop(&record).unwrap();
    child.unwrap().wait().unwrap();
    cluster.remove().unwrap();
    assert!(!cluster.data.exists() && !home.exists());
}

#[test]
fn a_cluster_stays_with_the_version_that_made_it() {
    let newest = Binaries::find().unwrap();
    let said = std::process::Command::new(newest.path("postgres")).arg("--version").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let major = said.split(' ').nth(2).unwrap().split('.').next().unwrap();
    assert_eq!(Binaries::of(major).unwrap().path("psql"), newest.path("psql"));
    let gone = Binaries::of("7").unwrap_err().to_string();
    assert!(gone.contains("postgresql-7"), "{gone}");

    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("postgres");
    let data = Cluster::create(&home, Durability::None, RunAs::choose().unwrap(), newest).unwrap().data;
    fs::write(data.join("PG_VERSION"), "7\n").unwrap();
    assert!(Cluster::open(&home, Durability::None).unwrap_err().to_string().contains("postgresql-7"));
    // What cannot be read is not taken for absent, and made anew.
    fs::remove_file(home.join("cluster.json")).unwrap();
    fs::create_dir(home.join("cluster.json")).unwrap();
    assert!(Cluster::open(&home, Durability::None).is_err());
    assert!(data.join(MARKER).exists());
}

#[test]
fn a_private_cluster_works_below_a_folder_that_only_its_owner_can_enter() {
    full_life(RunAs::choose().unwrap());
}

#[test]
fn as_root_it_works_without_user_namespaces_too() {
    if let RunAs::Namespace { uid, gid } = RunAs::choose().unwrap() {
        full_life(RunAs::User { uid, gid });
    }
}

#[test]
fn a_folder_that_we_did_not_mark_is_neither_started_nor_removed() {
    let folder = tempfile::tempdir().unwrap();
    let cluster =
        Cluster::create(folder.path(), Durability::None, RunAs::choose().unwrap(), Binaries::find().unwrap())
            .unwrap();
    fs::remove_file(cluster.data.join(MARKER)).unwrap();
    assert!(cluster.start(None, &folder.path().join("log")).is_err());
    assert!(cluster.remove().is_err());
    assert!(cluster.data.join("PG_VERSION").exists());
}
