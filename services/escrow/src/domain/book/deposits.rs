//! Crediting what arrived.

use poa_common::{Msat, TypedId as _};

use super::Book;
use crate::domain::command::CreditDeposit;
use crate::domain::deposit::{Deposit, State};
use crate::domain::postings::{self, Kind, Transfer};
use crate::domain::refusal::Refusal;

// === impl Book ===

impl Book {
    pub(super) fn credit(&mut self, credit: &CreditDeposit) -> Result<Deposit, Refusal> {
        let known = self.deposits.get(&credit.deposit).cloned();
        let deposit = known.ok_or(Refusal::WrongState { subject: "the deposit", state: "absent" })?;
        match deposit.state {
            // Once per deposit, and a deposit is one payment hash.
            State::Settled => return Ok(deposit),
            // Whatever our clock says: sats that arrived are the user's.
            State::Open | State::Expired => {}
        }
        if credit.paid <= Msat::ZERO || credit.paid > Msat::SUPPLY {
            return Err(Refusal::OutOfRange);
        }
        self.post(vec![Transfer {
            id: credit.transfer,
            kind: Kind::Deposit,
            subject: deposit.id.uuid(),
            time: credit.time,
            postings: postings::deposit::postings(deposit.account, credit.paid)?,
        }])?;
        let settled = Deposit {
            state: State::Settled,
            credited: credit.paid,
            settle_time: Some(credit.time),
            ..deposit
        };
        self.deposits.put(settled.id, settled.clone());
        Ok(settled)
    }
}
