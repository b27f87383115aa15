//! `AuthService.GetServerInfo`.

use poa_proto::auth::v1::GetServerInfoResponse;

use crate::state::State;

pub(super) fn handle(state: &State) -> GetServerInfoResponse {
    state.info.response()
}
