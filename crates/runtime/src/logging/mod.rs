//! Logging: pretty on a terminal, the journal's own protocol under systemd, else one JSON object a line.
//!
//! Work on behalf of somebody runs in a span with the fields `operation`, `instance` and `customer` (see
//! [`operation_span`]), so that every line below it can be found by any of the three; `daemon` is on every line.

mod json;

use std::{fmt, io::IsTerminal as _, os::unix::fs::MetadataExt as _};

use tracing::Span;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::format::JsonFields,
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::{SubscriberInitExt as _, TryInitError},
};

use crate::config::{LogFormat, LoggingSection};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not understood.
    #[error("logging.filter is not a filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody else set up logging before.
    #[error("logging was set up twice")]
    Twice(#[from] TryInitError),
}

/// Sets up logging for the whole process, to standard error or the journal. Panics are logged from now on.
pub fn init(daemon: &'static str, section: &LoggingSection) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(&section.filter)?;
    let output = match resolve(section.format) {
        LogFormat::Journald => journald(daemon).unwrap_or_else(|| json(daemon)),
        LogFormat::Pretty => pretty(daemon),
        LogFormat::Json | LogFormat::Auto => json(daemon),
    };
    tracing_subscriber::registry().with(output.with_filter(filter)).try_init()?;
    log_panics();
    Ok(())
}

/// The span that work on an operation runs in.
pub fn operation_span(
    operation: &dyn fmt::Display,
    instance: &dyn fmt::Display,
    customer: &dyn fmt::Display,
) -> Span {
    tracing::info_span!("operation", %operation, %instance, %customer)
}

fn resolve(format: LogFormat) -> LogFormat {
    if format != LogFormat::Auto {
        return format;
    }
    if std::io::stderr().is_terminal() {
        LogFormat::Pretty
    } else if stderr_is_the_journal() {
        LogFormat::Journald
    } else {
        LogFormat::Json
    }
}

/// `JOURNAL_STREAM` is inherited by children whose output goes elsewhere, so compare it with standard error
/// (systemd.exec(5): "device and inode number of the stream, separated by a colon").
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

type Output = Box<dyn Layer<Registry> + Send + Sync>;

fn journald(daemon: &'static str) -> Option<Output> {
    let layer = tracing_journald::layer().ok()?;
    Some(
        layer
            .with_syslog_identifier(daemon.to_owned())
            .with_field_prefix(None)
            .with_custom_fields([("DAEMON", daemon)])
            .boxed(),
    )
}

fn json(daemon: &'static str) -> Output {
    json_to(daemon, std::io::stderr).boxed()
}

fn json_to<S, W>(daemon: &'static str, writer: W) -> impl Layer<S> + Send + Sync
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(json::JsonLines { daemon })
        .with_writer(writer)
}

/// On a terminal there is one daemon, whose name its user typed: it is not repeated on each line.
fn pretty(_daemon: &'static str) -> Output {
    tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .boxed()
}

fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let reason = panic.payload_as_str().unwrap_or("panic with a value that is not text");
        tracing::error!(location, "panicked: {reason}");
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(emit: impl FnOnce()) -> Vec<serde_json::Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry().with(json_to("zlh-test", move || writer.clone()));
        tracing::subscriber::with_default(subscriber, emit);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_json_line_carries_the_daemon_and_the_fields_of_its_spans() {
        let lines = logged(|| {
            let _outer = operation_span(&"op-1", &"inst-2", &"cust-3").entered();
            let _inner = tracing::info_span!("step", step = "install").entered();
            tracing::warn!(attempt = 2, slow = true, "still \"waiting\"");
        });

        let line = &lines[0];
        assert_eq!(line["daemon"], "zlh-test");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "still \"waiting\"");
        assert_eq!(line["operation"], "op-1");
        assert_eq!(line["instance"], "inst-2");
        assert_eq!(line["customer"], "cust-3");
        assert_eq!(line["step"], "install");
        assert_eq!(line["attempt"], 2);
        assert_eq!(line["slow"], true);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn an_event_cannot_forge_the_daemon_or_the_level() {
        let lines = logged(|| tracing::info!(daemon = "other", level = "ERROR", "hello"));

        assert_eq!(lines[0]["daemon"], "zlh-test");
        assert_eq!(lines[0]["level"], "INFO");
    }
}
