//! The daemon under test. The test binary starts itself again to become it: see `harness::Daemon`.

use std::{env, ffi::OsString, future::pending, path::PathBuf, process::ExitCode, time::Duration};

use runtime::{
    config::{Config, Section},
    daemon::{About, Context, Resources, run_with_arguments},
    periodic::Periodic,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct TestConfig {}

impl Config for TestConfig {
    fn sections(&self) -> Vec<&dyn Section> {
        Vec::new()
    }
}

#[derive(clap::Subcommand)]
enum Commands {
    /// Says hello
    Greet,
}

/// Becomes the daemon when the harness asks for it; as a test of its own it is ignored.
#[test]
#[ignore = "started by the other tests, as a process"]
fn child() {
    let Ok(mode) = env::var("TEST_MODE") else { return };
    let about = About { name: "zlh-test", summary: "A daemon for tests", version: "9.9" };
    let is_command = ["check-config", "greet"].contains(&mode.as_str());
    let arguments = [Some("zlh-test".to_owned()), is_command.then(|| mode.clone())];
    let code = run_with_arguments(
        about,
        arguments.into_iter().flatten().map(OsString::from),
        |context, _config: TestConfig| serve(context, mode),
        async |Commands::Greet, resources: Resources, _config: TestConfig| {
            resources.database()?;
            println!("hello from {} threads", resources.common().process.worker_threads);
            Ok(())
        },
    );
    let code = [0, 1, 78].into_iter().find(|known| code == ExitCode::from(*known));
    std::process::exit(code.map_or(99, i32::from));
}

async fn serve(context: Context, mode: String) -> anyhow::Result<()> {
    match mode.as_str() {
        "setting-up" => {
            std::fs::write(file("health"), context.health_address().to_string())?;
            pending::<()>().await;
        }
        "work" => drop(context.tasks().spawn(wait_for("finish"))),
        "service-ends" => context.spawn_service("claimer", async { Ok(()) }),
        "service-panics" => context.spawn_service("claimer", async { panic!("out of luck") }),
        "service-fails" => context.spawn_service("claimer", async { anyhow::bail!("redis went away") }),
        _ => register(&context),
    }
    context.ready();
    std::fs::write(file("health"), context.health_address().to_string())?;
    context.shutdown().cancelled().await;
    Ok(())
}

/// A periodic task that can be made to hang or fail, and two checks that fail while a file exists.
fn register(context: &Context) {
    let limit = Duration::from_millis(50);
    context.readiness().check("database", limit, || async {
        if file("database-down").exists() { Err("connection refused") } else { Ok(()) }
    });
    context.readiness().check("redis", limit, || async {
        if file("redis-hangs").exists() {
            pending::<()>().await;
        }
        Ok::<_, String>(())
    });
    let task = Periodic::new("main loop", Duration::from_millis(5)).max_silence(Duration::from_secs(1));
    context.spawn_periodic(task, |_| async {
        while file("stick").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::ensure!(!file("fail").exists(), "the work is not there");
        Ok(())
    });
}

async fn wait_for(name: &'static str) {
    while !file(name).exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env::var_os("TEST_DIR").expect("the harness sets TEST_DIR")).join(name)
}
