//! `AuthService.ListApiKeys`.

use poa_common::TypedId as _;
use poa_proto::auth::v1::{ListApiKeysRequest, ListApiKeysResponse};
use tonic::Request;

use super::convert;
use super::paging::Page;
use crate::error::Error;
use crate::state::State;
use crate::store::api_keys;

const METHOD: &str = "poa.auth.v1.AuthService/ListApiKeys";

pub(super) async fn handle(
    state: &State,
    request: Request<ListApiKeysRequest>,
) -> Result<ListApiKeysResponse, Error> {
    let account_id = poa_chassis::account(&request)?;
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let page = Page::open(&state.pages, account_id, METHOD, message.page_size, &message.page_token)?;
    let mut keys = api_keys::list(&state.db, account_id, page.after, page.limit()).await?;
    let next_page_token = page.close(&state.pages, &mut keys, |key| key.id.uuid());
    Ok(ListApiKeysResponse { api_keys: keys.iter().map(convert::api_key).collect(), next_page_token })
}
