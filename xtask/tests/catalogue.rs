//! The blueprints in `catalogue/`, as a customer's create would use them.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use domain::{
    agent::{InstallStep, Runtime, ServiceSpec},
    blueprint::{Blueprint, RenderInput, ResolvedArtifact},
    instance::AllocatedPort,
    plan::parse_plans,
};

fn catalogue() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogue")
}

fn blueprint(id: &str) -> Blueprint {
    let text = fs::read_to_string(catalogue().join("blueprints").join(format!("{id}.toml"))).unwrap();
    Blueprint::parse(&text).unwrap()
}

fn render(blueprint: &Blueprint, variant: &str, version: &str) -> ServiceSpec {
    let ports: Vec<_> = blueprint
        .ports
        .iter()
        .map(|port| AllocatedPort { name: port.name.clone(), protocol: port.protocol, port: 25_601 })
        .collect();
    let file = ResolvedArtifact { url: "http://a/f".into(), sha256: "0".repeat(64), size: 1 };
    let artifacts: BTreeMap<_, _> =
        blueprint.variant(variant).unwrap().artifacts().map(|name| (name.to_owned(), file.clone())).collect();
    let input = RenderInput {
        variant,
        version,
        name: "Mum's \"server\"",
        hostname: "mums",
        memory_mib: 2_048,
        disk_mib: 10_240,
        bind_address: "127.0.0.1",
        ports: &ports,
        artifacts: &artifacts,
    };
    blueprint.render(&input).unwrap()
}

#[test]
fn every_blueprint_fits_a_plan_of_its_kind() {
    let plans = parse_plans(&fs::read_to_string(catalogue().join("plans.toml")).unwrap()).unwrap();
    let mut ids = Vec::new();
    for entry in fs::read_dir(catalogue().join("blueprints")).unwrap() {
        let path = entry.unwrap().path();
        let blueprint = blueprint(path.file_stem().unwrap().to_str().unwrap());
        let fits = |plan: &&domain::plan::Plan| {
            plan.kind == blueprint.kind && plan.resources.memory_mib >= blueprint.min_memory_mib
        };
        assert!(plans.iter().any(|plan| fits(&plan)), "{}", blueprint.id);
        ids.push(blueprint.id);
    }
    ids.sort();
    assert_eq!(
        ids,
        ["dev-go", "dev-node", "dev-python", "dev-rust", "luanti", "minecraft", "minecraft-js", "teeworlds"]
    );
}

#[test]
fn minecraft_has_the_editions_of_the_artifact_catalogue_and_the_java_of_the_version() {
    let minecraft = blueprint("minecraft");
    let variants: Vec<_> = minecraft.variants.iter().map(|variant| variant.id.as_str()).collect();
    assert_eq!(variants, ["vanilla", "paper", "purpur", "fabric", "forge", "neoforge"]);
    assert!(minecraft.eula.is_some());
    for variant in variants {
        for (version, major) in [("1.16.5", 17), ("1.20.4", 17), ("1.20.5", 21), ("1.21.4", 21)] {
            let spec = render(&minecraft, variant, version);
            assert_eq!(spec.run.runtime, Runtime::Java { major }, "{variant} {version}");
            assert_eq!(spec.run.argv[..2], ["{java}", "-Xmx1536M"], "{variant}");
            assert_eq!(spec.run.stop.line.as_deref(), Some("stop"), "{variant}");
            assert!(eula_is_accepted(&spec), "{variant}");
        }
    }
}

fn eula_is_accepted(spec: &ServiceSpec) -> bool {
    spec.install.iter().any(|step| {
        matches!(step, InstallStep::Write { path, content, .. } if path == "eula.txt" && content == "eula=true\n")
    })
}

#[test]
fn the_demos_settings_are_json_whatever_the_server_is_called() {
    let spec = render(&blueprint("minecraft-js"), "flying-squid", "1.16.5");
    let settings = spec.install.iter().find_map(|step| match step {
        InstallStep::Write { path, content, .. } if path == "settings.json" => Some(content),
        _ => None,
    });
    let settings: serde_json::Value = serde_json::from_str(settings.unwrap()).unwrap();
    assert_eq!(settings["motd"], "Mum's \"server\"");
    assert_eq!((&settings["host"], &settings["port"]), (&"127.0.0.1".into(), &25_601.into()));
}

#[test]
fn games_of_the_distribution_listen_where_they_are_told_to() {
    let luanti = render(&blueprint("luanti"), "minetest-game", "distribution");
    assert!(matches!(&luanti.install[0], InstallStep::Write { content, .. }
        if content.contains("bind_address = 127.0.0.1\nport = 25601\nserver_announce = false\n")));
    let teeworlds = render(&blueprint("teeworlds"), "teeworlds", "distribution");
    assert!(teeworlds.run.argv.contains(&"sv_name \"Mum's \\\"server\\\"\"".to_owned()));
    assert!(teeworlds.run.argv.contains(&"sv_register 0".to_owned()));
}

#[test]
fn a_workspaces_ide_listens_on_a_socket_and_on_no_port() {
    for id in ["dev-go", "dev-node", "dev-python", "dev-rust"] {
        let blueprint = blueprint(id);
        assert!(blueprint.ports.is_empty(), "{id}");
        for variant in &blueprint.variants {
            let spec = render(&blueprint, &variant.id, "1");
            assert!(
                spec.run.argv.iter().any(|word| word.ends_with("../run/ide.sock")),
                "{id} {}",
                variant.id
            );
            assert!(matches!(spec.run.runtime, Runtime::Program { .. }), "{id} {}", variant.id);
        }
    }
}

/// Runs the shell step with which Forge's and NeoForge's installations end, in a folder with these files.
fn server_args(variant: &str, files: &[(&str, &str)]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let spec = render(&blueprint("minecraft"), variant, "1.20.1");
    let script = spec.install.iter().find_map(|step| match step {
        InstallStep::Run { argv, .. } if argv[0] == "sh" => Some(argv),
        _ => None,
    })?;
    #[expect(clippy::disallowed_methods, reason = "the step under test is a program")]
    let status = Command::new("sh").args(&script[1..]).current_dir(folder.path()).status().unwrap();
    assert_eq!(status.success(), folder.path().join("user_jvm_args.txt").exists());
    fs::read_to_string(folder.path().join("server.args")).ok().filter(|_| status.success())
}

#[test]
fn forge_is_found_in_each_of_its_installers_layouts() {
    let modern = "libraries/net/minecraftforge/forge/1.20.1-47.2.0/unix_args.txt";
    let shim = ("forge-1.20.4-49.0.3-shim.jar", "");
    assert_eq!(server_args("forge", &[(modern, "modern"), shim]).as_deref(), Some("modern"));
    let old = [("forge-1.16.5-36.2.39.jar", ""), ("installer.jar", "")];
    assert_eq!(server_args("forge", &old).as_deref(), Some("-jar forge-1.16.5-36.2.39.jar\n"));
    assert_eq!(server_args("forge", &[("installer.jar", "")]), None);
    for path in [
        "libraries/net/neoforged/forge/1.20.1-47.1.106/unix_args.txt",
        "libraries/net/neoforged/neoforge/21.1.77/unix_args.txt",
    ] {
        assert_eq!(server_args("neoforge", &[(path, "neo")]).as_deref(), Some("neo"));
    }
    assert_eq!(server_args("neoforge", &[]), None);
}
