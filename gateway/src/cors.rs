//! CORS for grpc-web: which pages may call, and which headers of the answer they may read.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember a preflight.
const MAX_AGE: Duration = Duration::from_secs(3_600);

/// The layer for a list of origins; `*` allows all. There are no cookies here, so none are allowed.
pub(crate) fn layer(origins: &[String]) -> Result<CorsLayer, String> {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let parsed = origins
            .iter()
            .map(|origin| {
                HeaderValue::from_str(origin).map_err(|_| format!("cors_origins: `{origin}` is no origin"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        AllowOrigin::list(parsed)
    };
    let named = HeaderName::from_static;
    Ok(CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            named("grpc-timeout"),
            named("x-grpc-web"),
            named("x-request-id"),
            named("x-user-agent"),
        ])
        .expose_headers([
            named("grpc-status"),
            named("grpc-message"),
            named("grpc-status-details-bin"),
            named("x-request-id"),
        ])
        .max_age(MAX_AGE))
}
