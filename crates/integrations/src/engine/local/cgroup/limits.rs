//! What a container may use, and the files that say so.

use std::{fs, io, path::Path};

use super::detect::{Controller, Hierarchy, Version};
use crate::engine::ContainerSpec;

/// Memory on top of the customer's share, for the agent: about 15 MiB resident, and the pages of a download.
const AGENT_MEMORY_MIB: u64 = 64;
/// Processes and threads on top of the customer's share: bubblewrap's two, the agent's threads.
const AGENT_PIDS: u32 = 64;
/// The kernel's default period of a CPU quota, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// Limits of one container, its agent included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Limits {
    memory_bytes: u64,
    pids: u32,
    cpu_quota_us: u64,
}

impl Limits {
    pub(in super::super) fn of(spec: &ContainerSpec) -> Self {
        Self {
            memory_bytes: (u64::from(spec.resources.memory_mib) + AGENT_MEMORY_MIB) << 20,
            pids: spec.pids.saturating_add(AGENT_PIDS),
            cpu_quota_us: u64::from(spec.resources.cpu_percent) * CPU_PERIOD_US / 100,
        }
    }

    /// Writes them into a fresh group.
    pub(super) fn write(&self, hierarchy: &Hierarchy, group: &Path) -> io::Result<()> {
        hierarchy.controllers.iter().try_for_each(|controller| match (controller, hierarchy.version) {
            (Controller::Memory, Version::V1) => {
                set(group, "memory.limit_in_bytes", self.memory_bytes)?;
                // Counts memory and swap together; absent where swap is not accounted.
                set_if_there(group, "memory.memsw.limit_in_bytes", self.memory_bytes)
            }
            (Controller::Memory, Version::V2) => {
                set(group, "memory.max", self.memory_bytes)?;
                set_if_there(group, "memory.swap.max", 0)
            }
            (Controller::Pids, _) => set(group, "pids.max", self.pids),
            (Controller::Cpu, Version::V1) => {
                set(group, "cpu.cfs_period_us", CPU_PERIOD_US)?;
                set(group, "cpu.cfs_quota_us", self.cpu_quota_us)
            }
            (Controller::Cpu, Version::V2) => {
                set(group, "cpu.max", format!("{} {CPU_PERIOD_US}", self.cpu_quota_us))
            }
        })
    }
}

fn set(group: &Path, file: &str, value: impl std::fmt::Display) -> io::Result<()> {
    let annotate = |error: io::Error| io::Error::new(error.kind(), format!("{file}: {error}"));
    fs::write(group.join(file), value.to_string()).map_err(annotate)
}

fn set_if_there(group: &Path, file: &str, value: impl std::fmt::Display) -> io::Result<()> {
    if group.join(file).exists() { set(group, file, value) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_get_the_same_limits_in_their_own_words() {
        let limits = Limits { memory_bytes: 128 << 20, pids: 70, cpu_quota_us: 50_000 };
        let controllers = vec![Controller::Memory, Controller::Pids, Controller::Cpu];
        let dir = tempfile::tempdir().unwrap();
        let value = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap();
        fs::write(dir.path().join("memory.swap.max"), "max").unwrap();
        for version in [Version::V1, Version::V2] {
            let hierarchy =
                Hierarchy { version, parent: dir.path().into(), controllers: controllers.clone() };
            limits.write(&hierarchy, dir.path()).unwrap();
        }
        assert_eq!((value("memory.max"), value("memory.swap.max")), ("134217728".into(), "0".into()));
        assert_eq!((value("cpu.max"), value("pids.max")), ("50000 100000".into(), "70".into()));
        assert_eq!(
            (value("memory.limit_in_bytes"), value("cpu.cfs_quota_us")),
            ("134217728".into(), "50000".into())
        );
        assert!(!dir.path().join("memory.memsw.limit_in_bytes").exists());
    }
}
