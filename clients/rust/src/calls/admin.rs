//! What operators ask, on the admin port.

use std::time::Duration;

use poa_common::Env;
use poa_proto::escrow::v1::escrow_admin_service_client::EscrowAdminServiceClient;
use poa_proto::escrow::v1::{AuditLedgerRequest, LedgerAudit};
use poa_proto::search::v1::search_admin_service_client::SearchAdminServiceClient;
use poa_proto::search::v1::{ReindexRequest, ReindexResponse};

use super::given;
use crate::client::Client;
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::env::system_env;
use crate::error::Error;

/// An audit reads the whole ledger, a wipe of the index counts all of it; the servers' own limit is 60 seconds.
const LONG_TIMEOUT: Duration = Duration::from_secs(65);

/// An operator of a mesh.
pub struct Admin {
    client: Client,
    credentials: Credentials,
}

// === impl Admin ===

impl Admin {
    /// A client of the admin port with an operator's token, such as the content of the file that a server writes at
    /// its first start.
    ///
    /// # Errors
    /// The address cannot be used, or the token would be readable on the way there ([`Endpoint::insecure`]).
    pub fn connect(endpoint: impl Into<Endpoint>, token: &str) -> Result<Self, Error> {
        Self::connect_with(endpoint, token, system_env())
    }

    /// The same with a clock and entropy of the caller's.
    pub fn connect_with(endpoint: impl Into<Endpoint>, token: &str, env: Env) -> Result<Self, Error> {
        let credentials = Credentials::ApiKey(token.trim().to_owned().into());
        let client = Client::connect_with(endpoint, env)?;
        client.check_secrets()?;
        Ok(Self { client, credentials })
    }

    /// Checks every invariant of the ledger on one consistent snapshot.
    pub async fn audit_ledger(&self) -> Result<LedgerAudit, Error> {
        let call = |channel, request| async move {
            EscrowAdminServiceClient::new(channel).audit_ledger(request).await
        };
        let answer =
            self.client.call(Some(&self.credentials), LONG_TIMEOUT, AuditLedgerRequest {}, call).await?;
        given(answer.audit, "audit")
    }

    /// Empties the search index, which is then built again. Searches find less until that is done.
    pub async fn reindex(&self) -> Result<ReindexResponse, Error> {
        let call =
            |channel, request| async move { SearchAdminServiceClient::new(channel).reindex(request).await };
        self.client.call(Some(&self.credentials), LONG_TIMEOUT, ReindexRequest {}, call).await
    }
}
