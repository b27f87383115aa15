//! The admin port: liveness, readiness, metrics, and the operators' methods.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::get;
use tower::ServiceExt as _;

use crate::config::ServerConfig;
use crate::deps::Deps;
use crate::layers::{Gate, Port, wrap};
use crate::lifecycle::Lifecycle;
use crate::readiness::Readiness;
use crate::serve::serve_grpc;
use crate::transport::Listen;

/// The admin port of a process, which may hold the admin methods of several services.
#[derive(Debug)]
pub struct AdminServer {
    router: Router,
}

// === impl AdminServer ===

impl AdminServer {
    /// `/livez`, `/readyz`, `/metrics`, and the reflection of the operators' methods.
    pub fn new(readiness: Readiness, lifecycle: &Lifecycle) -> Self {
        let draining = lifecycle.draining();
        let ready = move || async move {
            let missing = readiness.missing();
            if draining.is_cancelled() {
                (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned())
            } else if missing.is_empty() {
                (StatusCode::OK, "ready\n".to_owned())
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}\n", missing.join(", ")))
            }
        };
        let router = reflection()
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(|| async { crate::metrics::render() }));
        Self { router }
    }

    /// Adds the admin methods of a service.
    #[must_use]
    pub fn with(mut self, routes: tonic::service::Routes, config: &ServerConfig, deps: &Deps) -> Self {
        self.router = self.router.merge(methods(routes, config, deps));
        self
    }

    /// Leaves room for the admin methods of a service that is still being built: until they are set, they are
    /// unavailable.
    pub(crate) fn with_later(mut self) -> (Self, Arc<OnceLock<Router>>) {
        let set = Arc::new(OnceLock::<Router>::new());
        let later = Arc::clone(&set);
        self.router = self.router.fallback(move |request: Request| {
            let methods = later.get().cloned();
            async move {
                match methods {
                    Some(methods) => methods.oneshot(request).await.into_response(),
                    None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                }
            }
        });
        (self, set)
    }

    /// Serves until the process stops: metrics are wanted while it drains, too.
    pub async fn serve(
        self,
        listen: Listen,
        config: &ServerConfig,
        lifecycle: &Lifecycle,
    ) -> Result<(), tonic::transport::Error> {
        serve_grpc(listen, self.router, config, lifecycle.stopping()).await
    }
}

/// A service's admin methods, behind every layer.
pub(crate) fn methods(routes: tonic::service::Routes, config: &ServerConfig, deps: &Deps) -> Router {
    let gate = Arc::new(Gate::new(Arc::clone(&deps.keyring), deps.env.clone(), Port::Admin));
    let methods = routes.prepare().into_axum_router().reset_fallback();
    wrap(methods, gate, &config.limits, &deps.lifecycle)
}

/// Reflection of every admin service: who reaches this port may look.
fn reflection() -> Router {
    let admin = poa_proto::METHODS.iter().filter(|method| method.audience == poa_proto::Audience::Admin);
    let names: std::collections::BTreeSet<_> = admin.map(poa_proto::Method::service).collect();
    let mut builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(poa_proto::DESCRIPTORS);
    for name in names {
        builder = builder.with_service_name(name);
    }
    match builder.build_v1() {
        Ok(service) => tonic::service::Routes::new(service).prepare().into_axum_router().reset_fallback(),
        Err(error) => {
            tracing::error!(%error, "the admin port goes without reflection");
            Router::new()
        }
    }
}
