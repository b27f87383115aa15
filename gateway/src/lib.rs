#![doc = include_str!("../README.md")]

mod api_keys;
mod config;
mod cors;
mod forward;
mod headers;
mod limits;
mod log;
mod own;
mod page;
mod upstreams;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use poa_chassis::{BuildError, Deps, Edge};
use poa_proto::{Audience, METHODS};

pub use config::{Config, Open, Rates};

use api_keys::ApiKeys;
use forward::Forwarder;
use limits::Limiter;
use upstreams::Upstreams;

/// Builds the gateway: a route for each public method of the descriptors, the log's files, and nothing else.
pub async fn build(config: Config, deps: Deps) -> Result<Edge, BuildError> {
    let upstreams = Upstreams::new(&deps.peers, config.connections_per_service)?;
    let limiter = Arc::new(Limiter::new(&config.rates, &config.open)?);
    let api_keys = Arc::new(ApiKeys::new(deps.peers.identified("auth")?));

    let max_message = config.server.limits.decode_bytes;
    let forwarder =
        Forwarder::new(upstreams.clone(), Arc::clone(&deps.keyring), limiter.clone(), api_keys, max_message);
    let mut methods = Router::new();
    for method in METHODS.iter().filter(|method| method.audience == Audience::Public) {
        methods = methods.route_service(method.path, forwarder.of(method));
    }
    // As a route layer: in front of everything it would answer 400 to each plain HTTP request.
    let methods = methods
        .route_layer(tonic_web::GrpcWebLayer::new())
        .route_layer(axum::middleware::from_fn(poa_chassis::layers::grpc_only));

    let router = own::services(&deps, &limiter)
        .await?
        .merge(methods)
        .merge(log::files(&deps, &limiter)?)
        .route("/", axum::routing::get(page::welcome))
        .fallback(page::not_found)
        .layer(axum::middleware::from_fn(headers::layer))
        .layer(cors::layer(&config.cors_origins)?)
        .layer(from_fn_with_state((), page::security_headers));

    deps.lifecycle.spawn(
        "upstream health",
        upstreams.watch(deps.readiness.latch("upstreams"), deps.lifecycle.stopping()),
    );
    deps.lifecycle.spawn("limit sweeper", limiter.sweep(deps.lifecycle.stopping()));
    Ok(Edge(router))
}
