//! One request: its troubles, its password, its parameters, and the answer.

use std::sync::{Arc, PoisonError};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use futures_util::stream::{StreamExt as _, repeat_with};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use super::script::{Endpoint, Trouble};
use super::server::Breaker;
use super::state::{Bytes32, Incoming, Invoice};
use super::wallet::{Description, Draft, hash};
use super::{FULL, LIMITED, Shared, answers, pay, rows};

/// A longer body is nobody's.
const MAX_BODY_BYTES: usize = 64 << 10;
/// phoenixd's own limit, in characters.
const MAX_DESCRIPTION: usize = 128;
/// phoenixd's final CLTV delta.
const FINAL_CLTV_BLOCKS: u64 = 144;

/// What a password may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Full,
    Limited,
    None,
}

/// An answer that is not the one that was asked for.
pub(super) type Refused = Box<Response>;

/// The parameters of a query or a form.
pub(super) struct Parameters(Vec<(String, String)>);

/// Answers a request, or does to it what the script says.
pub(super) async fn answer(shared: Arc<Shared>, breaker: Breaker, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let what = format!("{} {}", parts.method, parts.uri.path());
    *shared.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await.unwrap_or_default();
    let trouble = endpoint(&parts).map_or(Trouble::None, |endpoint| shared.script.next(endpoint));
    let carried_out = route(Arc::clone(&shared), parts, body.to_vec());
    match trouble {
        Trouble::None => carried_out.await,
        Trouble::Answers(status, text) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, text).into_response()
        }
        Trouble::NotFound => answers::not_found(),
        Trouble::LostBefore => breaker.break_it().await,
        Trouble::LostAfter => {
            carried_out.await;
            breaker.break_it().await
        }
        Trouble::HangsBefore => std::future::pending().await,
        Trouble::HangsAfter => {
            carried_out.await;
            std::future::pending().await
        }
        Trouble::Late => {
            let script = Arc::clone(&shared);
            // On a task of its own: its sender may have gone.
            let late = tokio::spawn(async move {
                script.script.released().await;
                carried_out.await
            });
            late.await.expect("a late request is carried out")
        }
        Trouble::Torn => torn(carried_out.await).await,
        Trouble::Flood => {
            let endless = repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 << 10]));
            Body::from_stream(endless).into_response()
        }
    }
}

/// The first half of an answer, and then the connection's end.
async fn torn(response: Response) -> Response {
    let whole = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    let half = whole.slice(..whole.len() / 2);
    let cut = futures_util::stream::iter([Ok(half), Err(std::io::Error::other("cut"))]);
    Body::from_stream(cut.boxed()).into_response()
}

fn endpoint(parts: &Parts) -> Option<Endpoint> {
    let path = parts.uri.path().trim_start_matches('/');
    match path {
        "getinfo" => Some(Endpoint::GetInfo),
        "getbalance" => Some(Endpoint::GetBalance),
        "createinvoice" => Some(Endpoint::CreateInvoice),
        "payinvoice" => Some(Endpoint::PayInvoice),
        "payments/incoming" => Some(Endpoint::ListIncoming),
        "payments/outgoing" => Some(Endpoint::ListOutgoing),
        _ if path.starts_with("payments/incoming/") => Some(Endpoint::LookupInvoice),
        _ if path.starts_with("payments/outgoingbyhash/") => Some(Endpoint::LookupPayment),
        _ => None,
    }
}

/// Carries a request out.
async fn route(shared: Arc<Shared>, parts: Parts, body: Vec<u8>) -> Response {
    let path = parts.uri.path().trim_start_matches('/').to_owned();
    let segments: Vec<_> = path.split('/').collect();
    let (method, needed) = match segments.as_slice() {
        ["getinfo" | "getbalance"] | ["payments", "incoming" | "outgoing"] => (Method::GET, Access::Limited),
        ["payments", "incoming" | "outgoing" | "outgoingbyhash", _] => (Method::GET, Access::Limited),
        ["createinvoice"] => (Method::POST, Access::Limited),
        ["payinvoice"] => (Method::POST, Access::Full),
        _ => return answers::text(StatusCode::NOT_FOUND, "Unknown endpoint (check api doc)"),
    };
    if parts.method != method {
        let text = "Invalid http method (use the correct GET/POST)";
        return answers::text(StatusCode::METHOD_NOT_ALLOWED, text);
    }
    let allowed = match (access(&parts.headers), needed) {
        (Access::Full, _) | (Access::Limited, Access::Limited | Access::None) => true,
        (Access::Limited, Access::Full) | (Access::None, _) => false,
    };
    if !allowed {
        let text = "Invalid authentication (use basic auth with the http password set in phoenix.conf)";
        return answers::text(StatusCode::UNAUTHORIZED, text);
    }
    let query = Parameters::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let form = Parameters::parse(&body);
    let done = match segments.as_slice() {
        ["getinfo"] => Ok(answers::info(&shared.state())),
        ["getbalance"] => Ok(answers::balance(&shared.state())),
        ["createinvoice"] => create(&shared, &form),
        ["payinvoice"] => pay::invoice(&shared, &form).await,
        ["payments", "incoming"] => rows::incoming(&shared, &query),
        ["payments", "outgoing"] => rows::outgoing(&shared, &query),
        ["payments", "incoming", hash] => rows::invoice(&shared, hash),
        ["payments", "outgoingbyhash", hash] => rows::by_hash(&shared, hash),
        ["payments", "outgoing", id] => rows::by_id(&shared, id),
        _ => Ok(answers::text(StatusCode::NOT_FOUND, "Unknown endpoint (check api doc)")),
    };
    done.unwrap_or_else(|refusal| *refusal)
}

/// By the password alone: the name is ignored.
fn access(headers: &HeaderMap) -> Access {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let encoded = value.and_then(|value| value.strip_prefix("Basic "));
    let decoded = encoded.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    match text.as_deref().and_then(|text| text.split_once(':')).map(|(_, password)| password) {
        Some(FULL) => Access::Full,
        Some(LIMITED) => Access::Limited,
        Some(_) | None => Access::None,
    }
}

fn create(shared: &Shared, form: &Parameters) -> Result<Response, Refused> {
    let amount_sat = form.integer("amountSat")?;
    let description = form.text("description");
    if description.is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
        return Err(bad("Request parameter description is too long (max 128 characters)"));
    }
    let description_hash =
        form.text("descriptionHash").map(|text| hex32("descriptionHash", text)).transpose()?;
    let described = match (description, description_hash) {
        (Some(text), None) => Description::Text(text.to_owned()),
        (None, Some(hash)) => Description::Hash(hash),
        (None, None) | (Some(_), Some(_)) => {
            return Err(bad("Must provide either a description or descriptionHash"));
        }
    };
    let expiry = form.integer("expirySeconds")?;
    let (preimage, now) = (shared.env.random(), shared.now());
    let mut draft = Draft {
        hash: hash(&preimage),
        secret: shared.env.random(),
        amount_msat: amount_sat.map(|sat| u64::try_from(sat).unwrap_or(0).saturating_mul(1_000)),
        description: described,
        // Without one, the node's own week.
        expiry_seconds: Some(expiry.map_or(7 * 24 * 3_600, |seconds| u64::try_from(seconds).unwrap_or(0))),
        min_final_cltv: FINAL_CLTV_BLOCKS,
        now,
    };
    draft.amount_msat = draft.amount_msat.filter(|amount| *amount > 0);
    let mut state = shared.state();
    let invoice = Invoice {
        hash: draft.hash,
        preimage,
        bolt11: state.wallet.sign(&draft),
        description: description.map(str::to_owned),
        external_id: form.text("externalId").map(str::to_owned),
        webhook: form.text("webhookUrl").map(str::to_owned),
        requested_msat: draft.amount_msat,
        expiry_seconds: draft.expiry_seconds,
        created_at: now,
        received: None,
    };
    let answer = answers::made(&invoice);
    state.incoming.push(Incoming::Lightning(Box::new(invoice)));
    Ok(answer)
}

pub(super) fn bad(text: &str) -> Refused {
    Box::new(answers::text(StatusCode::BAD_REQUEST, text))
}

/// A parameter of another type.
pub(super) fn wrong(name: &str, kind: &str) -> Refused {
    bad(&format!("Request parameter {name} couldn't be parsed/converted to {kind}"))
}

/// 32 bytes in hexadecimal.
pub(super) fn hex32(name: &str, text: &str) -> Result<Bytes32, Refused> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| wrong(name, "hex32"))?;
    Ok(bytes)
}

// === impl Parameters ===

impl Parameters {
    fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Refused> {
        self.text(name).map(|text| text.parse().map_err(|_| wrong(name, "integer"))).transpose()
    }

    pub(super) fn needed(&self, name: &str) -> Result<&str, Refused> {
        self.text(name).ok_or_else(|| self.missing(name))
    }

    pub(super) fn missing(&self, name: &str) -> Refused {
        bad(&format!("Request parameter {name} is missing"))
    }

    pub(super) fn wrong(&self, name: &str, kind: &str) -> Refused {
        wrong(name, kind)
    }
}
