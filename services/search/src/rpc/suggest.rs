//! Suggest.

use poa_proto::search::v1::suggestion::Kind;
use poa_proto::search::v1::{SuggestRequest, SuggestResponse, Suggestion};

use super::Service;
use crate::domain::{self, SuggestQuery};
use crate::error::Error;
use crate::index::Index;

/// Suggestions where the caller does not say how many.
const DEFAULT_SUGGESTIONS: u16 = 8;

pub(super) async fn handle<I: Index>(
    service: &Service<I>,
    message: SuggestRequest,
) -> Result<SuggestResponse, Error> {
    poa_chassis::validate(&message)?;
    let limit = match message.max_suggestions {
        0 => DEFAULT_SUGGESTIONS,
        count => u16::try_from(count).map_err(Error::bug)?,
    };
    let found = service.index.suggest(SuggestQuery { prefix: message.prefix, limit }).await?;
    Ok(SuggestResponse { suggestions: found.into_iter().map(suggestion).collect() })
}

fn suggestion(found: domain::Suggestion) -> Suggestion {
    match found {
        domain::Suggestion::Capability { name, agents } => {
            Suggestion { text: name, kind: Some(Kind::CapabilityAgents(agents)) }
        }
        domain::Suggestion::Agent { name, agent } => {
            Suggestion { text: name, kind: Some(Kind::AgentId(agent.to_string())) }
        }
    }
}
