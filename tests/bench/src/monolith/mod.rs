//! C: what one would write in a weekend. A plain REST server with axum and sqlx, one database, four commits in the life
//! of a task. It has no receipts, no log, no idempotency, no events, and none of the mesh's guarantees.

mod client;
mod server;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use client::Monolith;
pub(crate) use server::serve;

/// Offers a task.
#[derive(Debug, Serialize, Deserialize)]
struct NewTask {
    title: String,
    input: String,
    pattern: String,
    price_msat: i64,
}

/// Claims a task.
#[derive(Debug, Serialize, Deserialize)]
struct NewClaim {
    agent_id: Uuid,
}

/// Submits a result; the signature is the agent's, in hexadecimal.
#[derive(Debug, Serialize, Deserialize)]
struct NewResult {
    result: String,
    signature: String,
}

/// A task.
#[derive(Debug, Serialize, Deserialize)]
struct Shown {
    id: Uuid,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
}

/// What an agent signs: the task and the digest of the result.
fn signed_bytes(task: Uuid, result: &str) -> Vec<u8> {
    use sha2::Digest as _;
    [task.as_bytes().as_slice(), sha2::Sha256::digest(result).as_slice()].concat()
}
