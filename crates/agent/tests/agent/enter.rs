//! The launcher: everything between fork and exec.

use std::process::{Command, Output};

use tempfile::TempDir;

fn enter(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zlh-agent")).arg("enter").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[test]
fn the_program_has_its_cgroups_its_session_and_its_pid_file_from_its_first_line_on() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for cgroup in ["memory", "pids"] {
        std::fs::create_dir(path(cgroup)).unwrap();
    }
    let script = "echo $$; cut -d' ' -f6 /proc/$$/stat; exit 5";
    let (memory, pids, file) = (path("memory"), path("pids"), path("pid"));
    let output =
        enter(&["--cgroup", &memory, "--cgroup", &pids, "--pid-file", &file, "--", "/bin/sh", "-c", script]);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let (pid, session) = said.split_once('\n').unwrap();
    assert_eq!(pid, session, "it leads its session");
    assert_eq!(std::fs::read_to_string(file).unwrap().trim(), pid);
    for cgroup in [memory, pids] {
        assert_eq!(
            std::fs::read_to_string(format!("{cgroup}/cgroup.procs")).unwrap(),
            "0",
            "itself (cgroups(7))"
        );
    }
}

/// As under a service manager's or a container's init, whose session the namespace cannot name.
#[test]
fn a_session_is_started_whoever_led_the_one_before() {
    let agent = env!("CARGO_BIN_EXE_zlh-agent");
    let session = "test $$ = \"$(cut -d' ' -f6 /proc/$$/stat)\"";
    let own = ["--", agent, "enter", "--", "/bin/sh", "-c", session];
    let outer = Command::new("bwrap")
        .args(["--dev-bind", "/", "/", "--proc", "/proc", "--unshare-pid"])
        .args(own)
        .output()
        .unwrap();
    assert!(outer.status.success(), "leader in an outer process namespace: {}", text(&outer.stderr));
    let leader = Command::new("setsid").args(&own[1..]).output().unwrap();
    assert!(leader.status.success(), "leads one already: {}", text(&leader.stderr));
}

#[test]
fn nothing_is_run_without_its_limits_or_its_parent() {
    for arguments in [
        ["--cgroup", "/no/such/cgroup", "--", "/bin/echo", "ran", "", ""],
        ["--pdeathsig", "--parent", "1", "--", "/bin/echo", "ran", ""],
        ["--pid-file", "/no/such/folder/pid", "--", "/bin/echo", "ran", "", ""],
        ["--", "/no/such/program", "", "", "", "", ""],
    ] {
        let output = enter(&arguments);
        assert_eq!(output.status.code(), Some(127), "{arguments:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert!(text(&output.stderr).starts_with("zlh-agent enter: "), "{arguments:?}");
    }
}
