//! Making a withdrawal: from what is to be paid to the reserved row. The handlers do it, and the automatic payouts.
//!
//! A Lightning address is asked before the reservation, outside of any transaction, and its invoice is stored with the
//! reservation in one commit. Whoever asks again under the same request id finds that row first; of two who ask at once each
//! gets an invoice, and the ledger takes one of them.

use poa_common::{AccountId, DepositId, Msat, MsatError, WithdrawalId};
use uuid::Uuid;

use crate::domain::address::LightningAddress;
use crate::domain::command::{Command, ReserveWithdrawal};
use crate::domain::deposit::State as DepositState;
use crate::domain::invoice::{Payable, Problem, fee_limit, payable};
use crate::domain::refusal::Refusal;
use crate::domain::withdrawal::{Origin, State, Withdrawal};
use crate::error::Error;
use crate::failpoint::{self, Failpoint};
use crate::lnurl::{self, AddressProblem, Offer};
use crate::metrics;
use crate::service::Service;
use crate::store::{accounts, deposits, payout_switch};

/// What is to be paid.
pub(crate) enum To {
    /// An invoice; of this amount, where one is given.
    Invoice(String, Option<Msat>),
    /// A Lightning address, and how much of it.
    Address(LightningAddress, Amount),
}

/// How much a Lightning address is to be asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    /// Just this.
    Exactly(Msat),
    /// This, or as much as the payee takes at a time.
    UpTo(Msat),
}

/// A withdrawal that is asked for.
pub(crate) struct Order {
    pub(crate) account: AccountId,
    /// The id of the request, and the digest of what it asks.
    pub(crate) request: (Uuid, [u8; 32]),
    pub(crate) to: To,
    pub(crate) fee_limit: Option<Msat>,
    pub(crate) replaces: Option<WithdrawalId>,
    /// The version of the destination that it follows, where it is paid out by itself.
    pub(crate) automatic: Option<i64>,
}

/// Reserves the sats with the row. Sending is the payout worker's.
pub(crate) async fn make(service: &Service, order: Order) -> Result<Withdrawal, Error> {
    let (bolt11, invoice, address) = match order.to {
        To::Invoice(bolt11, amount) => {
            let invoice = read(service, &bolt11)?;
            if amount.is_some_and(|amount| amount != invoice.amount) {
                return Err(Problem::OtherAmount.into());
            }
            (bolt11, invoice, None)
        }
        To::Address(address, amount) => {
            may_ask(service, order.account, amount.most()).await?;
            // What is paid out by itself goes one after another, and needs no place.
            let place = match order.automatic {
                Some(_) => None,
                None => Some(
                    service
                        .resolves
                        .take(order.account)
                        .ok_or(Error::Chassis(poa_chassis::Error::Overloaded))?,
                ),
            };
            let (bolt11, invoice) = resolve(service, &address, amount).await?;
            drop(place);
            (bolt11, invoice, Some(address.to_string()))
        }
    };
    let deposit = if invoice.own { Some(deposit_of(service, &invoice).await?) } else { None };
    let out_of_range = |_: MsatError| Error::Refused(Refusal::OutOfRange);
    let fees = service.provider.capabilities().fees;
    let withdrawal = Withdrawal {
        id: service.env.new_id(),
        account: order.account,
        request: order.request,
        origin: Origin {
            address,
            replaces: order.replaces,
            replaced_by: None,
            automatic: order.automatic.is_some(),
        },
        state: State::Reserved,
        amount: invoice.amount,
        fee_limit: fee_limit(invoice.amount, order.fee_limit, fees).map_err(out_of_range)?,
        fee: Msat::ZERO,
        invoice: bolt11,
        hash: invoice.hash,
        invoice_expire_time: invoice.expire_time,
        payee: deposit.is_none().then_some(invoice.payee),
        deposit,
        node: None,
        deadline: None,
        dispatches: 0,
        failures_seen: 0,
        node_knew: false,
        preimage: None,
        failure: None,
        create_time: service.env.now(),
        end_time: None,
    };
    let config = &service.config.withdrawals;
    let command = ReserveWithdrawal {
        withdrawal,
        max_live: config.max_live,
        caps: config.caps(),
        destination: order.automatic,
        transfer: service.env.new_id(),
    };
    let reserved = service.ledger.withdrawal(Command::ReserveWithdrawal(Box::new(command))).await?;
    service.reserved.notify_one();
    Ok(reserved)
}

/// What an invoice says, if it may be paid.
fn read(service: &Service, bolt11: &str) -> Result<Payable, Problem> {
    let decoded = service.provider.decode(bolt11);
    payable(decoded, &service.node, service.provider.capabilities(), service.env.now())
}

/// The open deposit of an invoice of our own node's. The ledger can pay it where the node can cancel its invoice first, and
/// no other invoice of its.
async fn deposit_of(service: &Service, invoice: &Payable) -> Result<DepositId, Error> {
    if !service.provider.capabilities().cancels_invoices {
        return Err(Problem::OwnNode.into());
    }
    let known = deposits::find_hash(&service.db, invoice.hash).await?;
    let deposit = known.filter(|known| known.amount == invoice.amount).ok_or(Problem::OwnNode)?;
    match deposit.state {
        DepositState::Open => Ok(deposit.id),
        DepositState::Settled | DepositState::Expired => Err(Problem::NotOpen.into()),
    }
}

/// Nobody outside is asked for what would be refused in any case. The ledger decides again.
async fn may_ask(service: &Service, account: AccountId, amount: Msat) -> Result<(), Error> {
    if payout_switch::read(&service.db).await?.paused {
        return Err(Refusal::PayoutsPaused.into());
    }
    let available = accounts::balance(&service.db, account).await?.available;
    if available < amount {
        return Err(Refusal::InsufficientFunds { available, needed: amount }.into());
    }
    Ok(())
}

/// Asks an address for an invoice, and checks what it gives.
async fn resolve(
    service: &Service,
    address: &LightningAddress,
    amount: Amount,
) -> Result<(String, Payable), Error> {
    let nothing_heard = Err(AddressProblem::Unreachable);
    let asked = failpoint::call(Failpoint::RESOLVE, nothing_heard, ask(service, address, amount)).await;
    metrics::address_asked(asked.as_ref().map_or_else(|problem| problem.as_str(), |_| "ok"));
    Ok(asked?)
}

async fn ask(
    service: &Service,
    address: &LightningAddress,
    amount: Amount,
) -> Result<(String, Payable), AddressProblem> {
    let offer = lnurl::ask(&service.egress, address).await?;
    let amount = match amount {
        Amount::Exactly(amount) => amount,
        Amount::UpTo(amount) => amount.min(whole_sats(offer.max())),
    };
    let bolt11 = lnurl::invoice(&service.egress, &offer, amount).await?;
    let invoice = read(service, &bolt11).map_err(AddressProblem::Invoice)?;
    as_asked(&offer, &invoice, amount)?;
    Ok((bolt11, invoice))
}

fn as_asked(offer: &Offer, invoice: &Payable, amount: Msat) -> Result<(), AddressProblem> {
    if invoice.amount != amount {
        return Err(AddressProblem::OtherAmount);
    }
    if !offer.describes(invoice.description_hash) {
        return Err(AddressProblem::OtherDescription);
    }
    Ok(())
}

/// Without what is less than a sat.
fn whole_sats(amount: Msat) -> Msat {
    Msat::from_sat(amount.whole_sat()).unwrap_or(amount)
}

// === impl Amount ===

impl Amount {
    /// The most that it can come to.
    fn most(self) -> Msat {
        match self {
            Self::Exactly(amount) | Self::UpTo(amount) => amount,
        }
    }
}
