//! The process's own numbers, under the names that Prometheus' client libraries gave them.

use std::{fmt::Write as _, fs};

/// Appends what `/proc/self` says; a number that cannot be read is left out.
pub(super) fn render(text: &mut String) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status_field(&status, "VmRSS:").map(|kib| kib * 1024);
    put(text, "process_resident_memory_bytes", "gauge", resident);
    put(text, "process_threads", "gauge", status_field(&status, "Threads:"));
    let open = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
    put(text, "process_open_fds", "gauge", open);
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    put(text, "process_cpu_seconds_total", "counter", cpu_seconds(&stat));
}

fn put(text: &mut String, name: &str, kind: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
    }
}

fn status_field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time: fields 14 and 15 of proc_pid_stat(5), counted behind the name, which may contain spaces.
#[expect(clippy::cast_precision_loss, reason = "ticks stay far below 2^52 for thousands of years")]
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_spaces_and_brackets() {
        let stat = "7 (a ) b) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 1 1 1";
        let ticks = 200.0;
        let expected = ticks / f64::from(u32::try_from(rustix::param::clock_ticks_per_second()).unwrap());
        assert!((cpu_seconds(stat).unwrap() - expected).abs() < 1e-9);
    }
}
