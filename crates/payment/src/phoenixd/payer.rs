//! The sending side: at most one request per hash, and only a lookup says what became of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use poa_common::Msat;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::answers::{Misunderstood, NotPaid, read};
use super::dispatches::{Begun, Claim, Dispatches};
use super::http::{Http, Reply};
use super::{Inner, PhoenixdPayer, Trouble, states, texts};
use crate::{
    Decoded, Doubt, FailureReason, Info, Outcome, PayIntent, Payer, PaymentHash, Refusal, Unit, decode,
};

/// The one request that sends. phoenixd's others fetch an invoice of their own, a new one at each call.
const PAY: &str = "payinvoice";
/// How long the answer to a payment is waited for. It only brings the reason of a failure: lookups bring the rest, and a
/// payee may hold for days.
const ANSWER_PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks while a payment begins, at first and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(500);
/// A payee that asks for more could lock our sats for more than three days.
const MAX_FINAL_CLTV_BLOCKS: u64 = 432;

/// What the request for a payment has come to. It proves nothing of the payment.
#[derive(Debug, Default)]
struct Asked {
    /// The reason that was given, where one was.
    reason: Option<FailureReason>,
    /// Whether it certainly never left.
    not_sent: bool,
}

// === impl PhoenixdPayer ===

impl PhoenixdPayer {
    /// Whether the node takes the password for sending, asked with a payment that names no invoice: for a program's start.
    pub async fn check(&self) -> Result<(), Trouble> {
        let reply = self.sending.post(PAY, String::new(), self.sending.timeout()).await;
        let reply = reply.map_err(Misunderstood::from)?;
        if texts::is_missing_parameter(reply.status.as_u16(), &reply.body) {
            return Ok(());
        }
        super::questions::success(reply)?;
        // No phoenixd takes it.
        Err(Misunderstood::Contradiction("a payment of nothing was taken").into())
    }
}

impl Payer for PhoenixdPayer {
    fn pay(&self, intent: PayIntent) -> BoxFuture<'_, Outcome> {
        let paying = Paying {
            node: Arc::clone(&self.node.inner),
            sending: self.sending.clone(),
            dispatches: Arc::clone(&self.dispatches),
        };
        Box::pin(async move {
            // A task of its own: a caller that is dropped changes nothing.
            tokio::spawn(paying.pay(intent)).await.unwrap_or(Outcome::Unknown(Doubt::NoAnswer))
        })
    }
}

/// What a payment needs beyond its caller's life.
struct Paying {
    node: Arc<Inner>,
    sending: Http,
    dispatches: Arc<Dispatches>,
}

// === impl Paying ===

impl Paying {
    async fn pay(self, intent: PayIntent) -> Outcome {
        // Before anything else: no check may speak over what was sent.
        let claim = match self.dispatches.begin(intent.hash) {
            Begun::First(claim) => Some(claim),
            Begun::Live => return self.wait(intent.hash, None).await,
            Begun::Doubtful => return self.node.payment(intent.hash, None).await,
            Begun::Full => None,
        };
        let known = self.node.payment(intent.hash, None).await;
        let Some(claim) = claim else {
            return if known == Outcome::Unknown(Doubt::NotFound) {
                Outcome::NotSent(Refusal::Full)
            } else {
                known
            };
        };
        let admitted = match known {
            Outcome::Unknown(Doubt::NotFound) => self.admit(&intent).await,
            known => Err(known),
        };
        if let Err(outcome) = admitted {
            claim.forget();
            return outcome;
        }
        let hash = intent.hash;
        let (answer, answered) = oneshot::channel();
        // Another task: who hears that it is in flight need not wait for its end.
        tokio::spawn(ask(Arc::clone(&self.node), self.sending.clone(), intent, claim, answer));
        self.wait(hash, Some(answered)).await
    }

    /// Looks until the node knows the payment, the request for it has ended, or patience has. A failure is believed only after
    /// the request's end: before it, it may be that of an earlier attempt, and ours about to begin.
    async fn wait(&self, hash: PaymentHash, mut answered: Option<oneshot::Receiver<Asked>>) -> Outcome {
        let end = Instant::now() + self.node.payment_timeout;
        let mut pause = FIRST_PAUSE;
        loop {
            let asked = match answered.as_mut() {
                Some(answer) => tokio::time::timeout(pause, answer).await.ok(),
                None => {
                    tokio::time::sleep(pause).await;
                    (!self.dispatches.is_live(hash)).then_some(Ok(Asked::default()))
                }
            };
            // Without a word the task has ended all the same.
            let asked = asked.map(Result::unwrap_or_default);
            if asked.as_ref().is_some_and(|asked| asked.not_sent) {
                return Outcome::Unknown(Doubt::NoAnswer);
            }
            let has_ended = asked.is_some();
            let found = self.node.payment(hash, asked.and_then(|asked| asked.reason)).await;
            match found {
                found if has_ended => return found,
                Outcome::InFlight | Outcome::Settled { .. } => return found,
                Outcome::Failed(_) if Instant::now() >= end => return Outcome::Unknown(Doubt::NoAnswer),
                Outcome::NotSent(_) | Outcome::Unknown(_) if Instant::now() >= end => return found,
                Outcome::NotSent(_) | Outcome::Failed(_) | Outcome::Unknown(_) => {}
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// The checks before anything is sent, with the outcome where one of them fails.
    async fn admit(&self, intent: &PayIntent) -> Result<(), Outcome> {
        let decoded = decode(&intent.bolt11).map_err(|_| Outcome::NotSent(Refusal::Malformed))?;
        let unknown = |_| Outcome::Unknown(Doubt::NoAnswer);
        let info = self.node.node().await.and_then(|node| states::info(&node)).map_err(unknown)?;
        check(intent, &decoded, &info).map_err(Outcome::NotSent)?;
        if self.node.incoming(intent.hash).await.map_err(unknown)?.is_some() {
            return Err(Outcome::NotSent(Refusal::OwnInvoice));
        }
        let now = self.node.env.now();
        if decoded.expires_at <= now {
            return Err(Outcome::NotSent(Refusal::Expired));
        }
        if intent.deadline <= now {
            return Err(Outcome::NotSent(Refusal::DeadlinePassed));
        }
        if decoded.min_final_cltv > MAX_FINAL_CLTV_BLOCKS {
            return Err(Outcome::NotSent(Refusal::CltvTooLong));
        }
        Ok(())
    }
}

/// Whether the invoice is one that this node may pay, for what the caller has committed.
fn check(intent: &PayIntent, decoded: &Decoded, info: &Info) -> Result<(), Refusal> {
    if decoded.chain != info.chain {
        return Err(Refusal::WrongNetwork);
    }
    let amount = decoded.amount.ok_or(Refusal::Amountless)?;
    if amount != intent.amount || decoded.hash != intent.hash || !Unit::Sat.fits(amount) {
        return Err(Refusal::Mismatch);
    }
    // It cannot be told a limit: what it will take must have been set aside.
    let covered = states::fee(amount).is_some_and(|fee| fee <= intent.fee_limit);
    if !covered || intent.fee_limit > Msat::SUPPLY {
        return Err(Refusal::Mismatch);
    }
    if decoded.payee == info.node {
        return Err(Refusal::OwnInvoice);
    }
    Ok(())
}

/// Asks for the payment, and ends when the answer has come or will not. The claim is given back only where nothing was sent
/// or the node knows the hash.
async fn ask(
    node: Arc<Inner>,
    sending: Http,
    intent: PayIntent,
    claim: Claim,
    answer: oneshot::Sender<Asked>,
) {
    let hash = intent.hash;
    let reply = sending.post(PAY, format!("invoice={}", intent.bolt11), ANSWER_PATIENCE).await;
    let not_sent = reply.as_ref().is_err_and(super::http::HttpError::certainly_not_sent);
    let reason = reply.ok().and_then(|reply| reason(&reply));
    if not_sent || !matches!(node.payment(hash, None).await, Outcome::Unknown(_)) {
        claim.forget();
    } else {
        tracing::warn!(%hash, "a payment was asked for, and the node does not know it: it is in doubt");
        drop(claim);
    }
    // Nobody need listen any more.
    let _nobody_waits = answer.send(Asked { reason, not_sent });
}

/// The reason of a failure, where the answer says one.
fn reason(reply: &Reply) -> Option<FailureReason> {
    let failed: NotPaid = read(&reply.body).ok()?;
    Some(texts::failure(&failed.reason))
}
