//! What the gateway answers itself: health, and the reflection of every public service.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use poa_chassis::{BuildError, Deps, status};
use poa_proto::{Audience, METHODS};
use tonic::body::Body;
use tonic::service::Routes;

use crate::forward::{address, holding};
use crate::limits::Limiter;

/// What one of these calls costs its caller: a read.
const COST: u32 = 1;

/// Health, and the reflection of every public service as if this were one server.
pub(crate) async fn services(deps: &Deps, limiter: &Arc<Limiter>) -> Result<Router, BuildError> {
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
    let router = routes.prepare().into_axum_router().reset_fallback();
    Ok(router.route_layer(from_fn_with_state(Arc::clone(limiter), bounded)))
}

/// The full names of the public services, once each.
fn public_services() -> Vec<&'static str> {
    let public = METHODS.iter().filter(|method| method.audience == Audience::Public);
    let mut names: Vec<_> = public.map(poa_proto::Method::service).collect();
    names.dedup();
    names
}

/// These are streams that anybody may open: each counts as a call of its address until it ends.
async fn bounded(State(limiter): State<Arc<Limiter>>, request: Request, next: Next) -> Response {
    let address = address(&request);
    let held = limiter.charge_address(address, COST).and_then(|()| limiter.hold_call(address));
    match held {
        Ok(held) => {
            let response = next.run(request).await;
            response.map(|body| axum::body::Body::new(holding(held, Body::new(body))))
        }
        Err(error) => status(error).into_http(),
    }
}
