//! The story of a new agent: what becomes of its key enters the log, once and in order.

use poa_sdk::api::auth::RegisterAgentRequest;
use poa_sdk::receipts::notice::{KeyEvent, KeyEventKind};
use poa_sdk::receipts::{Envelope, NoticeStatement};
use poa_sdk::{AgentKey, Client, system_env};

use crate::books::Effect;
use crate::market::{Market, insist, until};

/// Entries of one page of the log.
const PAGE: i32 = 1_000;

/// An agent registers, and the log has the event once.
pub(crate) async fn registered(market: &Market) -> Result<Effect, String> {
    let owner = market.newcomer().await?;
    let first = insist("the log's size", async || owner.client().log_entries(i64::MAX >> 11, PAGE).await);
    let first = first.await?.tree_size;
    let key = AgentKey::generate(&system_env());
    let request = RegisterAgentRequest {
        request_id: market.request_id(),
        name: "newcomer".to_owned(),
        ..RegisterAgentRequest::default()
    };
    let agent =
        insist("register an agent", async || owner.register_agent(request.clone(), &key).await).await?;
    let logged = until("the key event in the log", async || {
        let events = events(owner.client(), first, &agent.agent_id).await?;
        Ok((!events.is_empty()).then_some(events))
    });
    let kinds: Vec<KeyEventKind> = logged.await?.iter().map(|event| event.kind).collect();
    if kinds == [KeyEventKind::Registered] {
        Ok(Effect::default())
    } else {
        Err(format!("the log has these events of a new agent's key: {kinds:?}"))
    }
}

/// The events of an agent's keys, from a place of the log on.
async fn events(client: &Client, first: i64, agent_id: &str) -> Result<Vec<KeyEvent>, String> {
    let mut events = Vec::new();
    let mut next = first;
    loop {
        let page = insist("the log's entries", async || client.log_entries(next, PAGE).await).await?;
        let Some(last) = page.entries.last() else { return Ok(events) };
        next = last.log_index + 1;
        for entry in page.entries.iter().filter(|entry| !entry.envelope.is_empty()) {
            let envelope = Envelope::from_json(&entry.envelope).map_err(|error| error.to_string())?;
            // Others' versions, and what is owed, are passed over.
            if let Ok(statement) = NoticeStatement::<KeyEvent>::open(&envelope)
                && statement.notice().agent.to_string() == agent_id
            {
                events.push(statement.notice().clone());
            }
        }
    }
}
