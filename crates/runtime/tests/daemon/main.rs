//! A whole daemon as a process of its own: systemd's protocol, readiness, draining, exit codes.

mod child;
mod harness;

use std::time::Duration;

use harness::{Daemon, SERVED};

#[test]
fn a_daemon_reports_ready_feeds_the_watchdog_and_stops_on_sigterm() {
    let mut daemon = Daemon::start("loop", &[("WATCHDOG_USEC", "60000")]);
    daemon.expect_notice("READY=1");
    daemon.expect_notice("WATCHDOG=1");
    daemon.expect_notice("WATCHDOG=1");

    daemon.terminate();

    daemon.expect_notice("STOPPING=1");
    assert_eq!(daemon.exit_code(), 0);
}

#[test]
fn the_watchdog_starves_when_a_periodic_task_hangs_while_the_process_still_answers() {
    let mut daemon = Daemon::start("loop", &[("WATCHDOG_USEC", "60000")]);
    daemon.expect_notice("WATCHDOG=1");
    assert_eq!(daemon.get("/healthz").0, 200);

    daemon.touch("stick");

    let (status, body) = daemon.get_until("/healthz", |status, _| status == 503);
    assert_eq!(status, 503);
    assert!(body.contains("\"silent\":[\"main loop\"]"), "{body}");
    // The pings of the second before it was found silent wait to be read. Then nothing for fifteen times their period: a
    // watchdog that is fed would go on.
    daemon.expect_silence(Duration::from_millis(300));

    daemon.remove("stick");
    daemon.expect_notice("WATCHDOG=1");
    daemon.terminate();
    assert_eq!(daemon.exit_code(), 0);
}

#[test]
fn a_periodic_task_that_fails_is_shown_and_does_not_end_the_daemon() {
    let mut daemon = Daemon::start("loop", &[("WATCHDOG_USEC", "60000")]);
    daemon.touch("fail");
    let failed = r#""last_error":"the work is not there""#;
    let (status, body) = daemon.get_until("/healthz", |_, body| body.contains(failed));
    assert_eq!(status, SERVED, "{body}");
    let metrics = daemon.get("/metrics").1;
    assert!(metrics.contains(r#"zlh_periodic_runs_total{task="main loop",outcome="failed"}"#), "{metrics}");
    daemon.remove("fail");
    daemon.get_until("/healthz", |_, body| !body.contains(failed));
    daemon.expect_notice("WATCHDOG=1");
    daemon.terminate();
    assert_eq!(daemon.exit_code(), 0);
    let log = daemon.log();
    assert!(log.contains("main loop failed: the work is not there; it is tried again in"), "{log}");
    assert!(log.contains("main loop works again, after"), "{log}");
}

#[test]
fn readiness_follows_the_registered_checks() {
    let daemon = Daemon::start("loop", &[]);
    let (status, body) = daemon.get_until("/readyz", |status, _| status == 200);
    assert_eq!(status, SERVED, "{body}");

    daemon.touch("database-down");
    let (status, body) = daemon.get("/readyz");
    assert_eq!(status, 503);
    assert!(body.contains(r#"{"check":"database","reason":"connection refused"}"#), "{body}");

    daemon.remove("database-down");
    daemon.touch("redis-hangs");
    let (status, body) = daemon.get("/readyz");
    assert_eq!(status, 503);
    assert!(body.contains(r#"{"check":"redis","reason":"no answer within 50ms"}"#), "{body}");
    assert!(!body.contains("database"), "{body}");

    daemon.remove("redis-hangs");
    assert_eq!(daemon.get("/readyz").0, SERVED);
}

#[test]
fn metrics_are_served_as_prometheus_reads_them() {
    let daemon = Daemon::start("loop", &[]);
    let (status, body) = daemon.get("/metrics");
    assert_eq!(status, SERVED);
    assert!(body.contains("zlh_build_info{daemon=\"zlh-test\",version=\"9.9\"} 1"), "{body}");
    assert!(body.contains("process_resident_memory_bytes "), "{body}");
}

#[test]
fn a_drain_waits_for_work_in_progress_and_refuses_to_be_ready() {
    let mut daemon = Daemon::start("work", &[]);

    daemon.terminate();

    let (_, body) = daemon.get_until("/readyz", |_, body| body.contains("draining"));
    assert!(body.contains("\"ready\":false"), "{body}");
    assert!(daemon.is_running());
    daemon.touch("finish");
    assert_eq!(daemon.exit_code(), 0);
}

#[test]
fn a_drain_ends_at_its_deadline_and_admits_what_it_cut_off() {
    let mut daemon = Daemon::start("work", &[("ZLH_PROCESS__DRAIN_DEADLINE_MS", "100")]);

    daemon.terminate();

    assert_eq!(daemon.exit_code(), 1);
    let log = daemon.log();
    assert!(log.contains("1 pieces of work had not ended"), "{log}");
}

#[test]
fn a_second_signal_ends_the_drain_at_once() {
    let mut daemon = Daemon::start("work", &[]);
    daemon.terminate();
    daemon.get_until("/readyz", |_, body| body.contains("draining"));

    daemon.terminate();

    assert_eq!(daemon.exit_code(), 1);
    assert!(daemon.log().contains("told to stop a second time"));
}

#[test]
fn a_daemon_that_is_still_setting_up_stops_without_a_drain() {
    let mut daemon = Daemon::start("setting-up", &[]);
    let (status, body) = daemon.get("/readyz");
    assert_eq!(status, 503);
    assert!(body.contains("\"phase\":\"starting\""), "{body}");

    daemon.terminate();

    assert_eq!(daemon.exit_code(), 0);
}

#[test]
fn a_service_that_ends_or_panics_ends_the_daemon_with_a_failure() {
    for (mode, reason) in [
        ("service-ends", "claimer ended without being asked to"),
        ("service-panics", "claimer panicked"),
        ("service-fails", "claimer failed: redis went away"),
    ] {
        let mut daemon = Daemon::spawn(mode, &[]);
        assert_eq!(daemon.exit_code(), 1, "{mode}");
        let log = daemon.log();
        assert_eq!(log.matches(reason).count(), 1, "{mode}: {log}");
    }
}

#[test]
fn an_unusable_configuration_is_explained_and_has_its_own_exit_code() {
    let mut daemon = Daemon::spawn("loop", &[("ZLH_HEALTH__LISTEN", "0.0.0.0:1")]);
    assert_eq!(daemon.exit_code(), 78);
    let log = daemon.log();
    assert!(log.contains("health.listen") && log.contains("ZLH_HEALTH__LISTEN"), "{log}");
}

#[test]
fn check_config_prints_what_is_in_force_and_serves_nothing() {
    let mut daemon = Daemon::spawn("check-config", &[("ZLH_PROCESS__WORKER_THREADS", "3")]);
    assert_eq!(daemon.exit_code(), 0);
    let printed = daemon.output();
    assert!(
        printed.contains("worker_threads = 3  # environment variable ZLH_PROCESS__WORKER_THREADS"),
        "{printed}"
    );
}

#[test]
fn a_command_of_the_daemons_own_gets_the_configuration() {
    let mut daemon = Daemon::spawn("greet", &[("ZLH_PROCESS__WORKER_THREADS", "3")]);
    assert_eq!(daemon.exit_code(), 0);
    assert!(daemon.output().contains("hello from 3 threads"), "{}", daemon.output());
}

#[test]
fn every_line_of_the_log_is_json_and_names_the_daemon() {
    let mut daemon = Daemon::start("loop", &[]);
    daemon.terminate();
    daemon.exit_code();
    for line in daemon.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["daemon"], "zlh-test");
    }
}
