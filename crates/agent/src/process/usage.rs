//! What the game's processes use, from `/proc` (proc(5)).

use std::{collections::HashSet, fs};

use rustix::param::{clock_ticks_per_second, page_size};
use shim::leftovers::MARK;

/// Of all processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, with that of children that have ended, in milliseconds.
    pub cpu_ms: u64,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
}

/// A line of the process table.
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
    ticks: u64,
    pages: u64,
}

/// Sums up the process, its session, its descendants, and whatever else carries the instance's mark. Blocking.
pub fn of(pid: i32, instance: &str) -> Usage {
    let mark = format!("{MARK}={instance}");
    let table = table();
    let mut ours: HashSet<i32> =
        table.iter().filter(|process| process.session == pid).map(|process| process.pid).collect();
    // The table is in order of start, nearly: a child of one that comes later is found by its mark.
    for process in &table {
        if ours.contains(&process.parent) || is_marked(process.pid, &mark) {
            ours.insert(process.pid);
        }
    }
    let mut sum = Usage::default();
    for process in table.iter().filter(|process| ours.contains(&process.pid)) {
        sum.cpu_ms += process.ticks * 1_000 / clock_ticks_per_second().max(1);
        sum.memory_bytes += process.pages * page_size() as u64;
    }
    sum
}

fn table() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

fn parse(pid: i32, stat: &str) -> Option<Process> {
    // The second field is the program's name, which may contain spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i64>().ok();
    // From here on fields are numbered as in proc(5), less 3.
    let times: Option<Vec<i64>> = (11..15).map(number).collect();
    Some(Process {
        pid,
        parent: i32::try_from(number(1)?).ok()?,
        session: i32::try_from(number(3)?).ok()?,
        ticks: u64::try_from(times?.iter().sum::<i64>()).ok()?,
        pages: u64::try_from(number(21)?).ok()?,
    })
}

fn is_marked(pid: i32, mark: &str) -> bool {
    // Not readable: somebody else's, or gone.
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 3 7 6 0 -1 4 1 2 3 4 50 6 7 8 20 0 1 0 4242 1 99 1";
        let process = parse(7, stat).unwrap();
        assert_eq!((process.parent, process.session, process.ticks, process.pages), (3, 6, 71, 99));
    }
}
