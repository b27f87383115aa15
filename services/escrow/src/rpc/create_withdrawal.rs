//! CreateWithdrawal: reserves the sats with the row. Sending is the payout worker's.

use poa_chassis::{account, validate};
use poa_common::{Msat, MsatError};
use poa_proto::escrow::v1::{CreateWithdrawalRequest, CreateWithdrawalResponse};
use tonic::Request;

use super::convert;
use crate::domain::command::{Command, ReserveWithdrawal};
use crate::domain::invoice::{fee_limit, payable};
use crate::domain::refusal::Refusal;
use crate::domain::withdrawal::{State, Withdrawal};
use crate::error::Error;
use crate::service::Service;
use crate::store::withdrawals;

pub(super) async fn handle(
    service: &Service,
    request: Request<CreateWithdrawalRequest>,
) -> Result<CreateWithdrawalResponse, Error> {
    let account = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let request = (convert::request_id(&message.request_id)?, convert::fingerprint(&message));
    // Before the invoice is looked at: it may have expired since the first time.
    if let Some(known) = withdrawals::find_request(&service.db, account, request.0).await? {
        if known.request != request {
            return Err(Refusal::RequestIdReused.into());
        }
        return Ok(CreateWithdrawalResponse { withdrawal: Some(convert::withdrawal(&known)) });
    }
    let now = service.env.now();
    let capabilities = service.provider.capabilities();
    let decoded = service.provider.decode(&message.invoice);
    let invoice = payable(decoded, &service.node, capabilities, now)?;
    let out_of_range = |_: MsatError| Error::Refused(Refusal::OutOfRange);
    let limit = fee_limit(invoice.amount, message.fee_limit_msat.map(convert::msat), capabilities.fees)
        .map_err(out_of_range)?;
    let withdrawal = Withdrawal {
        id: service.env.new_id(),
        account,
        request,
        state: State::Reserved,
        amount: invoice.amount,
        fee_limit: limit,
        fee: Msat::ZERO,
        invoice: message.invoice,
        hash: invoice.hash,
        invoice_expire_time: invoice.expire_time,
        node: None,
        deadline: None,
        dispatches: 0,
        failures_seen: 0,
        preimage: None,
        failure: None,
        create_time: now,
        end_time: None,
    };
    let max_live = service.config.withdrawals.max_live;
    let command = ReserveWithdrawal { withdrawal, max_live, transfer: service.env.new_id() };
    let reserved = service.ledger.withdrawal(Command::ReserveWithdrawal(Box::new(command))).await?;
    service.reserved.notify_one();
    Ok(CreateWithdrawalResponse { withdrawal: Some(convert::withdrawal(&reserved)) })
}
