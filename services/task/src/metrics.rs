//! Every metric of the task service.

use std::sync::Once;

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::domain::State;

const TRANSITIONS: &str = "poa_task_transitions_total";
const STEPS: &str = "poa_task_steps_total";
const FEED_STREAMS: &str = "poa_task_feed_streams";
const FEED_RESYNCS: &str = "poa_task_feed_resyncs_total";
const ESCROW_EVENTS: &str = "poa_task_escrow_events_total";
const MESH_SECONDS: &str = "poa_task_mesh_clock_seconds";

/// Describes the metrics, once a process.
pub(crate) fn describe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        describe_counter!(TRANSITIONS, "Tasks that came into a state, by state");
        describe_counter!(STEPS, "Steps of sagas, by step and outcome: done, refused, pending, failed");
        describe_gauge!(FEED_STREAMS, "Open streams of the feed");
        describe_counter!(FEED_RESYNCS, "Readers of the feed that were too slow and began again");
        describe_counter!(ESCROW_EVENTS, "Events of escrow's that were heard, repetitions too");
        describe_gauge!(MESH_SECONDS, metrics::Unit::Seconds, "The mesh clock");
    });
}

/// A task came into a state.
pub(crate) fn entered(state: State) {
    counter!(TRANSITIONS, "state" => state.as_str()).increment(1);
}

/// A step of a saga ended.
pub(crate) fn step(step: &'static str, outcome: &'static str) {
    counter!(STEPS, "step" => step, "outcome" => outcome).increment(1);
}

/// A stream of the feed opened.
pub(crate) fn feed_opened() {
    gauge!(FEED_STREAMS).increment(1);
}

/// A stream of the feed ended.
pub(crate) fn feed_closed() {
    gauge!(FEED_STREAMS).decrement(1);
}

/// A reader of the feed lost messages.
pub(crate) fn feed_resync() {
    counter!(FEED_RESYNCS).increment(1);
}

/// An event of escrow's was heard.
pub(crate) fn escrow_event() {
    counter!(ESCROW_EVENTS).increment(1);
}

/// The mesh clock was advanced.
pub(crate) fn mesh_clock(seconds: f64) {
    gauge!(MESH_SECONDS).set(seconds);
}
