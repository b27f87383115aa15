#![doc = include_str!("../README.md")]

mod api_keys;
mod config;
mod cors;
mod forward;
mod headers;
mod limits;
mod page;
mod upstreams;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use poa_chassis::{BuildError, Deps, Edge};
use poa_proto::{Audience, METHODS};
use tonic::service::Routes;

pub use config::{Config, Open, Rates};

use api_keys::ApiKeys;
use forward::Forwarder;
use limits::Limiter;
use upstreams::Upstreams;

/// Builds the gateway: a route for each public method of the descriptors, and nothing else.
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
    let methods = methods.route_layer(tonic_web::GrpcWebLayer::new());

    let router = own_services(&deps)
        .await?
        .merge(methods)
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

/// Health, and the reflection of every public service as if this were one server.
async fn own_services(deps: &Deps) -> Result<Router, BuildError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let draining = deps.lifecycle.draining();
    tokio::spawn(async move {
        draining.cancelled().await;
        reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    });
    let mut v1 = tonic_reflection::server::Builder::configure();
    let mut v1alpha = tonic_reflection::server::Builder::configure();
    for builder in [&mut v1, &mut v1alpha] {
        let mut named = std::mem::replace(builder, tonic_reflection::server::Builder::configure())
            .register_encoded_file_descriptor_set(poa_proto::DESCRIPTORS)
            // So that grpcurl shows the details of an error.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(tonic_health::pb::health_server::SERVICE_NAME);
        for service in public_services() {
            named = named.with_service_name(service);
        }
        *builder = named;
    }
    let routes = Routes::new(health).add_service(v1.build_v1()?).add_service(v1alpha.build_v1alpha()?);
    Ok(routes.prepare().into_axum_router().reset_fallback())
}

/// The full names of the public services, once each.
fn public_services() -> Vec<&'static str> {
    let public = METHODS.iter().filter(|method| method.audience == Audience::Public);
    let mut names: Vec<_> = public.map(poa_proto::Method::service).collect();
    names.dedup();
    names
}
