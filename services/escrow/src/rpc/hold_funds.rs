//! HoldFunds: the payer's own token authorises it, once; the mandate bounds everything after.

use std::sync::Arc;

use poa_chassis::token::ACCESS_LIFETIME;
use poa_chassis::{Error as Chassis, validate};
use poa_common::{AccountId, EscrowId, TaskId, Timestamp, Violations};
use poa_proto::escrow::v1::{HoldFundsRequest, HoldFundsResponse};
use proof_of_agent::dsse::statement_digest;
use tonic::Request;

use super::{convert, hold_by_invoice};
use crate::domain::command::{Command, Hold};
use crate::domain::escrow::{Escrow, State};
use crate::domain::fee_schedule::{Fees, TERMS_LIFE};
use crate::domain::mandate::{self, Agreed, Funding, House, Order};
use crate::domain::refusal::Refusal;
use crate::error::Error;
use crate::service::Service;
use crate::store::escrows;

/// The scope that lets a token spend on tasks.
const SCOPE: &str = "tasks.write";
const _: () =
    assert!(TERMS_LIFE.as_secs() == ACCESS_LIFETIME.as_secs(), "terms are as old as a token, at most");

pub(super) async fn handle(
    service: &Arc<Service>,
    request: Request<HoldFundsRequest>,
) -> Result<HoldFundsResponse, Error> {
    let message = request.into_inner();
    validate(&message)?;
    let mut wrong = Violations::default();
    let ids: (Option<EscrowId>, Option<TaskId>, Option<AccountId>) = (
        wrong.parse("escrow_id", &message.escrow_id),
        wrong.parse("task_id", &message.task_id),
        wrong.parse("payer_id", &message.payer_id),
    );
    let (Some(escrow), Some(task), Some(payer)) = ids else {
        convert::refuse(wrong.into_vec())?;
        return Err(Refusal::EscrowNotFound.into());
    };
    let order = Order { escrow, task, payer, amount: convert::msat(message.amount_msat) };
    if let Err(refused) = authorise(service, &message.payer_token, payer) {
        // A token is needed once. After that the same hold is answered to Task however late it asks: nothing moves.
        return match held_before(service, &order, &message.terms).await? {
            Some(held) => hold_by_invoice::answer(service, held).await,
            None => Err(refused),
        };
    }

    let now = service.env.now();
    let agreed = match agree(service, &order, &message.terms, now).await? {
        Ok(agreed) => agreed,
        Err(wrong) => {
            // The fee may have changed since: what is held stays held as it was agreed.
            return match held_before(service, &order, &message.terms).await? {
                Some(held) => hold_by_invoice::answer(service, held).await,
                None => convert::refuse(wrong.into_vec()).and(Err(Refusal::OutOfRange.into())),
            };
        }
    };
    let Agreed { mandate, fee, split } = agreed;
    let funding = mandate.funding;
    let hold = Hold {
        escrow,
        task,
        payer,
        amount: order.amount,
        fee,
        split,
        mandate,
        transfer: service.env.new_id(),
        time: now,
    };
    let held = match funding {
        Funding::Balance => service.ledger.escrow(Command::Hold(Box::new(hold))).await?,
        Funding::HoldInvoice(lock) => match held_before(service, &order, &message.terms).await? {
            Some(held) => held,
            None => hold_by_invoice::begin(service, hold, lock).await?,
        },
    };
    hold_by_invoice::answer(service, held).await
}

/// Holds the terms against the order and the platform's own. Fees that were read a moment ago may accept, and never refuse:
/// one may have been set since.
async fn agree(
    service: &Service,
    order: &Order,
    terms: &[u8],
    now: Timestamp,
) -> Result<Result<Agreed, Violations>, Error> {
    let read = |fees: &Fees| {
        let mut wrong = Violations::default();
        let house = House { network: service.node.network, fees, now };
        mandate::read(terms, order, &house, &mut wrong).ok_or(wrong)
    };
    if let Some(fees) = service.fees.kept(order.payer)
        && let Ok(agreed) = read(&fees)
    {
        return Ok(Ok(agreed));
    }
    Ok(read(&*service.fees.read(&service.db, order.payer, now).await?))
}

/// The payer's token must be the payer's, and may spend.
fn authorise(service: &Service, token: &str, payer: AccountId) -> Result<(), Error> {
    let principal = service.keyring.verify_access(token)?;
    if principal.account_id != payer {
        return Err(Chassis::CredentialsInvalid { problem: "another account's than the payer's" }.into());
    }
    if !principal.may(SCOPE) {
        return Err(Chassis::ScopeMissing { scope: SCOPE }.into());
    }
    Ok(())
}

/// The escrow that this very hold has made before.
async fn held_before(service: &Service, order: &Order, terms: &[u8]) -> Result<Option<Escrow>, Error> {
    let found = escrows::find(&service.db, order.escrow).await?;
    let same = found.filter(|escrow| {
        escrow.task == order.task
            && escrow.payer == Some(order.payer)
            && escrow.amount == order.amount
            && escrow.terms == Some(statement_digest(terms))
    });
    match same.as_ref().map(|escrow| escrow.state) {
        Some(State::Refunded | State::Void) => Err(Refusal::AlreadyRefunded(order.escrow).into()),
        Some(State::FundingLost) => Err(Refusal::FundingLost(order.escrow).into()),
        Some(
            State::Held
            | State::Released
            | State::Awaiting
            | State::Accepted
            | State::Settling
            | State::Canceling
            | State::Canceled,
        )
        | None => Ok(same),
    }
}
