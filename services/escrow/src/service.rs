//! What every handler and worker shares.

use std::sync::Arc;

use poa_chassis::Latch;
use poa_chassis::keyring::Keyring;
use poa_common::{DepositId, Env, EscrowId};
use poa_payment::simulated::SimulatedNode;
use poa_payment::{Info, PaymentHash, Preimage, Provider};
use poa_storage::Database;
use poa_storage::events::Events;
use poa_storage::page::Sealer;
use tokio::sync::{Notify, Semaphore, broadcast};

use crate::config::Config;
use crate::domain::escrow::Escrow;
use crate::egress::Egress;
use crate::fees::FeeBook;
use crate::metrics;
use crate::preimages::Preimages;
use crate::resolves::Resolves;
use crate::store::ledger::Ledger;
use crate::store::payout_switch;
use crate::trust::Trust;
use crate::worker::reconciliation::Reconciler;

/// Changes of deposits that a slow stream may be behind before it reads its row anew.
const CHANGES: usize = 1_024;
/// Streams about deposits at a time: each costs a little memory and a query now and then.
const STREAMS: usize = 4_096;

/// The service, shared.
pub(crate) struct Service {
    pub(crate) config: Config,
    pub(crate) env: Env,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) db: Database,
    pub(crate) ledger: Ledger,
    pub(crate) provider: Arc<dyn Provider>,
    /// The node as it was at the start: identity and chain.
    pub(crate) node: Info,
    pub(crate) faucet: Option<SimulatedNode>,
    pub(crate) trust: Trust,
    /// What the platform takes of whom.
    pub(crate) fees: FeeBook,
    pub(crate) pages: Sealer,
    /// Deposits that have changed: wakes the streams about them.
    pub(crate) changes: broadcast::Sender<DepositId>,
    /// Escrows that hold invoices fund and that have changed: wakes the worker about them.
    pub(crate) hold_changes: broadcast::Sender<EscrowId>,
    /// What happened to them, for those who follow it.
    pub(crate) events: Events,
    /// A withdrawal was reserved: wakes the payout worker.
    pub(crate) reserved: Notify,
    /// The way out to the hosts of Lightning addresses, and room on it.
    pub(crate) egress: Egress,
    pub(crate) resolves: Resolves,
    /// Room for streams.
    pub(crate) streams: Arc<Semaphore>,
    /// None where the node makes no hold invoices.
    pub(crate) preimages: Option<Preimages>,
    /// Asks for the ledger to be held against the node.
    pub(crate) reconciler: Reconciler,
    /// One audit at a time: it reads everything.
    pub(crate) audits: Semaphore,
    /// Keep the server ready as long as this lives.
    _latches: [Latch; 2],
}

/// What a service is made of that is not made here.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) env: Env,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) db: Database,
    pub(crate) ledger: Ledger,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) node: Info,
    pub(crate) egress: Egress,
    pub(crate) faucet: Option<SimulatedNode>,
    pub(crate) preimages: Option<Preimages>,
    pub(crate) events: Events,
    pub(crate) reconciler: Reconciler,
    pub(crate) latches: [Latch; 2],
}

// === impl Service ===

impl Service {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            config,
            env,
            keyring,
            db,
            ledger,
            provider,
            node,
            egress,
            faucet,
            preimages,
            events,
            reconciler,
            latches,
        } = parts;
        Self {
            trust: Trust::new(keyring.dir(), node.network),
            fees: FeeBook::new(config.fee_basis_points),
            pages: Sealer::new(&keyring.secret()),
            changes: broadcast::Sender::new(CHANGES),
            hold_changes: broadcast::Sender::new(CHANGES),
            events,
            preimages,
            reserved: Notify::new(),
            egress,
            resolves: Resolves::default(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            audits: Semaphore::new(1),
            config,
            env,
            keyring,
            db,
            ledger,
            provider,
            node,
            faucet,
            reconciler,
            _latches: latches,
        }
    }

    /// Pauses payouts for what was found. Where that cannot be written somebody must do it by hand.
    pub(crate) async fn pause_payouts(&self, reason: &str) {
        match payout_switch::pause(&self.db, reason, self.env.now()).await {
            Ok(switch) => metrics::payouts_paused(switch.paused),
            Err(error) => {
                metrics::alarm("payouts_not_paused");
                tracing::error!(%error, "payouts cannot be paused");
            }
        }
    }

    /// Tells the worker of hold invoices that an escrow has changed, where one funds it.
    pub(crate) fn hold_changed(&self, escrow: &Escrow) {
        if escrow.hold_invoice.is_some() {
            let _nobody_listens = self.hold_changes.send(escrow.id);
        }
    }

    /// The preimage of a hold invoice; none where it does not open.
    pub(crate) fn preimage(&self, escrow: EscrowId, hash: PaymentHash, sealed: &[u8]) -> Option<Preimage> {
        self.preimages.as_ref()?.open(escrow, hash, sealed)
    }

    /// Tells the streams that a deposit has changed. That nobody listens is no error.
    pub(crate) fn changed(&self, deposit: DepositId) {
        let _nobody_listens = self.changes.send(deposit);
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("node", &self.node).finish_non_exhaustive()
    }
}
