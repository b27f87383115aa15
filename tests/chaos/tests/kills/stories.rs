//! What people do with the platform, each told to its end: together they reach every failpoint.

use std::time::Duration;

use poa_sdk::api::escrow::{CreateWithdrawalRequest, escrow, withdrawal};
use poa_sdk::api::task::{
    ClaimNextTaskRequest, ClaimTaskRequest, Content, CreateTaskRequest, Criterion, Funding,
    RejectResultRequest, ReleasePolicy, SubmitResultRequest, Task, content, criterion, task,
};
use poa_sdk::receipts::{self, Bundle, Policy, Statement, verify};
use poa_sdk::{AcceptanceTerms, WorkDone, to_duration};

use crate::books::Effect;
use crate::market::{Market, has_ended, insist, until};
use crate::{agents, deposits, liabilities, payouts};

/// What a task pays, in msat, and the platform's 5 % of it.
const PRICE: i64 = 10_000;
const FEE: i64 = 500;
/// What a task pays that a hold invoice funds, which is the least that one carries, in msat, and 5 % of it.
const LOCKED: i64 = 5_000_000;
const LOCKED_FEE: i64 = 250_000;
/// How long such a task waits for an agent, lasts and is reviewed: as long as the shortest lock of all allows.
const LOCKED_FOR: [Duration; 3] =
    [Duration::from_secs(8_000), Duration::from_secs(4_800), Duration::from_secs(4_800)];
/// More than anybody here has, in msat.
const TOO_MUCH: i64 = 50_000_000_000;
/// What is paid out, in msat, and the tenth of a per cent that the simulated route takes.
pub(crate) const PAYOUT: i64 = 7_000;
pub(crate) const ROUTE: i64 = 7;
/// Spans that no leap of the clock comes to the end of.
const LONG: Duration = Duration::from_secs(7 * 86_400);
const LONG_OPEN: Duration = Duration::from_secs(30 * 86_400);
/// A span that a leap ends, and that a stalled story does not outlast.
const SHORT: Duration = Duration::from_secs(120);
/// How long a leap is given to be noticed before the next one.
const NOTICED_WITHIN: u32 = 80;
/// The work of this agent.
const RESULT: &[u8] = b"42";

/// A story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Story {
    /// Released as soon as the receipt is logged.
    Paid,
    /// Released by the requester's word.
    Accepted,
    /// Released by the requester's silence.
    Silence,
    /// Cancelled while it was open.
    Cancelled,
    /// Nobody claimed it.
    Expired,
    /// The result was rejected, and no other came.
    Rejected,
    /// The agent did not deliver; cancelled when it was open again.
    Lapsed,
    /// The agent gave the task back; cancelled when it was open again.
    GivenBack,
    /// The price was more than there was.
    Unfunded,
    /// Sats come in.
    Deposit,
    /// Sats do not come in, and nobody waits for them any more.
    Unpaid,
    /// Sats go out.
    Withdrawal,
    /// Sats cannot go out, and come back.
    FailedWithdrawal,
    /// Sats cannot go out by one invoice, and go by another.
    Replaced,
    /// Sats go out to a Lightning address.
    ToAddress,
    /// Sats go to another account of the platform, by an invoice of its own.
    Within,
    /// Sats go out by themselves, twice.
    PaidOut,
    /// Payouts are paused, and go on.
    Paused,
    /// Funded by a hold invoice, and released.
    HeldAndPaid,
    /// Funded by a hold invoice, and cancelled while it was open.
    HeldAndGivenBack,
    /// Funded by a hold invoice, and claimed by nobody until the chain came to its guard height.
    HeldTooLong,
    /// Funded by a hold invoice, judged after the chain came to its guard height, and released.
    HeldAndSecured,
    /// What is owed is stated in the log, and the requester proves that it counts.
    Proved,
    /// Somebody registers an agent, and its key is in the log.
    Registered,
}

// === impl Story ===

impl Story {
    pub(crate) const ALL: [Self; 24] = [
        Self::Paid,
        Self::Accepted,
        Self::Silence,
        Self::Cancelled,
        Self::Expired,
        Self::Rejected,
        Self::Lapsed,
        Self::GivenBack,
        Self::Unfunded,
        Self::Deposit,
        Self::Unpaid,
        Self::Withdrawal,
        Self::FailedWithdrawal,
        Self::Replaced,
        Self::ToAddress,
        Self::Within,
        Self::PaidOut,
        Self::Paused,
        Self::HeldAndPaid,
        Self::HeldAndGivenBack,
        Self::HeldTooLong,
        Self::HeldAndSecured,
        Self::Proved,
        Self::Registered,
    ];

    /// Tells it to its end.
    pub(crate) async fn tell(self, market: &Market) -> Result<Effect, String> {
        match self {
            Self::Paid | Self::Accepted | Self::Silence | Self::HeldAndPaid | Self::HeldAndSecured => {
                self.worked(market).await
            }
            Self::Cancelled
            | Self::Expired
            | Self::Rejected
            | Self::Lapsed
            | Self::GivenBack
            | Self::HeldAndGivenBack
            | Self::HeldTooLong => self.unpaid(market).await,
            Self::Unfunded => unfunded(market).await,
            Self::Deposit => deposits::paid(market).await,
            Self::Unpaid => deposits::unpaid(market).await,
            Self::Withdrawal => withdrawal(market).await,
            Self::FailedWithdrawal => failed_withdrawal(market).await,
            Self::Replaced => payouts::replaced(market).await,
            Self::ToAddress => payouts::to_address(market).await,
            Self::Within => payouts::within(market).await,
            Self::PaidOut => payouts::paid_out(market).await,
            Self::Paused => payouts::paused(market).await,
            Self::Proved => liabilities::proved(market).await,
            Self::Registered => agents::registered(market).await,
        }
    }

    /// A task that ends with the agent's pay.
    async fn worked(self, market: &Market) -> Result<Effect, String> {
        let task = create(market, self.offer(market)).await?;
        let claim = claim(market, &task).await?;
        submit(market, &task, &claim).await?;
        match self {
            Self::Accepted => {
                insist("accept", async || market.requester.accept_result(&task.task_id).await).await?;
            }
            Self::Silence => leap_until_ended(market, &task, SHORT).await?,
            Self::HeldAndSecured => {
                secured(market, &task).await?;
                insist("accept", async || market.requester.accept_result(&task.task_id).await).await?;
            }
            _ => {}
        }
        end(market, &task, task::State::Completed).await?;
        receipt_verifies(market, &task).await?;
        Ok(match self {
            // Nothing of it was ever the requester's balance.
            Self::HeldAndPaid | Self::HeldAndSecured => {
                Effect { worker: LOCKED - LOCKED_FEE, ..Effect::default() }
            }
            _ => Effect { requester: -PRICE, worker: PRICE - FEE, ..Effect::default() },
        })
    }

    /// A task that ends with the requester's sats where they were.
    async fn unpaid(self, market: &Market) -> Result<Effect, String> {
        let task = create(market, self.offer(market)).await?;
        let state = match self {
            Self::Expired => {
                leap_until_ended(market, &task, SHORT).await?;
                task::State::Expired
            }
            Self::Rejected => {
                let claim = claim(market, &task).await?;
                let calm = market.calm.read().await;
                submit(market, &task, &claim).await?;
                reject(market, &task).await?;
                drop(calm);
                leap_until_ended(market, &task, SHORT).await?;
                task::State::Expired
            }
            Self::Lapsed => {
                let calm = market.calm.read().await;
                claim(market, &task).await?;
                drop(calm);
                leap_until(market, &task, SHORT, |state| state == task::State::Open).await?;
                cancel(market, &task).await?;
                task::State::Canceled
            }
            // The blocks decide, not the clock.
            Self::HeldTooLong => task::State::Expired,
            Self::GivenBack => {
                claim(market, &task).await?;
                give_back(market, &task).await?;
                cancel(market, &task).await?;
                task::State::Canceled
            }
            _ => {
                cancel(market, &task).await?;
                task::State::Canceled
            }
        };
        end(market, &task, state).await?;
        Ok(Effect::default())
    }

    /// What the requester asks for: an answer by a pattern where a machine is to judge.
    fn offer(self, market: &Market) -> CreateTaskRequest {
        let request_id = market.request_id();
        let judged = matches!(self, Self::Paid | Self::HeldAndPaid);
        let held = matches!(
            self,
            Self::HeldAndPaid | Self::HeldAndGivenBack | Self::HeldTooLong | Self::HeldAndSecured
        );
        let pattern = Criterion { check: Some(criterion::Check::Pattern(r"^\d+$".to_owned())) };
        let policy = if judged { ReleasePolicy::OnAttestation } else { ReleasePolicy::OnAcceptance };
        let [open, work, review] = match self {
            Self::Expired => [SHORT, LONG, LONG],
            Self::Lapsed => [LONG_OPEN, SHORT, LONG],
            Self::Silence | Self::Rejected => [LONG_OPEN, LONG, SHORT],
            _ if held => LOCKED_FOR,
            _ => [LONG_OPEN, LONG, LONG],
        };
        CreateTaskRequest {
            // One capability a task, so that an agent is offered this one and no other.
            capability: format!("story.{request_id}"),
            request_id,
            title: format!("{self:?}"),
            input: Some(content(b"6 * 7")),
            criteria: if judged { vec![pattern] } else { Vec::new() },
            price_msat: if held { LOCKED } else { PRICE },
            funding: if held { Funding::HoldInvoice } else { Funding::Balance }.into(),
            release_policy: policy.into(),
            open_duration: Some(to_duration(open)),
            work_duration: Some(to_duration(work)),
            review_duration: Some(to_duration(review)),
            ..CreateTaskRequest::default()
        }
    }
}

/// Offers a task, and waits until it is open. A hold invoice is paid from outside.
async fn create(market: &Market, request: CreateTaskRequest) -> Result<Task, String> {
    let task = insist("create", async || market.requester.create_task(request.clone()).await).await?;
    if request.funding == i32::from(Funding::HoldInvoice) {
        pay_hold_invoice(market, &task).await?;
    }
    reach(market, &task, |state| state == task::State::Open || has_ended(state)).await?;
    Ok(task)
}

/// Waits until a task shows its invoice, and has somebody outside pay it.
async fn pay_hold_invoice(market: &Market, task: &Task) -> Result<(), String> {
    let waiting = |state| state == task::State::AwaitingFunds || state == task::State::Open;
    let asked = reach(market, task, |state| waiting(state) || has_ended(state)).await?;
    let invoice = asked.funding_invoice.ok_or_else(|| format!("{} shows no invoice", task.task_id))?.invoice;
    insist("the faucet", async || market.requester.faucet_pay(&invoice).await).await?;
    Ok(())
}

/// Waits until what a hold invoice had locked is in the ledger: the blocks decide when, not the clock.
async fn secured(market: &Market, task: &Task) -> Result<(), String> {
    until("the sats are secured", async || {
        let escrow = insist("an escrow", async || market.requester.escrow(&task.escrow_id).await).await?;
        Ok((escrow.state() == escrow::State::Held).then_some(()))
    })
    .await
}

/// Waits until a task is in one of these states.
async fn reach(market: &Market, task: &Task, wanted: impl Fn(task::State) -> bool) -> Result<Task, String> {
    let seen = std::sync::Mutex::new(None);
    let reached = until("a task's state", async || {
        let read = insist("a task", async || market.requester.task(&task.task_id).await).await?;
        *seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some((read.state(), read.note.clone()));
        Ok(wanted(read.state()).then_some(read))
    });
    reached.await.map_err(|why| format!("{} was last seen as {seen:?}: {why}", task.task_id))
}

/// A task's end must be this one.
async fn end(market: &Market, task: &Task, wanted: task::State) -> Result<(), String> {
    let ended = reach(market, task, has_ended).await?;
    if ended.state() == wanted {
        Ok(())
    } else {
        Err(format!("{} is {:?} and not {wanted:?}: {}", task.task_id, ended.state(), ended.note))
    }
}

/// Claims a task for the worker's agent; answers with what the agent signed.
async fn claim(market: &Market, task: &Task) -> Result<Statement, String> {
    let mut next = ClaimNextTaskRequest {
        request_id: market.request_id(),
        agent_id: market.agent.to_string(),
        capabilities: vec![task.capability.clone()],
        min_payee_msat: 0,
    };
    let offered = loop {
        let offered =
            insist("claim next", async || market.worker.claim_next_task(next.clone()).await).await?;
        if let Some(open) = offered.and_then(|offered| offered.task) {
            break open;
        }
        next.request_id = market.request_id();
    };
    let terms = AcceptanceTerms {
        task: offered.task_id.parse().map_err(|_| "a task's id".to_owned())?,
        agent: market.agent,
        account: market.payee,
        claim_number: u32::try_from(offered.next_claim_number).map_err(|error| error.to_string())?,
    };
    let signed = market.key.accept(market.worker.client().env(), &offered.terms, &terms);
    let (statement, envelope) = signed.map_err(|error| error.to_string())?;
    let request = ClaimTaskRequest {
        request_id: market.request_id(),
        task_id: offered.task_id,
        agent_id: market.agent.to_string(),
        acceptance: envelope.to_json(),
    };
    insist("claim", async || market.worker.claim_task(request.clone()).await).await?;
    Ok(statement)
}

/// Hands in the result.
async fn submit(market: &Market, task: &Task, claim: &Statement) -> Result<(), String> {
    let env = market.worker.client().env();
    let work = WorkDone {
        output: receipts::Content::of(RESULT, "text/plain"),
        started: env.now(),
        finished: env.now(),
        build: None,
        evidence: None,
    };
    let envelope = market.key.submit(env, claim, claim, work).map_err(|error| error.to_string())?;
    let request = SubmitResultRequest {
        request_id: market.request_id(),
        task_id: task.task_id.clone(),
        result: Some(content(RESULT)),
        submission: envelope.to_json(),
    };
    insist("submit", async || market.worker.submit_result(request.clone()).await).await?;
    // Until its receipt is logged a result cannot be judged.
    reach(market, task, |state| state != task::State::Claimed).await?;
    Ok(())
}

async fn reject(market: &Market, task: &Task) -> Result<(), String> {
    let request = RejectResultRequest {
        request_id: market.request_id(),
        task_id: task.task_id.clone(),
        reason: "not what was asked for".to_owned(),
        ..RejectResultRequest::default()
    };
    insist("reject", async || market.requester.reject_result(request.clone()).await).await?;
    Ok(())
}

async fn cancel(market: &Market, task: &Task) -> Result<(), String> {
    insist("cancel", async || market.requester.cancel_task(&task.task_id).await).await?;
    Ok(())
}

async fn give_back(market: &Market, task: &Task) -> Result<(), String> {
    let given =
        insist("give back", async || market.worker.release_claim(&task.task_id, "no time").await).await;
    match given {
        // Each attempt is a request of its own: the one before was carried out.
        Err(error) if error.reason() == "CLAIM_NOT_HELD" => {}
        given => {
            given?;
        }
    }
    reach(market, task, |state| state == task::State::Open).await?;
    Ok(())
}

/// Lets the clock leap until a task is over.
async fn leap_until_ended(market: &Market, task: &Task, by: Duration) -> Result<(), String> {
    leap_until(market, task, by, has_ended).await
}

/// Lets the clock leap over a deadline, until a task is in one of these states. A leap before the deadline was set does
/// not count, so there may be several.
async fn leap_until(
    market: &Market,
    task: &Task,
    by: Duration,
    wanted: impl Fn(task::State) -> bool,
) -> Result<(), String> {
    let looks = std::sync::atomic::AtomicU32::new(0);
    until("a deadline", async || {
        if looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(NOTICED_WITHIN) {
            market.leap(by + Duration::from_secs(1)).await?;
        }
        let read = insist("a task", async || market.requester.task(&task.task_id).await).await?;
        Ok(wanted(read.state()).then_some(()))
    })
    .await
}

/// The receipt of a task that was paid, checked offline against the operator's trust root.
async fn receipt_verifies(market: &Market, task: &Task) -> Result<(), String> {
    until("a receipt that verifies", async || {
        let receipt = insist("a receipt", async || market.requester.receipt(&task.task_id).await).await?;
        if !receipt.logged {
            return Ok(None);
        }
        let bundle = Bundle::from_json(&receipt.bundle).map_err(|error| error.to_string())?;
        let policy = Policy { require_paid: true, ..Policy::default() };
        let now = market.requester.client().env().now();
        verify(&bundle, &market.trust_root, &policy, now).map_err(|error| error.to_string())?;
        Ok(Some(()))
    })
    .await
}

/// A task that costs more than there is: refused, or cancelled by the platform where nobody waited for the answer.
async fn unfunded(market: &Market) -> Result<Effect, String> {
    let request = CreateTaskRequest { price_msat: TOO_MUCH, ..Story::Unfunded.offer(market) };
    match insist("create", async || market.requester.create_task(request.clone()).await).await {
        Ok(task) => end(market, &task, task::State::Canceled).await?,
        Err(error) if error.reason() == "INSUFFICIENT_FUNDS" => {}
        Err(error) => return Err(error.to_string()),
    }
    Ok(Effect::default())
}

/// Sats go out to a wallet outside.
async fn withdrawal(market: &Market) -> Result<Effect, String> {
    let ended = withdraw(market, None).await?;
    if ended.state() != withdrawal::State::Succeeded || ended.fee_msat != ROUTE {
        return Err(format!("a withdrawal ended otherwise: {ended:?}"));
    }
    Ok(Effect { requester: -(PAYOUT + ROUTE), paid_out: vec![PAYOUT + ROUTE], ..Effect::default() })
}

/// The fee limit is less than the route takes, so that the node finds none.
async fn failed_withdrawal(market: &Market) -> Result<Effect, String> {
    let ended = withdraw(market, Some(0)).await?;
    if ended.state() != withdrawal::State::Failed {
        return Err(format!("a withdrawal ended otherwise: {ended:?}"));
    }
    Ok(Effect::default())
}

pub(crate) async fn withdraw(
    market: &Market,
    fee_limit_msat: Option<i64>,
) -> Result<poa_sdk::api::escrow::Withdrawal, String> {
    let invoice = insist("an invoice", async || market.requester.faucet_invoice(PAYOUT).await).await?;
    let request = CreateWithdrawalRequest {
        request_id: market.request_id(),
        invoice,
        fee_limit_msat,
        ..Default::default()
    };
    let made = insist("withdraw", async || market.requester.create_withdrawal(request.clone()).await).await?;
    payouts::ended(&market.requester, &made.withdrawal_id).await
}

fn content(bytes: &[u8]) -> Content {
    Content { media_type: "text/plain".to_owned(), body: Some(content::Body::Inline(bytes.to_vec())) }
}
