//! AuditLedger: every invariant, on one snapshot.

use poa_proto::escrow::v1::{AuditCheck, AuditLedgerRequest, AuditLedgerResponse, LedgerAudit};
use tonic::Request;

use super::convert;
use crate::error::Error;
use crate::metrics;
use crate::service::Service;
use crate::store::audit;

pub(super) async fn handle(
    service: &Service,
    _request: &Request<AuditLedgerRequest>,
) -> Result<AuditLedgerResponse, Error> {
    // It reads everything: a second one at the same time would only slow both.
    let _turn = service.audits.try_acquire().map_err(|_| Error::Chassis(poa_chassis::Error::Overloaded))?;
    let found = audit::run(&service.db, service.env.now()).await?;
    let violations: i64 = found.checks.iter().map(|check| check.violations).sum();
    metrics::audited(violations);
    for check in found.checks.iter().filter(|check| check.violations > 0) {
        tracing::error!(
            check = check.name,
            violations = check.violations,
            example = check.example,
            "an invariant of the ledger is broken"
        );
    }
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
            clean: violations == 0,
            checks,
            user_liabilities_msat: found.user_liabilities.get(),
            fees_msat: found.fees.get(),
            open_escrows: found.open_escrows,
            audit_time: Some(convert::timestamp(found.time)),
        }),
    })
}
