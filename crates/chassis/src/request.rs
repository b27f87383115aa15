//! What a handler does first: who calls, and is the request well formed.

use poa_common::{AccountId, FieldViolation};
use poa_proto::Check;
use uuid::Uuid;

use crate::error::Error;
use crate::principal::{Caller, Principal};

/// The caller of a request, as the authorisation layer found.
pub fn principal<T>(request: &tonic::Request<T>) -> Caller {
    request.extensions().get::<Caller>().cloned().unwrap_or(Caller::Anonymous)
}

/// The signed-in caller of a public method.
pub fn user<T>(request: &tonic::Request<T>) -> Result<Principal, Error> {
    match principal(request) {
        Caller::User(principal) => Ok(principal),
        Caller::Anonymous | Caller::Service(_) | Caller::Admin => {
            Err(Error::CredentialsInvalid { problem: "missing" })
        }
    }
}

/// The account of the signed-in caller.
pub fn account<T>(request: &tonic::Request<T>) -> Result<AccountId, Error> {
    user(request).map(|principal| principal.account_id)
}

/// Refuses a request whose fields break the contract's bounds, naming all of them.
pub fn validate<T: Check>(message: &T) -> Result<(), Error> {
    let violations = message.violations();
    if violations.is_empty() {
        return Ok(());
    }
    Err(Error::FieldsInvalid(
        violations.into_iter().map(|(field, description)| FieldViolation { field, description }).collect(),
    ))
}

/// The `request_id` of a mutation.
pub fn request_uuid(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| {
        Error::FieldsInvalid(vec![FieldViolation {
            field: "request_id".to_owned(),
            description: "must be a UUID".to_owned(),
        }])
    })
}
