//! Limits by control groups: version 1 (a hierarchy per controller) and version 2 (one for all), each container in
//! `zlh/{instance id}`. Files and units are those of the kernel's `admin-guide/cgroup-v1` and `cgroup-v2`.

mod detect;
mod limits;

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use domain::ids::InstanceId;
use rustix::process::Signal;
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

use self::detect::{Controller, Hierarchy};
pub(super) use self::limits::Limits;
use super::{EngineError, io, process::ProcessMark};

/// Our own directory in each hierarchy.
const PARENT: &str = "zlh";
const PROBE_DEADLINE: Duration = Duration::from_secs(5);
/// From SIGKILL to an empty group. Only a process stuck in the kernel takes longer.
const EMPTY_DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// The hierarchies that can be used; none where the machine does not let us.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    hierarchies: Vec<Hierarchy>,
}

/// Which limits hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enforced {
    pub(super) memory: bool,
    pub(super) pids: bool,
    pub(super) cpu: bool,
}

impl Cgroups {
    /// Finds the hierarchies, and tries each by letting a process enter a group of it.
    pub(super) async fn probe(agent_program: &Path) -> Self {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        let mut hierarchies = Vec::new();
        for candidates in detect::candidates(&read("/proc/self/mounts"), &read("/proc/self/cgroup")) {
            for candidate in candidates {
                match try_out(&candidate, agent_program).await {
                    Ok(hierarchy) => {
                        hierarchies.push(hierarchy);
                        break;
                    }
                    Err(reason) => {
                        tracing::debug!(mount = %candidate.parent.display(), reason, "cgroup not usable");
                    }
                }
            }
        }
        let found = Self { hierarchies };
        let Enforced { memory, pids, cpu } = found.enforced();
        if !(memory && pids && cpu) {
            tracing::warn!(
                memory,
                pids,
                cpu,
                "this machine cannot enforce all limits of containers (memory: {memory}, processes: {pids}, CPU: {cpu}); one may take more than its share"
            );
        }
        found
    }

    pub(super) fn enforced(&self) -> Enforced {
        let has = |wanted| self.hierarchies.iter().any(|hierarchy| hierarchy.controllers.contains(&wanted));
        Enforced { memory: has(Controller::Memory), pids: has(Controller::Pids), cpu: has(Controller::Cpu) }
    }

    /// Makes the container's groups with these limits, and returns them.
    pub(super) fn make(&self, id: InstanceId, limits: &Limits) -> Result<Vec<PathBuf>, EngineError> {
        let make = |hierarchy: &Hierarchy| {
            let group = hierarchy.parent.join(id.to_string());
            make_dir(&group).map_err(io("make a cgroup"))?;
            limits.write(hierarchy, &group).map_err(io("set a limit"))?;
            Ok(group)
        };
        self.hierarchies.iter().map(make).collect()
    }

    /// Kills what is left in the container's groups, and removes them.
    pub(super) async fn remove(&self, id: InstanceId) -> Result<(), EngineError> {
        for hierarchy in &self.hierarchies {
            empty_and_remove(&hierarchy.parent.join(id.to_string())).await?;
        }
        Ok(())
    }
}

/// Makes our directory and lets a process enter a group in it: permissions alone do not tell (a delegated group
/// accepts a process only from within the same delegation).
async fn try_out(candidate: &Hierarchy, agent_program: &Path) -> Result<Hierarchy, String> {
    let hierarchy = Hierarchy { parent: candidate.parent.join(PARENT), ..candidate.clone() };
    make_dir(&hierarchy.parent).map_err(|error| error.to_string())?;
    let hierarchy =
        hierarchy.with_delegated_controllers(&candidate.parent).map_err(|error| error.to_string())?;
    let group = hierarchy.parent.join(format!("probe-{}", std::process::id()));
    make_dir(&group).map_err(|error| error.to_string())?;
    let outcome = enter_once(agent_program, &group).await;
    empty_and_remove(&group).await.map_err(|error| error.to_string())?;
    outcome.map(|()| hierarchy)
}

#[expect(clippy::disallowed_methods, reason = "an engine starts processes; no shell is involved")]
async fn enter_once(agent_program: &Path, group: &Path) -> Result<(), String> {
    let mut command = Command::new(agent_program);
    command.arg("enter").arg("--cgroup").arg(group).args(["--", "/bin/true"]);
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    let output =
        timeout(PROBE_DEADLINE, command.output()).await.map_err(|_| "no answer in time".to_owned())?;
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

fn make_dir(path: &Path) -> std::io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

async fn empty_and_remove(group: &Path) -> Result<(), EngineError> {
    let deadline = Instant::now() + EMPTY_DEADLINE;
    loop {
        kill_members(group);
        match fs::remove_dir(group) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() != ErrorKind::ResourceBusy => {
                return Err(io("remove a cgroup")(error));
            }
            Err(_) if Instant::now() > deadline => {
                let reason = format!("{} still has processes", group.display());
                return Err(EngineError::Transient { action: "remove a cgroup", reason });
            }
            Err(_) => sleep(POLL).await,
        }
    }
}

fn kill_members(group: &Path) {
    for mark in members(group).into_iter().filter_map(ProcessMark::of) {
        // Read again after the mark was taken: the pid may have been given to somebody else in between.
        if members(group).contains(&mark.pid) {
            mark.signal(Signal::KILL);
        }
    }
}

fn members(group: &Path) -> Vec<u32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // "0" is a process of a namespace that we cannot see.
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0).collect()
}
