//! What a service spec may ask for. Blueprints are held to it when they are read, so that no agent refuses what came of
//! one; agents hold to it whoever asks.

use std::ops::RangeInclusive;

use regex::{Regex, RegexBuilder, bytes};

use super::{InstallStep, Probe, Runtime, ServiceSpec};

/// First word of a program that is the Java runtime.
pub const JAVA: &str = "{java}";
/// Most installation steps.
pub const MAX_STEPS: usize = 200;
/// Most words of a program, itself included.
pub const MAX_ARGUMENTS: usize = 200;
/// Longest revision, in bytes.
const MAX_REVISION: usize = 200;
/// Seconds that a grace may last.
pub const GRACE_SECONDS: RangeInclusive<u64> = 1..=600;
/// Seconds that a start or a program of the installation may take.
pub const PATIENCE_SECONDS: RangeInclusive<u64> = 1..=7_200;
/// Largest compiled pattern of a probe, in bytes.
const PROBE_PATTERN_BYTES: usize = 256 * 1024;
/// Largest compiled pattern for flushed files, in bytes.
const FLUSHED_PATTERN_BYTES: usize = 1 << 20;

impl ServiceSpec {
    /// What is above a limit, or makes no sense. Addresses and paths are the agent's to judge.
    pub fn check_limits(&self) -> Result<(), String> {
        ensure((1..=MAX_REVISION).contains(&self.revision.len()), || "revision: 1 to 200 bytes".to_owned())?;
        ensure(self.install.len() <= MAX_STEPS, || format!("install: at most {MAX_STEPS} steps"))?;
        for (index, step) in self.install.iter().enumerate() {
            check_step(step, &self.run.runtime).map_err(|flaw| format!("install[{index}]: {flaw}"))?;
        }
        check_argv(&self.run.argv, &self.run.runtime).map_err(|flaw| format!("run.argv: {flaw}"))?;
        for (name, value) in &self.run.env {
            let sound = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
            ensure(sound, || format!("run.env: the variable {name:?} cannot be set"))?;
        }
        let line = self.run.stop.line.as_deref().unwrap_or_default();
        ensure(!line.contains(['\n', '\r', '\0']), || "run.stop.line: one line only".to_owned())?;
        within("run.stop.grace_seconds", &GRACE_SECONDS, self.run.stop.grace_seconds)?;
        within("ready.deadline_seconds", &PATIENCE_SECONDS, self.ready.deadline_seconds)?;
        check_probe(&self.ready.probe).map_err(|flaw| format!("ready.probe: {flaw}"))
    }
}

/// Compiles a pattern of a probe.
pub fn probe_pattern(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(PROBE_PATTERN_BYTES).build()
}

/// Compiles a pattern of the output that says that files are flushed.
pub fn flushed_pattern(pattern: &str) -> Result<bytes::Regex, regex::Error> {
    bytes::RegexBuilder::new(pattern).size_limit(FLUSHED_PATTERN_BYTES).build()
}

fn check_step(step: &InstallStep, runtime: &Runtime) -> Result<(), String> {
    match step {
        InstallStep::Properties { set, .. } => {
            ensure(!set.contains_key(""), || "set: an empty key".to_owned())
        }
        InstallStep::Run { argv, timeout_seconds } => {
            within("timeout_seconds", &PATIENCE_SECONDS, *timeout_seconds)?;
            check_argv(argv, runtime).map_err(|flaw| format!("argv: {flaw}"))
        }
        InstallStep::Download { .. } | InstallStep::Write { .. } => Ok(()),
    }
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
            probe_pattern(pattern).map(drop).map_err(|error| format!("pattern: {error}"))
        }
        Probe::MinecraftPing { port }
        | Probe::Luanti { port }
        | Probe::Teeworlds { port }
        | Probe::Tcp { port } => ensure(*port != 0, || "port: not 0".to_owned()),
    }
}

fn within(place: &str, seconds: &RangeInclusive<u64>, value: u64) -> Result<(), String> {
    ensure(seconds.contains(&value), || format!("{place}: {} to {}", seconds.start(), seconds.end()))
}

fn ensure(holds: bool, flaw: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(flaw()) }
}
