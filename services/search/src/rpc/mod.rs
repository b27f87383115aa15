//! The service's methods, a file each.

mod convert;
mod paging;
mod reindex;
mod search_agents;
mod search_tasks;
mod suggest;

use std::sync::Arc;

use poa_chassis::status;
use poa_proto::search::v1::search_admin_service_server::SearchAdminService;
use poa_proto::search::v1::search_service_server::SearchService;
use poa_proto::search::v1::{
    ReindexRequest, ReindexResponse, SearchAgentsRequest, SearchAgentsResponse, SearchTasksRequest,
    SearchTasksResponse, SuggestRequest, SuggestResponse,
};
use poa_storage::page::Sealer;
use tonic::{Request, Response, Status};

use crate::error::Error;
use crate::index::Index;
use crate::worker::keeper::Keeper;

/// What the methods work with.
#[derive(Debug)]
pub(crate) struct Service<I> {
    pub(crate) index: Arc<I>,
    pub(crate) keeper: Keeper<I>,
    pub(crate) pages: Sealer,
}

fn answer<T>(answer: Result<T, Error>) -> Result<Response<T>, Status> {
    answer.map(Response::new).map_err(status)
}

#[tonic::async_trait]
impl<I: Index> SearchService for Service<I> {
    async fn search_agents(
        &self,
        request: Request<SearchAgentsRequest>,
    ) -> Result<Response<SearchAgentsResponse>, Status> {
        answer(search_agents::handle(self, request).await)
    }

    async fn search_tasks(
        &self,
        request: Request<SearchTasksRequest>,
    ) -> Result<Response<SearchTasksResponse>, Status> {
        answer(search_tasks::handle(self, request).await)
    }

    async fn suggest(&self, request: Request<SuggestRequest>) -> Result<Response<SuggestResponse>, Status> {
        answer(suggest::handle(self, request.into_inner()).await)
    }
}

#[tonic::async_trait]
impl<I: Index> SearchAdminService for Service<I> {
    async fn reindex(&self, _request: Request<ReindexRequest>) -> Result<Response<ReindexResponse>, Status> {
        answer(reindex::handle(self).await)
    }
}
