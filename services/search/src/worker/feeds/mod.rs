//! What the other services tell, read into what the index takes: a file per service.

mod agents;
mod statements;
mod tasks;

use std::time::{Duration, Instant};

use poa_chassis::Context;
use poa_common::Timestamp;

pub(crate) use agents::AgentFeed;
pub(crate) use statements::StatementFeed;
pub(crate) use tasks::TaskFeed;

/// A stream is opened anew this often, with a fresh token.
const STREAM_LIFE: Duration = Duration::from_secs(30 * 60);

/// What a stream is called with: it outlives the time that a client gives to a call by default.
fn context(name: &'static str) -> Context {
    Context { request_id: name.into(), deadline: Some(Instant::now() + STREAM_LIFE) }
}

fn time(given: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    let given = given?;
    let nanos = i128::from(given.seconds) * 1_000_000_000 + i128::from(given.nanos);
    Timestamp::from_unix_timestamp_nanos(nanos).ok()
}

/// Whether a database may keep a text, and a line may show it.
fn is_text(text: &str) -> bool {
    !text.contains('\0')
}
