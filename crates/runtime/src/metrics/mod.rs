//! Metrics in Prometheus' text format: what the code records with `metrics::…!`, and the process's own numbers.

mod process;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// Bounds of every histogram, in seconds: from a query that hits a cache to an installation.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Renders the metrics. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// Makes the process's recorder. Call it once: a second call is an error.
pub fn install(daemon: &'static str, version: &'static str) -> Result<Metrics, BuildError> {
    let handle = PrometheusBuilder::new().set_buckets(SECONDS)?.install_recorder()?;
    metrics::gauge!("zlh_build_info", "daemon" => daemon, "version" => version).set(1.0);
    Ok(Metrics(handle))
}

impl Metrics {
    /// Everything, as Prometheus reads it.
    pub fn render(&self) -> String {
        let mut text = self.0.render();
        process::render(&mut text);
        text
    }

    /// Folds what histograms gathered since the last time; without it they grow while nobody scrapes.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }

    /// Metrics that nothing records into, for tests that must not touch the process's recorder.
    #[doc(hidden)]
    pub fn detached() -> Self {
        Self(PrometheusBuilder::new().build_recorder().handle())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_values_and_the_process_itself_are_rendered() {
        let metrics = install("zlh-test", "1.2.3").unwrap();
        metrics::counter!("operations_total", "kind" => "create").increment(3);
        metrics::histogram!("step_seconds").record(0.02);
        metrics.upkeep();

        let text = metrics.render();

        for line in [
            "zlh_build_info{daemon=\"zlh-test\",version=\"1.2.3\"} 1",
            "operations_total{kind=\"create\"} 3",
            "step_seconds_bucket{le=\"0.025\"} 1",
            "# TYPE process_cpu_seconds_total counter",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        let resident = text
            .lines()
            .find_map(|line| line.strip_prefix("process_resident_memory_bytes "))
            .and_then(|value| value.parse::<u64>().ok());
        assert!(resident.is_some_and(|bytes| bytes > 100_000), "{text}");
        assert!(install("zlh-test", "1.2.3").is_err(), "a second recorder would record nothing");
    }
}
