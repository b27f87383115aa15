//! The one module that can send sats away.
//!
//! Nothing else in this service names the payer: a test reads the sources and says so. Whatever is sent was committed as an
//! intent before.

use std::time::Duration;

use poa_common::Timestamp;
use poa_payment::{Doubt, NodeId, Outcome, PayIntent, Payer};
use poa_storage::{Database, Error};

use crate::domain::withdrawal::{Seen, Withdrawal};
use crate::failpoint::{self, Failpoint};
use crate::metrics;
use crate::store::withdrawals::{self, Committed, Intent};

/// Sends payments. The payout worker has the only one.
pub struct Dispatcher {
    payer: Box<dyn Payer>,
}

/// How a dispatch is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// The node that pays.
    pub(super) node: NodeId,
    /// Until when it may try.
    pub(super) deadline: Timestamp,
    /// How long we wait for its answer.
    pub(super) patience: Duration,
}

// === impl Dispatcher ===

impl Dispatcher {
    /// Takes what sends. Hand it over once.
    pub fn new(payer: impl Payer) -> Self {
        Self { payer: Box::new(payer) }
    }

    /// Commits the intent to pay, then tells the node. Answers which dispatch it was, from 1, and what was heard; none where
    /// the withdrawal has moved on meanwhile, or payouts are paused: nothing was sent.
    ///
    /// The wait for the answer is bounded; an answer that did not come is an unknown outcome, and so is a dropped call.
    pub(super) async fn dispatch(
        &self,
        db: &Database,
        withdrawal: &Withdrawal,
        terms: Terms,
    ) -> Result<Option<(i32, Seen)>, Error> {
        assert_eq!(withdrawal.deposit, None, "what the ledger pays is never sent");
        let Terms { node, deadline, patience } = terms;
        let intent = Intent { withdrawal: withdrawal.id, dispatches: withdrawal.dispatches, node, deadline };
        let dispatches = match withdrawals::commit_intent(db, intent).await? {
            Committed::Dispatch(dispatches) => dispatches,
            Committed::Overtaken | Committed::Paused => return Ok(None),
        };
        let payment = PayIntent {
            hash: withdrawal.hash,
            bolt11: withdrawal.invoice.clone(),
            amount: withdrawal.amount,
            fee_limit: withdrawal.fee_limit,
            deadline,
        };
        let unknown = Outcome::Unknown(Doubt::NoAnswer);
        let paying = failpoint::call(Failpoint::DISPATCH, unknown.clone(), self.payer.pay(payment));
        let outcome = tokio::time::timeout(patience, paying).await.unwrap_or(unknown);
        metrics::dispatched(&outcome);
        tracing::info!(
            withdrawal_id = %withdrawal.id,
            dispatches,
            outcome = outcome.as_str(),
            "payment dispatched"
        );
        let seen = if dispatches == 1 { Seen::FirstDispatch(outcome) } else { Seen::LaterDispatch(outcome) };
        Ok(Some((dispatches, seen)))
    }
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dispatcher")
    }
}

#[cfg(test)]
mod tests {
    //! "A payout executed several times" (BTCPay Server #6540, Mostro #881).

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;
    use futures_util::future::{BoxFuture, join_all};
    use poa_common::{AccountId, DepositId, Env, Msat};
    use poa_payment::{PaymentHash, Preimage};
    use poa_storage::DatabaseConfig;
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::*;
    use crate::domain::caps::Caps;
    use crate::domain::command::{Command, CreditDeposit, ReserveWithdrawal, SettleWithdrawal};
    use crate::domain::deposit::{self, Deposit};
    use crate::domain::withdrawal::{Origin, State};
    use crate::store::deposits::{self, Request};
    use crate::store::ledger::Ledger;
    use crate::store::{MIGRATIONS, payout_switch};

    const WORKERS: usize = 64;
    const EVENTS: usize = 100;
    const PREIMAGE: Preimage = Preimage::new([7; 32]);
    const NODE: NodeId = NodeId::new([2; 33]);

    /// A node that counts how often it is told.
    struct Counting(Arc<AtomicUsize>);

    impl Payer for Counting {
        fn pay(&self, _intent: PayIntent) -> BoxFuture<'_, Outcome> {
            self.0.fetch_add(1, Ordering::SeqCst);
            async { Outcome::InFlight }.boxed()
        }
    }

    /// A database with a reserved withdrawal of an account that can pay it.
    async fn reserved(env: &Env) -> (Database, Ledger, Withdrawal) {
        let url = poa_testkit::fresh_database("escrow").await;
        let db = Database::connect(&DatabaseConfig::new(url), &MIGRATIONS).await.unwrap();
        let (ledger, _writer) = Ledger::spawn(&db, CancellationToken::new()).await.unwrap();
        let (account, deposit): (AccountId, DepositId) = (env.new_id(), env.new_id());
        let made = Deposit {
            id: deposit,
            account,
            state: deposit::State::Open,
            amount: Msat::new(10_000),
            credited: Msat::ZERO,
            invoice: "an invoice".to_owned(),
            hash: PaymentHash::new([1; 32]),
            create_time: env.now(),
            expire_time: env.now(),
            settle_time: None,
            paid_by: None,
        };
        deposits::insert(&db, made, Request { id: Uuid::nil(), fingerprint: [0; 32] }).await.unwrap();
        let (transfer, time) = (env.new_id(), env.now());
        let credit = CreditDeposit { deposit, paid: Msat::new(10_000), transfer, time };
        ledger.deposit(Command::CreditDeposit(credit)).await.unwrap();
        let withdrawal = Withdrawal {
            id: env.new_id(),
            account,
            request: (Uuid::nil(), [0; 32]),
            origin: Origin::default(),
            state: State::Reserved,
            amount: Msat::new(5_000),
            fee_limit: Msat::new(100),
            fee: Msat::ZERO,
            invoice: "another invoice".to_owned(),
            hash: PREIMAGE.hash(),
            invoice_expire_time: env.now() + Duration::from_secs(60),
            payee: None,
            deposit: None,
            node: None,
            deadline: None,
            dispatches: 0,
            failures_seen: 0,
            node_knew: false,
            preimage: None,
            failure: None,
            create_time: env.now(),
            end_time: None,
        };
        let reserve = ReserveWithdrawal {
            withdrawal,
            max_live: 1,
            caps: Caps::default(),
            destination: None,
            transfer: env.new_id(),
        };
        let made = ledger.withdrawal(Command::ReserveWithdrawal(Box::new(reserve))).await.unwrap();
        (db, ledger, made)
    }

    fn terms(env: &Env) -> Terms {
        let patience = Duration::from_secs(5);
        Terms { node: NODE, deadline: env.now() + Duration::from_secs(30), patience }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_payout_is_not_executed_several_times_by_sixty_four_workers_and_a_hundred_events() {
        let (env, _clock) = poa_testkit::env(3);
        let (db, ledger, row) = reserved(&env).await;
        let told = Arc::new(AtomicUsize::new(0));
        let dispatcher = Arc::new(Dispatcher::new(Counting(Arc::clone(&told))));
        let workers = (0..WORKERS).map(|_| {
            let (db, dispatcher, row, terms) =
                (db.clone(), Arc::clone(&dispatcher), row.clone(), terms(&env));
            tokio::spawn(async move { dispatcher.dispatch(&db, &row, terms).await.unwrap() })
        });
        let dispatched = join_all(workers).await.into_iter().filter(|sent| sent.as_ref().unwrap().is_some());
        assert_eq!((dispatched.count(), told.load(Ordering::SeqCst)), (1, 1), "one dispatch");

        let events = (0..EVENTS).map(|_| {
            let settle = SettleWithdrawal {
                withdrawal: row.id,
                preimage: PREIMAGE,
                fee: Msat::new(7),
                transfer: env.new_id(),
                return_transfer: env.new_id(),
                time: env.now(),
            };
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.withdrawal(Command::SettleWithdrawal(settle)).await.unwrap() })
        });
        for settled in join_all(events).await {
            assert_eq!(settled.unwrap().state, State::Succeeded);
        }
        let booked: i64 = sqlx::query_scalar("SELECT count(*) FROM transfers WHERE kind = 'withdraw'")
            .fetch_one(db.read())
            .await
            .unwrap();
        assert_eq!(booked, 1, "one booking");
        let paid: i64 = sqlx::query_scalar("SELECT available_msat FROM accounts WHERE kind = 'lightning'")
            .fetch_one(db.read())
            .await
            .unwrap();
        assert_eq!(paid, 5_007 - 10_000);
    }

    #[tokio::test]
    async fn a_paused_payout_is_not_executed_at_all() {
        let (env, _clock) = poa_testkit::env(4);
        let (db, _ledger, row) = reserved(&env).await;
        let told = Arc::new(AtomicUsize::new(0));
        let dispatcher = Dispatcher::new(Counting(Arc::clone(&told)));
        payout_switch::pause(&db, "a test", env.now()).await.unwrap();
        assert_eq!(dispatcher.dispatch(&db, &row, terms(&env)).await.unwrap(), None);
        // The first reason stands, whoever pauses again.
        let again = payout_switch::pause(&db, "another one", env.now()).await.unwrap();
        assert_eq!(again.reason, "a test");
        payout_switch::set(&db, false, "over", env.now()).await.unwrap();
        assert!(dispatcher.dispatch(&db, &row, terms(&env)).await.unwrap().is_some());
        assert_eq!(told.load(Ordering::SeqCst), 1);
    }
}
