//! What the stand-in knows: it outlives the server, as a database does. Every rule here is a real node's.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use poa_common::Env;
use poa_payment::lnd::contract::lnrpc::invoice::InvoiceState;
use poa_payment::lnd::contract::lnrpc::payment::PaymentStatus;
use poa_payment::lnd::contract::lnrpc::{self, InvoiceHtlc, InvoiceHtlcState};
use poa_payment::{NodeId, PaymentHash, Preimage};
use tokio::sync::watch;
use tonic::{Code, Status};

use super::faults::PaymentPlan;
use super::wallet::{Draft, Wallet};

/// Blocks before the first HTLC times out at which an accepted invoice is given back (lnd 0.21).
const HOLD_EXPIRY_DELTA_BLOCKS: u32 = 18;
/// The final CLTV delta where none is asked for.
const DEFAULT_CLTV_EXPIRY_BLOCKS: u64 = 80;
const MIN_CLTV_EXPIRY_BLOCKS: u64 = 24;
const MAX_CLTV_EXPIRY_BLOCKS: u64 = 65_535;
const DEFAULT_EXPIRY_SECONDS: i64 = 86_400;
const MAX_EXPIRY_SECONDS: i64 = 31_536_000;
/// The channel that every HTLC comes in by, as a short channel id.
const CHANNEL: u64 = 880_000 << 40;

/// An invoice and what its answer does not say.
pub(super) struct InvoiceRow {
    pub(super) invoice: lnrpc::Invoice,
    /// The node's own, or the caller's once it was given.
    pub(super) preimage: Option<Preimage>,
    pub(super) hold: bool,
}

/// A payment and what its answer does not say.
pub(super) struct PaymentRow {
    pub(super) payment: lnrpc::Payment,
    pub(super) preimage: Option<Preimage>,
    /// What is out for it: the amount and the fee, in millisatoshi.
    pub(super) out_msat: i64,
}

/// The node. Every change raises the version, which the streams wait on.
pub(super) struct Node {
    pub(super) env: Env,
    pub(super) wallet: Wallet,
    pub(super) outside: Wallet,
    pub(super) height: u32,
    pub(super) invoices: BTreeMap<PaymentHash, InvoiceRow>,
    pub(super) payments: BTreeMap<PaymentHash, PaymentRow>,
    pub(super) invoice_count: u64,
    pub(super) settle_count: u64,
    pub(super) payment_count: u64,
    htlc_count: u64,
    /// How HTLCs ended, by their numbers.
    pub(super) resolutions: BTreeMap<u64, bool>,
    /// Whether an HTLC leaves the channel at once when its invoice is settled.
    pub(super) resolves_at_once: bool,
    pub(super) stores_resolutions: bool,
    /// Preimages of the invoices that were made outside.
    pub(super) outside_preimages: BTreeMap<PaymentHash, Preimage>,
    pub(super) plans: VecDeque<PaymentPlan>,
    /// Every update of a stream comes twice.
    pub(super) repeats_updates: bool,
    /// Our side of the channels, in millisatoshi.
    pub(super) local_msat: i64,
    /// The network in GetInfo.
    pub(super) network: &'static str,
    version: watch::Sender<u64>,
}

/// How somebody outside pays.
#[derive(Clone, Copy, Debug)]
pub struct LndAttempt {
    /// The sum of the parts in millisatoshi; none is what the invoice asks for.
    pub amount_msat: Option<i64>,
    /// HTLCs.
    pub parts: u32,
    /// Blocks above the final CLTV delta.
    pub extra_cltv_blocks: u32,
}

// === impl LndAttempt ===

impl Default for LndAttempt {
    /// As the invoice asks, in one part.
    fn default() -> Self {
        Self { amount_msat: None, parts: 1, extra_cltv_blocks: 0 }
    }
}

/// A Go error, as gRPC carries it.
pub(super) fn go_error(text: impl Into<String>) -> Status {
    Status::new(Code::Unknown, text)
}

// === impl Node ===

impl Node {
    pub(super) fn new(env: Env) -> Self {
        Self {
            wallet: Wallet::new(&env),
            outside: Wallet::new(&env),
            env,
            height: 880_100,
            invoices: BTreeMap::new(),
            payments: BTreeMap::new(),
            invoice_count: 0,
            settle_count: 0,
            payment_count: 0,
            htlc_count: 0,
            resolutions: BTreeMap::new(),
            resolves_at_once: true,
            stores_resolutions: true,
            outside_preimages: BTreeMap::new(),
            plans: VecDeque::new(),
            repeats_updates: false,
            local_msat: 5_000_000_000,
            network: "regtest",
            version: watch::Sender::new(0),
        }
    }

    pub(super) fn id(&self) -> NodeId {
        self.wallet.id()
    }

    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(super) fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Since 1970.
    pub(super) fn now(&self) -> Duration {
        let now = self.env.now().unix_timestamp();
        Duration::from_secs(u64::try_from(now).expect("a clock after 1970"))
    }

    pub(super) fn now_seconds(&self) -> i64 {
        self.env.now().unix_timestamp()
    }

    /// Adds an invoice, ordinary where the preimage is given.
    pub(super) fn add(
        &mut self,
        hash: PaymentHash,
        preimage: Option<Preimage>,
        asked: &lnrpc::Invoice,
    ) -> Result<lnrpc::Invoice, Status> {
        let cltv_expiry = check_terms(asked)?;
        if self.invoices.contains_key(&hash) {
            return Err(go_error("invoice with payment hash already exists"));
        }
        let expiry = if asked.expiry == 0 { DEFAULT_EXPIRY_SECONDS } else { asked.expiry };
        let description_hash = asked.description_hash.as_slice().try_into().unwrap_or([0; 32]);
        let payment_request = self.wallet.sign(&Draft {
            hash,
            secret: self.env.random(),
            amount_msat: u64::try_from(asked.value_msat).expect("checked above"),
            description_hash,
            expiry: Duration::from_secs(u64::try_from(expiry).unwrap_or(1)),
            min_final_cltv: cltv_expiry,
            now: self.now(),
        });
        let invoice = lnrpc::Invoice {
            r_hash: hash.as_bytes().to_vec(),
            r_preimage: preimage.as_ref().map(|preimage| preimage.as_bytes().to_vec()).unwrap_or_default(),
            value_msat: asked.value_msat,
            creation_date: self.now_seconds(),
            payment_request: payment_request.ok_or_else(|| go_error("unable to encode the invoice"))?,
            description_hash: asked.description_hash.clone(),
            expiry,
            cltv_expiry,
            private: asked.private,
            add_index: self.invoice_count + 1,
            ..lnrpc::Invoice::default()
        };
        let hold = preimage.is_none();
        self.invoice_count += 1;
        self.invoices.insert(hash, InvoiceRow { invoice: invoice.clone(), preimage, hold });
        self.changed();
        Ok(invoice)
    }

    /// The invoice now: the expiry watcher has cancelled it if its time has passed.
    pub(super) fn invoice(&mut self, hash: PaymentHash) -> Option<&mut InvoiceRow> {
        let now = self.now_seconds();
        let row = self.invoices.get(&hash)?;
        let late = row.invoice.state() == InvoiceState::Open
            && row.invoice.creation_date.saturating_add(row.invoice.expiry) <= now;
        if late {
            self.end_invoice(hash, InvoiceState::Canceled);
        }
        self.invoices.get_mut(&hash)
    }

    /// The text where an invoice is not there.
    pub(super) fn absent(&self) -> &'static str {
        if self.invoices.is_empty() { "there are no existing invoices" } else { "unable to locate invoice" }
    }

    /// Takes or gives back what is held, and closes the invoice.
    pub(super) fn end_invoice(&mut self, hash: PaymentHash, state: InvoiceState) {
        let now = self.now_seconds();
        let Some(row) = self.invoices.get_mut(&hash) else { return };
        let invoice = &mut row.invoice;
        let (from, to) = match state {
            InvoiceState::Settled => (InvoiceHtlcState::Accepted, InvoiceHtlcState::Settled),
            InvoiceState::Canceled => (InvoiceHtlcState::Accepted, InvoiceHtlcState::Canceled),
            InvoiceState::Open | InvoiceState::Accepted => return,
        };
        let mut taken = 0;
        for htlc in invoice.htlcs.iter_mut().filter(|htlc| htlc.state() == from) {
            htlc.set_state(to);
            if to == InvoiceHtlcState::Settled {
                taken += i64::try_from(htlc.amt_msat).expect("within all bitcoin");
                if self.resolves_at_once {
                    self.resolutions.insert(htlc.htlc_index, true);
                }
            }
        }
        invoice.set_state(state);
        if state == InvoiceState::Settled {
            self.settle_count += 1;
            invoice.settle_index = self.settle_count;
            invoice.settle_date = now;
            invoice.amt_paid_msat = taken;
            if let Some(preimage) = &row.preimage {
                invoice.r_preimage = preimage.as_bytes().to_vec();
            }
        } else {
            invoice.amt_paid_msat = 0;
        }
        self.local_msat += taken;
        self.changed();
    }

    /// Somebody outside pays. The payer's error is INCORRECT_PAYMENT_DETAILS, whatever is wrong.
    pub(super) fn receive(&mut self, hash: PaymentHash, attempt: LndAttempt) -> Result<(), String> {
        let refused = || "INCORRECT_PAYMENT_DETAILS".to_owned();
        let (height, first) = (self.height, self.htlc_count);
        let row = self.invoice(hash).ok_or_else(refused)?;
        let (hold, invoice) = (row.hold, &mut row.invoice);
        let paid = attempt.amount_msat.unwrap_or(invoice.value_msat);
        if invoice.state() != InvoiceState::Open || paid < invoice.value_msat || attempt.parts == 0 {
            return Err(refused());
        }
        let blocks = u32::try_from(invoice.cltv_expiry).map_err(|_| refused())?;
        let expiry = height + blocks + attempt.extra_cltv_blocks;
        let parts = i64::from(attempt.parts);
        for part in 0..parts {
            // The first part has what does not divide.
            let share = paid / parts + if part == 0 { paid % parts } else { 0 };
            invoice.htlcs.push(InvoiceHtlc {
                chan_id: CHANNEL,
                htlc_index: first + u64::try_from(part).expect("not negative"),
                amt_msat: u64::try_from(share).map_err(|_| refused())?,
                expiry_height: i32::try_from(expiry).map_err(|_| refused())?,
                state: InvoiceHtlcState::Accepted.into(),
            });
        }
        invoice.amt_paid_msat = paid;
        if hold {
            invoice.set_state(InvoiceState::Accepted);
        }
        self.htlc_count += u64::from(attempt.parts);
        self.changed();
        if !hold {
            self.end_invoice(hash, InvoiceState::Settled);
        }
        Ok(())
    }

    /// The chain grows: hold invoices that come too close to the timeout of an HTLC are given back.
    pub(super) fn mine(&mut self, blocks: u32) {
        self.height += blocks;
        let height = self.height;
        let lowest = |invoice: &lnrpc::Invoice| {
            let held = invoice.htlcs.iter().filter(|htlc| htlc.state() == InvoiceHtlcState::Accepted);
            held.filter_map(|htlc| u32::try_from(htlc.expiry_height).ok()).min()
        };
        let late: Vec<_> = self
            .invoices
            .iter()
            .filter(|(_, row)| row.invoice.state() == InvoiceState::Accepted)
            .filter(|(_, row)| {
                lowest(&row.invoice).is_some_and(|lowest| height + HOLD_EXPIRY_DELTA_BLOCKS >= lowest)
            })
            .map(|(hash, _)| *hash)
            .collect();
        for hash in late {
            self.end_invoice(hash, InvoiceState::Canceled);
        }
        self.changed();
    }

    /// What is locked in HTLCs: those that came in, and those that went out.
    pub(super) fn unsettled_msat(&self) -> (u64, u64) {
        let held = self.invoices.values().flat_map(|row| &row.invoice.htlcs);
        let held = held.filter(|htlc| htlc.state() == InvoiceHtlcState::Accepted);
        let out = self.payments.values().filter(|row| row.payment.status() == PaymentStatus::InFlight);
        let out: i64 = out.map(|row| row.out_msat).sum();
        (held.map(|htlc| htlc.amt_msat).sum(), u64::try_from(out).expect("not negative"))
    }
}

/// The final CLTV delta of terms that a real node takes.
fn check_terms(asked: &lnrpc::Invoice) -> Result<u64, Status> {
    if asked.value_msat < 0 {
        return Err(go_error("amount cannot be negative"));
    }
    let length = asked.description_hash.len();
    if length > 0 && length != 32 {
        return Err(go_error(format!("description hash is {length} bytes, must be 32")));
    }
    if asked.expiry > MAX_EXPIRY_SECONDS {
        let seconds = asked.expiry;
        return Err(go_error(format!(
            "expiry of {seconds:e} seconds greater than max expiry of 3.1536e+07 seconds"
        )));
    }
    match asked.cltv_expiry {
        0 => Ok(DEFAULT_CLTV_EXPIRY_BLOCKS),
        blocks if blocks > MAX_CLTV_EXPIRY_BLOCKS => {
            Err(go_error(format!("CLTV delta of {blocks} is too large, max accepted is: 65535")))
        }
        blocks if blocks < MIN_CLTV_EXPIRY_BLOCKS => {
            Err(go_error(format!("CLTV delta of {blocks} must be greater than minimum of 24")))
        }
        blocks => Ok(blocks),
    }
}
