//! AuditLedger: every invariant, on one snapshot.

use poa_proto::escrow::v1::{AuditCheck, AuditLedgerRequest, AuditLedgerResponse, LedgerAudit};
use tonic::Request;

use super::convert;
use crate::audit;
use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    service: &Service,
    _request: &Request<AuditLedgerRequest>,
) -> Result<AuditLedgerResponse, Error> {
    let found = audit::take(service).await?;
    let clean = found.violations() == 0;
    let checks = found
        .checks
        .into_iter()
        .map(|check| AuditCheck {
            name: check.name.to_owned(),
            violations: check.violations,
            example: check.example,
        })
        .collect();
    Ok(AuditLedgerResponse {
        audit: Some(LedgerAudit {
            clean,
            checks,
            user_liabilities_msat: found.user_liabilities.get(),
            fees_msat: found.fees.get(),
            open_escrows: found.open_escrows,
            audit_time: Some(convert::timestamp(found.time)),
        }),
    })
}
