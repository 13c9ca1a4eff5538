//! Blueprints: what is accepted, what is refused, and what an agent gets.

use std::collections::BTreeMap;

use super::*;
use crate::{
    agent::{InstallStep, Probe, Runtime, limits},
    instance::AllocatedPort,
};

const GOOD: &str = r#"
id = "minecraft"
name = "Minecraft"
summary = "A world of blocks."
kind = "game"
eula = { name = "Minecraft EULA", url = "https://aka.ms/MinecraftEULA" }
min_memory_mib = 1024
overhead_mib = 512
ports = [{ name = "game", protocol = "tcp" }]

[[variants]]
id = "paper"
name = "Paper"
runtime = { kind = "java_for_minecraft" }
install = [
  { kind = "artifact", file = "server.jar", path = "server.jar" },
  { kind = "write", path = "eula.txt", content = "eula=true\n" },
  { kind = "properties", path = "server.properties", set = { server-port = "{{port.game}}", motd = "{{name}}" } },
]
run = { argv = ["{java}", "-Xmx{{heap_mib}}M", "-jar", "server.jar", "nogui"], stop_line = "stop", stop_grace_seconds = 60 }
ready = { probe = { kind = "minecraft_ping", port = "game" }, deadline_seconds = 300 }
"#;

#[test]
fn a_spec_names_the_instances_ports_memory_and_java() {
    let blueprint = Blueprint::parse(GOOD).unwrap();
    let ports = [AllocatedPort { name: "game".into(), protocol: Protocol::Tcp, port: 25_701 }];
    let jar = ResolvedArtifact { url: "http://a/server.jar".into(), sha256: "00".into(), size: 7 };
    let artifacts = BTreeMap::from([("server.jar".to_owned(), jar)]);
    let input = RenderInput {
        variant: "paper",
        version: "1.20.4",
        name: "Mum's",
        hostname: "mums",
        memory_mib: 2_048,
        disk_mib: 10_240,
        bind_address: "127.0.0.1",
        ports: &ports,
        artifacts: &artifacts,
    };
    let spec = blueprint.render(&input).unwrap();
    assert_eq!(spec.run.argv, ["{java}", "-Xmx1536M", "-jar", "server.jar", "nogui"]);
    assert_eq!(spec.run.runtime, Runtime::Java { major: 17 });
    assert_eq!(spec.ready.probe, Probe::MinecraftPing { port: 25_701 });
    assert!(matches!(&spec.install[2], InstallStep::Properties { set, .. }
        if set["server-port"] == "25701" && set["motd"] == "Mum's"));
    assert_eq!(spec.revision, blueprint.render(&input).unwrap().revision);
    let newer = blueprint.render(&RenderInput { version: "1.20.5", ..input }).unwrap();
    assert_eq!(newer.run.runtime, Runtime::Java { major: 21 });
    assert_ne!(spec.revision, newer.revision);
}

#[test]
fn a_mistake_in_a_file_is_refused_and_its_place_is_named() {
    let cases = [
        (
            "{{port.game}}",
            "{{port.gmae}}",
            "variants.paper: nothing stands for the placeholder \"port.gmae\"",
        ),
        ("{{heap_mib}}", "{{heap}}", "placeholder \"heap\""),
        ("port = \"game\"", "port = \"query\"", "variants.paper.ready.probe: there is no port \"query\""),
        ("name = \"game\", protocol = \"tcp\"", "name = \"game\", protocol = \"udp\"", "asks over tcp"),
        ("name = \"game\", protocol", "name = \"agent\", protocol", "agent's own"),
        ("path = \"eula.txt\"", "path = \"../eula.txt\"", "variants.paper.install[1]"),
        ("path = \"eula.txt\"", "path = \"/etc/passwd\"", "inside the data folder"),
        ("deadline_seconds = 300", "deadline_seconds = 0", "ready.deadline_seconds"),
        ("argv = [\"{java}\",", "argv = [\"\",", "names no program"),
        (
            "stop_grace_seconds = 60",
            "stop_grace_seconds = 601",
            "variants.paper: run.stop.grace_seconds: 1 to 600",
        ),
        ("stop_line = \"stop\"", "stop_line = \"st\\nop\"", "run.stop.line: one line only"),
        ("kind = \"java_for_minecraft\"", "kind = \"none\"", "run.argv: {java} needs a runtime of kind java"),
        (
            "kind = \"minecraft_ping\", port = \"game\"",
            "kind = \"log\", pattern = '\\w{500}'",
            "exceeds size limit",
        ),
        (
            "stop_grace_seconds = 60 }",
            "stop_grace_seconds = 60, env = { \"A=B\" = \"\" } }",
            "run.env: the variable \"A=B\"",
        ),
        ("id = \"paper\"", "id = \"Paper!\"", "is not an id"),
        ("summary =", "sumary =", "sumary"),
    ];
    for (from, to, message) in cases {
        assert!(GOOD.contains(from), "{from}");
        let error = Blueprint::parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(message), "{to}: {error}");
    }
}

#[test]
fn what_is_longer_than_an_agent_takes_is_refused() {
    let words = format!("\"-jar\", {}", "\"word\", ".repeat(limits::MAX_ARGUMENTS));
    let steps = "  { kind = \"write\", path = \"eula.txt\", content = \"\" },\n".repeat(limits::MAX_STEPS);
    let cases = [
        ("\"-jar\", ", words.as_str(), "run.argv: at most 200 arguments"),
        ("install = [\n", &format!("install = [\n{steps}"), "install: at most 200 steps"),
    ];
    for (from, to, message) in cases {
        let error = Blueprint::parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_changed_file_is_another_content_version() {
    let one = Blueprint::parse(GOOD).unwrap();
    let two = Blueprint::parse(&GOOD.replace("-Xmx", "-Xms")).unwrap();
    assert_ne!(one.content_version(), two.content_version());
    assert_eq!(one.content_version(), Blueprint::parse(GOOD).unwrap().content_version());
}

#[test]
fn minecraft_servers_say_themselves_that_they_have_saved_and_no_player_says_it_for_them() {
    let minecraft =
        Blueprint::parse(include_str!("../../../../catalogue/blueprints/minecraft.toml")).unwrap();
    for variant in &minecraft.variants {
        let flushed = limits::flushed_pattern(variant.backup.flushed.as_deref().unwrap()).unwrap();
        for said in [
            "[12:00:00] [Server thread/INFO]: Saved the game",
            "[12:00:00 INFO]: Saved the game",
            "[12:00:00] [Server thread/INFO] [minecraft/MinecraftServer]: Saved the game",
            "[12:00:00] [Server thread/INFO]: Saved the world",
        ] {
            assert!(flushed.is_match(said.as_bytes()), "{}: {said}", variant.id);
        }
        for said in [
            "[12:00:00] [Server thread/INFO]: <Steve> Saved the game",
            "[12:00:00] [Server thread/INFO]: <Steve> ]: Saved the game",
            "[12:00:00] [Server thread/INFO]: * Steve ]: Saved the game",
        ] {
            assert!(!flushed.is_match(said.as_bytes()), "{}: {said}", variant.id);
        }
    }
}
