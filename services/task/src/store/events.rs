//! The events of tasks: a notice for each visible change, without bodies.

use poa_common::{AgentId, Env, Msat, TypedId as _};
use poa_storage::events::{NewEvent, append};
use poa_storage::{Error, Tx};
use serde::{Deserialize, Serialize};

use super::corrupt;
use crate::domain::{Saga, State};

/// The topic of all events of tasks.
pub(crate) const TOPIC: &str = "tasks";

/// What an event says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The task's version after it.
    pub(crate) version: i64,
    /// What the feed makes of it.
    pub(crate) feed: FeedChange,
    /// What the feed filters by.
    pub(crate) facets: Facets,
}

/// What a change means to the feed of open tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FeedChange {
    /// The task opened.
    Opened,
    /// The task is open no more.
    Closed,
    /// Nothing.
    None,
}

/// What the feed filters by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Facets {
    pub(crate) capability: String,
    pub(crate) payee_msat: Msat,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) direct_agent: Option<AgentId>,
}

/// Writes the notice of a change.
pub(super) async fn note(tx: &mut Tx, before: Option<State>, saga: &Saga, env: &Env) -> Result<(), Error> {
    let open = saga.status.state == State::Open;
    let was_open = before == Some(State::Open);
    let change = Change {
        version: saga.status.version,
        feed: match (was_open, open) {
            (false, true) => FeedChange::Opened,
            (true, false) => FeedChange::Closed,
            (_, _) => FeedChange::None,
        },
        facets: Facets {
            capability: saga.offer.capability.clone(),
            payee_msat: saga.offer.payee,
            direct_agent: saga.offer.direct_agent,
        },
    };
    let event = NewEvent {
        id: env.new_id(),
        topic: TOPIC,
        subject: saga.offer.task.uuid(),
        kind: saga.status.state.as_str(),
        payload: serde_json::to_vec(&change).map_err(|_| corrupt("an event does not serialise"))?,
        time: saga.status.updated,
    };
    append(tx, event).await
}
