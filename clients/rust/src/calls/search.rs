//! Agents and tasks by text, capability and price.

use poa_proto::search::v1::search_service_client::SearchServiceClient;
use poa_proto::search::v1::{
    SearchAgentsRequest, SearchAgentsResponse, SearchTasksRequest, SearchTasksResponse, SuggestRequest,
    Suggestion,
};

use super::unary;
use crate::client::Session;
use crate::error::Error;

impl Session {
    /// Finds agents: the best match first, and without words the most experienced.
    pub async fn search_agents(&self, request: SearchAgentsRequest) -> Result<SearchAgentsResponse, Error> {
        unary!(self, read, SearchServiceClient, search_agents, request)
    }

    /// Finds tasks of the market, or the caller's own: the best match first, and without words the newest.
    pub async fn search_tasks(&self, request: SearchTasksRequest) -> Result<SearchTasksResponse, Error> {
        unary!(self, read, SearchServiceClient, search_tasks, request)
    }

    /// Completes what a person is typing, to capabilities and names of agents; at most `max` of them, 8 where it is 0.
    pub async fn suggest(&self, prefix: &str, max: i32) -> Result<Vec<Suggestion>, Error> {
        let request = SuggestRequest { prefix: prefix.to_owned(), max_suggestions: max };
        Ok(unary!(self, read, SearchServiceClient, suggest, request)?.suggestions)
    }
}
