//! Everything that an operation may leave behind: rows, ports, capacity, containers, processes, files, publications.

use std::{fs, path::Path};

/// A count of each kind of thing, comparable before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Instances that count against entitlements.
    pub live_instances: i64,
    /// Operations that block others.
    pub active_operations: i64,
    /// Ports that somebody has.
    pub ports: i64,
    /// Memory, CPU and disk that nodes count as handed out, added up.
    pub capacity: i64,
    /// Containers of the engine.
    pub containers: usize,
    /// Publications of the edge.
    pub publications: usize,
    /// Processes that name the engine's folder in their command line.
    pub processes: Vec<String>,
    /// Files and folders below the engine's folder, the engine's own locks left out.
    pub files: Vec<String>,
}

/// Command lines of running processes that mention `root`.
pub(crate) fn processes(root: &Path) -> Vec<String> {
    processes_by_pid(root).into_iter().map(|(_, line)| line).collect()
}

/// The same with their process ids.
pub(crate) fn processes_by_pid(root: &Path) -> Vec<(i32, String)> {
    let root = root.to_string_lossy().into_owned();
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        // Gone or a zombie: no command line.
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(&root).then_some((pid, line))
    })
    .collect()
}

/// Paths below `root`, relative to it.
pub(crate) fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.sort();
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if name.contains("lock") {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(root, &path, found);
        }
        found.push(name);
    }
}
