//! Looks a service spec over before it is accepted. What a path really leads to is decided when it is used
//! (`install::files`); here the caller is told early.

use std::ops::RangeInclusive;

use domain::agent::{InstallStep, Probe, Runtime, ServiceSpec};

use crate::{
    install::files::{DataPath, PathRefused},
    probe,
    process::runtime::JAVA,
};

/// Most installation steps.
const MAX_STEPS: usize = 200;
/// Most arguments of a program.
const MAX_ARGUMENTS: usize = 200;
/// Longest revision, in bytes.
const MAX_REVISION: usize = 200;
/// Largest download, in bytes (64 GiB): the largest dedicated servers have a quarter of that.
const MAX_DOWNLOAD: u64 = 64 << 30;
/// Seconds that a grace may last.
const GRACE: RangeInclusive<u64> = 1..=600;
/// Seconds that a start or a program of the installation may take.
const PATIENCE: RangeInclusive<u64> = 1..=7_200;

/// What is wrong with `spec`, for the caller's log.
pub fn check(spec: &ServiceSpec) -> Result<(), String> {
    ensure((1..=MAX_REVISION).contains(&spec.revision.len()), || "revision: 1 to 200 bytes".to_owned())?;
    ensure(spec.install.len() <= MAX_STEPS, || format!("install: at most {MAX_STEPS} steps"))?;
    for (index, step) in spec.install.iter().enumerate() {
        check_step(step, &spec.run.runtime).map_err(|flaw| format!("install[{index}]: {flaw}"))?;
    }
    check_argv(&spec.run.argv, &spec.run.runtime).map_err(|flaw| format!("run.argv: {flaw}"))?;
    for (name, value) in &spec.run.env {
        let sound = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
        ensure(sound, || format!("run.env: the variable {name:?} cannot be set"))?;
    }
    let line = spec.run.stop.line.as_deref().unwrap_or_default();
    ensure(!line.contains(['\n', '\r', '\0']), || "run.stop.line: one line only".to_owned())?;
    ensure(GRACE.contains(&spec.run.stop.grace_seconds), || "run.stop.grace_seconds: 1 to 600".to_owned())?;
    ensure(PATIENCE.contains(&spec.ready.deadline_seconds), || {
        "ready.deadline_seconds: 1 to 7200".to_owned()
    })?;
    check_probe(&spec.ready.probe).map_err(|flaw| format!("ready.probe: {flaw}"))
}

fn check_step(step: &InstallStep, runtime: &Runtime) -> Result<(), String> {
    match step {
        InstallStep::Download { url, sha256, size, path, unpack } => {
            let url = reqwest::Url::parse(url).map_err(|_| "url: not a URL".to_owned())?;
            ensure(matches!(url.scheme(), "http" | "https"), || "url: http or https".to_owned())?;
            ensure(hex::decode(sha256).is_ok_and(|hash| hash.len() == 32), || {
                "sha256: 64 hex digits".to_owned()
            })?;
            ensure(*size <= MAX_DOWNLOAD, || format!("size: at most {MAX_DOWNLOAD}"))?;
            check_path(if unpack.is_some() { DataPath::folder(path) } else { DataPath::file(path) })
        }
        InstallStep::Write { path, .. } => check_path(DataPath::file(path)),
        InstallStep::Properties { path, set } => {
            ensure(!set.contains_key(""), || "set: an empty key".to_owned())?;
            check_path(DataPath::file(path))
        }
        InstallStep::Run { argv, timeout_seconds } => {
            ensure(PATIENCE.contains(timeout_seconds), || "timeout_seconds: 1 to 7200".to_owned())?;
            check_argv(argv, runtime).map_err(|flaw| format!("argv: {flaw}"))
        }
    }
}

fn check_path(path: Result<DataPath, PathRefused>) -> Result<(), String> {
    path.map(drop).map_err(|refused| format!("path: {refused}"))
}

fn check_argv(argv: &[String], runtime: &Runtime) -> Result<(), String> {
    let first = argv.first().map(String::as_str).unwrap_or_default();
    ensure(!first.is_empty(), || "a program is needed".to_owned())?;
    ensure(argv.len() <= MAX_ARGUMENTS, || format!("at most {MAX_ARGUMENTS} arguments"))?;
    ensure(!argv.iter().any(|argument| argument.contains('\0')), || "a NUL character".to_owned())?;
    let java = matches!(runtime, Runtime::Java { .. });
    ensure(first != JAVA || java, || format!("{JAVA} needs a runtime of kind java"))
}

fn check_probe(probe: &Probe) -> Result<(), String> {
    match probe {
        Probe::Log { pattern } => {
            probe::compile(pattern).map(drop).map_err(|error| format!("pattern: {error}"))
        }
        Probe::MinecraftPing { port }
        | Probe::Luanti { port }
        | Probe::Teeworlds { port }
        | Probe::Tcp { port } => ensure(*port != 0, || "port: not 0".to_owned()),
    }
}

fn ensure(holds: bool, flaw: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(flaw()) }
}
