//! Who may call a method, where its scope alone does not say so.

use poa_chassis::Principal;
use tonic::Request;

use crate::error::Error;

/// Whoever signed in. A token that an API key was exchanged for is refused: a key that could make keys would live on
/// in them after it was revoked, and one that could revoke keys would lock its owner's programs out.
pub(super) fn signed_in<T>(request: &Request<T>) -> Result<Principal, Error> {
    let caller = poa_chassis::user(request)?;
    if caller.session_id.is_some() { Ok(caller) } else { Err(not_for_keys()) }
}

/// Whoever may act for the whole account: a key that is bound to one agent brings no others into being.
pub(super) fn unbound<T>(request: &Request<T>) -> Result<Principal, Error> {
    let caller = poa_chassis::user(request)?;
    if caller.agent_id.is_none() { Ok(caller) } else { Err(not_for_keys()) }
}

fn not_for_keys() -> Error {
    poa_chassis::Error::AudienceMismatch { audience: "session" }.into()
}
