//! What sends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use poa_common::{Env, Msat, Timestamp};
use tonic::Response;

use super::connection::{Line, Refused, bounded};
use super::contract::lnrpc::{GetInfoRequest, Payment};
use super::contract::routerrpc::SendPaymentRequest;
use super::mapping::{self, Dispatch, outcome};
use super::turns::Turns;
use super::{reading, tracking};
use crate::{Doubt, Info, Outcome, PayIntent, Payer, Refusal, Unit, bolt11};

/// A payee that asks for more could lock our sats for more than three days.
const MAX_FINAL_CLTV_BLOCKS: u64 = 432;
/// The longest that an HTLC of ours may hang over the whole route: a week. Above the payee's share there is room for four hops
/// of a day each.
const MAX_ROUTE_CLTV_BLOCKS: i32 = 1_008;
/// HTLCs of one payment: LND's own default. Each takes one of the 483 slots of a channel.
const MAX_PARTS: u32 = 16;
/// The bounds of how long the node makes new attempts. A deadline beyond a day is the caller's mistake.
const ATTEMPT_SECONDS: std::ops::RangeInclusive<i64> = 1..=86_400;

/// The ability to send from an LND node. There is one, given by [`LndNode::open`](super::LndNode::open); it alone holds the
/// macaroon for it.
pub struct LndPayer {
    inner: Arc<Inner>,
}

struct Inner {
    line: Line,
    dispatch: Duration,
    turns: Turns,
    env: Env,
}

// === impl LndPayer ===

impl LndPayer {
    pub(super) fn new(line: Line, dispatch: Duration, env: Env) -> Self {
        Self { inner: Arc::new(Inner { line, dispatch, turns: Turns::default(), env }) }
    }
}

impl Payer for LndPayer {
    fn pay(&self, intent: PayIntent) -> BoxFuture<'_, Outcome> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            // A task of its own: with a dropped call nobody else may dispatch the hash before the node has answered this one.
            let paid = tokio::spawn(async move { inner.pay(intent).await });
            paid.await.unwrap_or(Outcome::Unknown(Doubt::NoAnswer))
        })
    }
}

impl fmt::Debug for LndPayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LndPayer")
    }
}

// === impl Inner ===

impl Inner {
    async fn pay(&self, intent: PayIntent) -> Outcome {
        let hash = intent.hash;
        let _turn = self.turns.take(hash).await;
        // First of all: no check may speak over an earlier dispatch, and LND would send again what has failed.
        let known = tracking::track(&self.line, hash).await;
        if known != Outcome::Unknown(Doubt::NotFound) {
            return known;
        }
        let Some(info) = self.info().await else { return Outcome::Unknown(Doubt::NoAnswer) };
        let now = self.env.now();
        if let Err(refusal) = admit(&intent, &info, now) {
            return Outcome::NotSent(refusal);
        }
        match self.dispatch(&intent, now).await {
            Ok(Some(payment)) => outcome(hash, &payment),
            Ok(None) => Outcome::Unknown(Doubt::NoAnswer),
            Err(refused) => match mapping::dispatch(&refused) {
                Dispatch::Known => tracking::track(&self.line, hash).await,
                Dispatch::Refused(refusal) => self.refused(&intent, refusal).await,
                Dispatch::Unclear => Outcome::Unknown(Doubt::NoAnswer),
            },
        }
    }

    async fn info(&self) -> Option<Info> {
        let mut lightning = self.line.lightning();
        let answer = self.line.ask(lightning.get_info(GetInfoRequest {})).await.ok()?;
        reading::info(&answer).ok()
    }

    /// Hands the payment to the node, and waits for the first word of it. It goes on when nobody listens.
    async fn dispatch(&self, intent: &PayIntent, now: Timestamp) -> Result<Option<Payment>, Refused> {
        let left = (intent.deadline - now).whole_seconds();
        let left = left.clamp(*ATTEMPT_SECONDS.start(), *ATTEMPT_SECONDS.end());
        let request = SendPaymentRequest {
            payment_request: intent.bolt11.clone(),
            timeout_seconds: i32::try_from(left).unwrap_or(i32::MAX),
            cltv_limit: MAX_ROUTE_CLTV_BLOCKS,
            fee_limit_msat: intent.fee_limit.get(),
            allow_self_payment: false,
            max_parts: MAX_PARTS,
            no_inflight_updates: false,
            cancelable: false,
        };
        let mut router = self.line.router();
        let first = async {
            let mut updates = router.send_payment_v2(request).await?.into_inner();
            Ok(Response::new(updates.message().await?))
        };
        bounded(self.dispatch, first).await
    }

    /// The node refused before it took note of the payment. If it still knows nothing of the hash, nothing was sent.
    async fn refused(&self, intent: &PayIntent, refusal: Refusal) -> Outcome {
        let known = tracking::track(&self.line, intent.hash).await;
        if known == Outcome::Unknown(Doubt::NotFound) { Outcome::NotSent(refusal) } else { known }
    }
}

/// The checks before anything is sent.
fn admit(intent: &PayIntent, info: &Info, now: Timestamp) -> Result<(), Refusal> {
    let decoded = bolt11::decode(&intent.bolt11).map_err(|_| Refusal::Malformed)?;
    if decoded.chain != info.chain {
        return Err(Refusal::WrongNetwork);
    }
    let amount = decoded.amount.ok_or(Refusal::Amountless)?;
    let limit_fits = !intent.fee_limit.is_negative() && intent.fee_limit <= Msat::SUPPLY;
    if amount != intent.amount || decoded.hash != intent.hash || !Unit::Msat.fits(amount) || !limit_fits {
        return Err(Refusal::Mismatch);
    }
    if decoded.payee == info.node {
        return Err(Refusal::OwnInvoice);
    }
    if decoded.expires_at <= now {
        return Err(Refusal::Expired);
    }
    if intent.deadline <= now {
        return Err(Refusal::DeadlinePassed);
    }
    if decoded.min_final_cltv > MAX_FINAL_CLTV_BLOCKS {
        return Err(Refusal::CltvTooLong);
    }
    Ok(())
}
