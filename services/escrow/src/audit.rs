//! One audit of the ledger: what is broken is logged, and payouts stop until an operator has looked.

use poa_chassis::Error as ChassisError;

use crate::error::Error;
use crate::metrics;
use crate::service::Service;
use crate::store::audit::{self, Audit};

/// Audits the ledger now, after whoever is at it.
pub(crate) async fn take(service: &Service) -> Result<Audit, Error> {
    // It reads everything: a second one at the same time would only slow both.
    let _turn = service.audits.acquire().await.map_err(|_closed| Error::Chassis(ChassisError::Overloaded))?;
    let found = audit::run(&service.db, service.env.now()).await?;
    metrics::audited(found.violations());
    let Some(reason) = found.reason() else { return Ok(found) };
    metrics::alarm("audit_violation");
    for check in found.broken() {
        tracing::error!(
            check = check.name,
            violations = check.violations,
            example = check.example,
            "an invariant of the ledger is broken"
        );
    }
    service.pause_payouts(&reason).await;
    Ok(found)
}
