//! GetReconciliation: a round, now.

use poa_chassis::{Error as Chassis, validate};
use poa_payment::HoldInvoices;
use poa_proto::escrow::v1::{
    Drift, GetReconciliationRequest, GetReconciliationResponse, NodeStatus, Reconciliation,
};
use tonic::Request;

use super::convert;
use crate::domain::reconciliation::Report;
use crate::error::Error;
use crate::service::Service;
use crate::store::payout_switch::{self, Switch};
use crate::worker::reconciliation::Trouble;

pub(super) async fn handle(
    service: &Service,
    request: Request<GetReconciliationRequest>,
) -> Result<GetReconciliationResponse, Error> {
    let message = request.into_inner();
    validate(&message)?;
    let made = service.reconciler.ask(message.full).await.unwrap_or(Err(Trouble::Overtaken));
    let report = made.map_err(|trouble| match trouble {
        Trouble::Node(_) => Error::no_node(),
        Trouble::Database => Error::Storage(poa_storage::Error::Busy),
        Trouble::Overtaken | Trouble::TooLong => Error::Chassis(Chassis::Overloaded),
    })?;
    let switch = payout_switch::read(&service.db).await?;
    Ok(GetReconciliationResponse { reconciliation: Some(shown(service, &report, &switch)) })
}

fn shown(service: &Service, report: &Report, switch: &Switch) -> Reconciliation {
    let drifts = report.drifts.iter().map(|drift| Drift {
        kind: drift.kind.as_str().to_owned(),
        payment_hash: drift.hash.map(|hash| hash.as_bytes().to_vec()).unwrap_or_default(),
        node_msat: drift.node.get(),
        ledger_msat: drift.ledger.get(),
        subject_id: drift.subject.clone(),
    });
    Reconciliation {
        clean: report.is_clean(),
        drifts: drifts.collect(),
        flow_difference_msat: i64::try_from(report.flow_difference).unwrap_or(i64::MAX),
        assets_msat: report.assets.unwrap_or(poa_common::Msat::ZERO).get(),
        liabilities_msat: report.liabilities.get(),
        compared: i64::try_from(report.compared).unwrap_or(i64::MAX),
        payouts: Some(convert::payout_switch(switch)),
        reconcile_time: Some(convert::timestamp(report.time)),
        full: report.full,
        node: Some(NodeStatus {
            node_id: report.node.node.as_bytes().to_vec(),
            height: i32::try_from(report.node.height).unwrap_or(i32::MAX),
            synced: report.node.synced,
            hold_invoices: service.config.holds.enabled
                && service.provider.hold_invoices().is_some_and(HoldInvoices::takes_new),
        }),
    }
}
