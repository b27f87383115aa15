//! The world outside: who pays the node's invoices, whose invoices it pays, and its peer.

use super::money::SAT;
use super::state::{Incoming, Kind, Outgoing, Received};
use super::wallet::{Description, Draft, hash};
use super::{Phoenixd, pay, webhooks};

/// What becomes of sats on their way to the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Sats that are paid beyond what the invoice asks for.
    pub more_sat: u64,
    /// Sats that a channel costs which is made or enlarged for this payment. They are taken from what arrives.
    pub liquidity_fee_sat: u64,
    /// Too little for a channel: all of it becomes fee credit.
    pub becomes_fee_credit: bool,
    /// The peer has committed to it before the invoice expired: its time is not looked at.
    pub begun_in_time: bool,
}

/// An invoice of a wallet outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsideInvoice {
    /// What it asks for, in msat; `None` leaves that to the payer.
    pub amount_msat: Option<u64>,
    /// How long it can be paid.
    pub expiry_seconds: u64,
    /// The blocks of its last hop.
    pub min_final_cltv: u64,
}

/// A row that is on its way into the database.
#[derive(Debug)]
pub struct Withheld(Incoming);

/// The end of a payment that stays in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The payee takes it.
    Settles,
    /// It comes back, with this text.
    Fails(String),
}

// === impl OutsideInvoice ===

impl OutsideInvoice {
    /// An ordinary one of so many sats.
    pub fn of_sat(sat: u64) -> Self {
        Self { amount_msat: Some(sat * SAT), expiry_seconds: 3_600, min_final_cltv: 18 }
    }
}

// === impl Phoenixd ===

impl Phoenixd {
    /// Somebody outside pays an invoice of the node, or is told why not.
    pub fn pay_from_outside(&self, bolt11: &str) -> Result<(), String> {
        self.pay_from_outside_with(bolt11, Arrival::default())
    }

    /// The same, with what happens on the way.
    pub fn pay_from_outside_with(&self, bolt11: &str, arrival: Arrival) -> Result<(), String> {
        let now = self.shared.now();
        let mut state = self.shared.state();
        let invoice = state.incoming.iter_mut().find_map(|row| match row {
            Incoming::Lightning(invoice) if invoice.bolt11.eq_ignore_ascii_case(bolt11) => {
                Some(&mut **invoice)
            }
            Incoming::Lightning(_) | Incoming::OnChain { .. } => None,
        });
        let invoice = invoice.ok_or("not an invoice of this node")?;
        if invoice.received.is_some() {
            return Err("the invoice has been paid".to_owned());
        }
        if invoice.is_over(now) && !arrival.begun_in_time {
            return Err("the invoice has expired".to_owned());
        }
        let paid = invoice.requested_msat.unwrap_or(SAT) + arrival.more_sat * SAT;
        let fees_msat = arrival.liquidity_fee_sat * SAT;
        let msat = i64::try_from(paid).expect("an amount") - i64::try_from(fees_msat).expect("an amount");
        invoice.received = Some(Received { msat, fees_msat, at: now });
        let invoice = invoice.clone();
        if arrival.becomes_fee_credit {
            state.fee_credit += paid;
        } else {
            state.balance += msat;
        }
        drop(state);
        self.shared.notify();
        webhooks::received(&self.shared, &invoice, msat);
        Ok(())
    }

    /// A wallet outside makes an invoice that the node can pay.
    pub fn outside_invoice(&self, invoice: OutsideInvoice) -> String {
        let preimage = self.shared.env.random();
        let now = self.shared.now();
        let mut state = self.shared.state();
        state.outside_preimages.insert(hash(&preimage), preimage);
        state.outside.sign(&Draft {
            hash: hash(&preimage),
            secret: self.shared.env.random(),
            amount_msat: invoice.amount_msat,
            description: Description::Text("a wallet outside".to_owned()),
            expiry_seconds: Some(invoice.expiry_seconds),
            min_final_cltv: invoice.min_final_cltv,
            now,
        })
    }

    /// Ends a payment that stays in flight. A payee that nobody knows can only refuse.
    ///
    /// # Panics
    /// Where a payment is to settle whose preimage nobody knows.
    pub fn resolve(&self, hash: [u8; 32], resolution: Resolution) {
        let now = self.shared.now();
        let mut state = self.shared.state();
        let how = match resolution {
            Resolution::Settles => Ok(*state.outside_preimages.get(&hash).expect("an invoice from outside")),
            Resolution::Fails(reason) => Err(reason),
        };
        pay::end(&mut state, hash, how, now);
        drop(state);
        self.shared.notify();
    }

    /// Whether the node's peer is there. Without it a payment fails, and the balance shows nothing.
    pub fn set_connected(&self, connected: bool) {
        self.shared.state().connected = connected;
    }

    /// Another chain than testnet3, by phoenixd's name for it.
    pub fn set_chain(&self, chain: &str) {
        chain.clone_into(&mut self.shared.state().chain);
    }

    /// A height, or none: no block was heard of.
    pub fn set_height(&self, height: Option<u32>) {
        self.shared.state().height = height;
    }

    /// Fee credit that is there, in sats.
    pub fn set_fee_credit_sat(&self, sat: u64) {
        self.shared.state().fee_credit = sat * SAT;
    }

    /// The newest row of the incoming ones is not in the database yet, although it has its time.
    ///
    /// # Panics
    /// Where there is none.
    pub fn withhold_newest_invoice(&self) -> Withheld {
        Withheld(self.shared.state().incoming.pop().expect("a row"))
    }

    /// Now it is there.
    pub fn show(&self, withheld: Withheld) {
        self.shared.state().incoming.push(withheld.0);
    }

    /// Sats come in on the chain: a row that the API drops.
    pub fn receive_on_chain(&self) {
        let created_at = self.shared.now();
        self.shared.state().incoming.push(Incoming::OnChain { created_at });
    }

    /// Sats go out on the chain: a row without a hash. `kind` is `auto_liquidity`, `splice_out`, …
    pub fn send_on_chain(&self, kind: &str) {
        let id = uuid::Builder::from_random_bytes(self.shared.env.random()).into_uuid().to_string();
        let created_at = self.shared.now();
        let kind = Kind::OnChain { sub_type: kind.to_owned(), sat: 1_234 };
        self.shared.state().outgoing.push(Outgoing { id, created_at, kind });
    }

    /// The payments of a hash that have succeeded. More than one is what must never be.
    pub fn payments_of(&self, hash: [u8; 32]) -> usize {
        let state = self.shared.state();
        state
            .attempts(hash)
            .filter(|(_, status)| matches!(status, super::state::Status::Succeeded { .. }))
            .count()
    }

    /// The attempts to pay a hash.
    pub fn attempts_of(&self, hash: [u8; 32]) -> usize {
        self.shared.state().attempts(hash).count()
    }

    /// What the node can send, in msat: exactly, where the API rounds down.
    pub fn balance_msat(&self) -> i64 {
        self.shared.state().balance
    }
}
