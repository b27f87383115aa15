//! Every metric that the chassis itself records, and the process's one recorder.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Requests answered; labels `method`, `code`.
pub const REQUESTS: &str = "poa_requests_total";
/// Seconds from a request to its response headers; label `method`.
pub const REQUEST_SECONDS: &str = "poa_request_seconds";
/// Requests being served now.
pub const IN_FLIGHT: &str = "poa_requests_in_flight";
/// Requests refused because the server was at its limit.
pub const SHED: &str = "poa_requests_shed_total";

/// Buckets of every latency, in seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// The metrics of this process in Prometheus' text format.
pub fn render() -> String {
    recorder().as_ref().map(PrometheusHandle::render).unwrap_or_default()
}

/// Installs the recorder, once a process.
pub fn install() {
    recorder();
}

fn recorder() -> &'static Option<PrometheusHandle> {
    RECORDER.get_or_init(|| {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .ok()?
            .install_recorder()
            .ok()?;
        metrics::describe_counter!(REQUESTS, "Requests answered, by method and status code");
        metrics::describe_histogram!(
            REQUEST_SECONDS,
            metrics::Unit::Seconds,
            "Time to the response headers, by method"
        );
        metrics::describe_gauge!(IN_FLIGHT, "Requests being served now");
        metrics::describe_counter!(SHED, "Requests refused because the server was at its limit");
        Some(handle)
    })
}
