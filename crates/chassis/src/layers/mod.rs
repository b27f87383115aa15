//! The layers that every request passes, from outside to inside:
//!
//! 1. [`trace`]: a request id, a span, metrics; a panic becomes INTERNAL.
//! 2. [`shed`]: more requests than the server takes are refused at once.
//! 3. [`deadline`]: the caller's time, capped by the method's, covers the whole answer.
//! 4. [`wire`]: what is not gRPC is refused as HTTP has it; a message that cannot be read is the caller's mistake.
//! 5. [`authorise`]: who calls, and may they; a method without a row in the table is denied.

mod authorise;
mod deadline;
mod shed;
mod trace;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};

pub use authorise::{Gate, Port};
pub use deadline::parse as parse_timeout;
pub use wire::grpc_only;

use crate::config::Limits;
use crate::lifecycle::Lifecycle;

/// Wraps a router of gRPC services into the layers.
pub fn wrap(router: Router, gate: Arc<Gate>, limits: &Limits, lifecycle: &Lifecycle) -> Router {
    router
        .layer(from_fn_with_state(gate, authorise::layer))
        .layer(from_fn(wire::explain))
        .layer(from_fn(wire::grpc_only))
        .layer(from_fn_with_state(lifecycle.draining(), deadline::layer))
        .layer(from_fn_with_state(shed::Slots::new(limits.in_flight), shed::layer))
        .layer(from_fn(trace::layer))
}

/// Wraps a router into tracing, shedding and the drain alone: for an edge that forwards what others authorise.
pub fn wrap_edge(router: Router, limits: &Limits, lifecycle: &Lifecycle) -> Router {
    router
        .layer(from_fn_with_state(lifecycle.draining(), deadline::drain_layer))
        .layer(from_fn_with_state(shed::Slots::new(limits.in_flight), shed::layer))
        .layer(from_fn(trace::layer))
}
