//! Authorisation: every path must have a row in the method table, and the row says who may call.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, header};
use poa_common::Env;
use poa_proto::{Audience, Method};

use super::deadline::{TokenEnd, until};
use crate::error::{Error, status};
use crate::keyring::Keyring;
use crate::principal::Caller;

/// Services of the gRPC project itself, open to all who reach the port.
const OPEN: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection."];

/// Which port a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Public and internal methods.
    Service,
    /// Admin methods.
    Admin,
}

/// What decides who may call what.
#[derive(Debug)]
pub struct Gate {
    keyring: Arc<Keyring>,
    env: Env,
    port: Port,
}

// === impl Gate ===

impl Gate {
    /// The gate of a port.
    pub fn new(keyring: Arc<Keyring>, env: Env, port: Port) -> Self {
        Self { keyring, env, port }
    }

    fn admit(&self, method: &Method, headers: &HeaderMap) -> Result<Caller, Error> {
        let token = bearer(headers);
        match (method.audience, self.port) {
            (Audience::Public, Port::Service) => self.admit_user(method, token),
            (Audience::Internal, Port::Service) => {
                let token = token.ok_or(Error::CredentialsInvalid { problem: "missing" })?;
                let caller = self
                    .keyring
                    .verify_service(token)
                    .map_err(|error| self.not_for_accounts(token, "internal").unwrap_or(error))?;
                if method.callers.contains(&caller.as_str()) {
                    Ok(Caller::Service(caller))
                } else {
                    Err(Error::AudienceMismatch { audience: "internal" })
                }
            }
            (Audience::Admin, Port::Admin) => match token {
                Some(token) if self.keyring.is_admin(token) => Ok(Caller::Admin),
                Some(token) => Err(self
                    .not_for_accounts(token, "admin")
                    .unwrap_or(Error::CredentialsInvalid { problem: "not an operator's" })),
                None => Err(Error::CredentialsInvalid { problem: "missing" }),
            },
            (Audience::Admin, Port::Service) => Err(Error::AudienceMismatch { audience: "admin" }),
            (Audience::Public | Audience::Internal, Port::Admin) => {
                Err(Error::AudienceMismatch { audience: "public" })
            }
        }
    }

    /// Why a token does not help where it is an account's own and holds: the method is for others.
    fn not_for_accounts(&self, token: &str, audience: &'static str) -> Option<Error> {
        self.keyring.verify_access(token).ok().map(|_account| Error::AudienceMismatch { audience })
    }

    fn admit_user(&self, method: &Method, token: Option<&str>) -> Result<Caller, Error> {
        if method.anonymous {
            return Ok(Caller::Anonymous);
        }
        let token = token.ok_or(Error::CredentialsInvalid { problem: "missing" })?;
        let principal = self.keyring.verify_access(token)?;
        if principal.may(method.scope) {
            Ok(Caller::User(principal))
        } else {
            Err(Error::ScopeMissing { scope: method.scope })
        }
    }
}

pub(super) async fn layer(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if OPEN.iter().any(|prefix| path.starts_with(prefix)) {
        return next.run(request).await;
    }
    let Some(method) = Method::find(path) else {
        return tonic::Status::unimplemented("there is no such method").into_http();
    };
    let caller = match gate.admit(method, request.headers()) {
        Ok(caller) => caller,
        Err(error) => return status(error).into_http(),
    };
    let token_end = match &caller {
        Caller::User(principal) => Some(TokenEnd(until(principal.expire_time, gate.env.now()))),
        Caller::Anonymous | Caller::Service(_) | Caller::Admin => None,
    };
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    if let Some(end) = token_end {
        response.extensions_mut().insert(end);
    }
    response
}

/// The token of an `authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
