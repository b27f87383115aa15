//! CreateTask.

use std::time::{Duration, Instant};

use poa_chassis::{Error as Chassis, Principal};
use poa_common::hold::cltv_blocks;
use poa_common::{AccountId, AgentId, EscrowId, Msat, TaskId, TypedId as _, Violations};
use poa_proto::task::v1::{CreateTaskRequest, CreateTaskResponse};
use poa_storage::idempotency::{self, Keep};
use proof_of_agent::{Rail, ReleasePolicy, Statement, StatementError, TermsOffered};
use tonic::Request;
use uuid::Uuid;

use super::{Recorded, after, parse, recorded};
use crate::domain::{
    Body, Entry, Moment, Offer, Paper, Saga, SealedToken, Standing, State, Status, choose_policy,
};
use crate::error::{Error, NoHoldInvoice};
use crate::failpoint::{Failpoint, before_commit, committed};
use crate::methods::CREATE_TASK;
use crate::service::Service;
use crate::store::{self, Bodies, Created};
use crate::worker::{CallError, FEE_CHANGED};

/// How long an offer stands, in seconds: bounds and default.
const OPEN: (std::ops::RangeInclusive<u32>, u32) = (60..=30 * 86_400, 86_400);
/// How long an agent may work, in seconds: bounds and default.
const WORK: (std::ops::RangeInclusive<u32>, u32) = (10..=7 * 86_400, 3_600);
/// How long the requester may review, in seconds: bounds and default.
const REVIEW: (std::ops::RangeInclusive<u32>, u32) = (10..=7 * 86_400, 86_400);

/// A new task, ready to be written.
struct Draft {
    saga: Saga,
    title: String,
    input: Body,
    terms: Vec<u8>,
    recorded: Recorded,
    at: Moment,
}

/// The caller's access token, with which escrow lets him pay.
pub(super) fn bearer(request: &Request<CreateTaskRequest>) -> Result<String, Error> {
    let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
    let token = header.and_then(|header| header.split_once(' ')).map(|(_, token)| token.trim().to_owned());
    token.ok_or(Error::Chassis(Chassis::CredentialsInvalid { problem: "missing" }))
}

pub(super) async fn handle(
    service: &Service,
    principal: Principal,
    token: String,
    request: CreateTaskRequest,
) -> Result<CreateTaskResponse, Error> {
    let account = principal.account_id;
    let recorded = recorded(service, &principal, CREATE_TASK, &request.request_id, &request)?;
    let draft = match draft(service, &principal, &token, request, recorded).await {
        Ok(draft) => draft,
        // Without its fee a new task cannot be offered. One that was offered before is answered as it is.
        Err(error @ Error::Chassis(Chassis::DependencyUnavailable { .. })) => {
            return before(service, recorded, account).await?.ok_or(error);
        }
        Err(error) => return Err(error),
    };
    let env = service.env.clone();
    let (task, written) = service
        .db
        .transact_idempotent((draft, env), |(draft, env), tx| {
            Box::pin(async move {
                let task = draft.saga.offer.task;
                if let Some(before) = draft.recorded.begin_for_task(tx, task, Keep::Forever).await? {
                    return Ok((before, None));
                }
                let created = Created { title: &draft.title, terms: &draft.terms, input: &draft.input };
                store::create(tx, &draft.saga, &created, draft.at, env).await?;
                before_commit(Failpoint::CreateBeforeCommit).await?;
                Ok::<_, Error>((task, Some(draft.saga.clone())))
            })
        })
        .await?;
    committed(Failpoint::CreateCommitted).await?;
    if let Some(refusal) = service.drive(task, written).await {
        if refusal.reason() == FEE_CHANGED {
            service.quotes.forget(account);
        }
        return Err(refusal.into_error());
    }
    Ok(CreateTaskResponse { task: Some(after(service, task, Bodies::None, account).await?) })
}

/// What this very request has brought about before, if it was carried out.
async fn before(
    service: &Service,
    recorded: Recorded,
    account: AccountId,
) -> Result<Option<CreateTaskResponse>, Error> {
    let Some(answer) = idempotency::find(&service.db, recorded.key).await? else {
        return Ok(None);
    };
    let task = TaskId::from_uuid(Uuid::from_slice(&answer).map_err(Error::internal)?);
    // As it was sent then, or it is refused.
    service
        .db
        .transact_idempotent(recorded, move |recorded, tx| {
            Box::pin(async move {
                match recorded.begin_for_task(tx, task, Keep::Forever).await? {
                    Some(_) => Ok(()),
                    // Forgotten meanwhile, because what it led to was refused.
                    None => Err(Error::Chassis(Chassis::DependencyUnavailable { dependency: "escrow" })),
                }
            })
        })
        .await?;
    Ok(Some(CreateTaskResponse { task: Some(after(service, task, Bodies::None, account).await?) }))
}

async fn draft(
    service: &Service,
    principal: &Principal,
    token: &str,
    request: CreateTaskRequest,
    recorded: Recorded,
) -> Result<Draft, Error> {
    let mut found = Violations::default();
    parse::capability(&mut found, "capability", &request.capability);
    if request.title.chars().any(char::is_control) {
        found.add("title", "must be one line without control characters");
    }
    let input = parse::content(&mut found, "input", request.input);
    let direct_agent = match request.direct_agent_id.as_str() {
        "" => None,
        text => found.parse::<AgentId>("direct_agent_id", text),
    };
    let open = parse::span(&mut found, "open_duration", request.open_duration, OPEN.1, OPEN.0);
    let work = parse::span(&mut found, "work_duration", request.work_duration, WORK.1, WORK.0);
    let review = parse::span(&mut found, "review_duration", request.review_duration, REVIEW.1, REVIEW.0);
    let rail = parse::funding(&mut found, request.funding);
    let criteria = parse::criteria(&mut found, request.criteria);
    let (undecidable, criteria) =
        off_thread(service, move || (parse::undecidable(&criteria), criteria)).await?;
    for violation in undecidable {
        found.add(violation.field, violation.description);
    }
    let asked = parse::policy(request.release_policy);
    let policy = choose_policy(asked, &criteria, direct_agent.is_some());
    if policy.is_none() {
        found.add("release_policy", "ON_ATTESTATION needs a machine-checkable criterion or a direct agent");
    }
    parse::refuse(found)?;
    let (Some(input), Some(policy)) = (input, policy) else {
        return Err(Error::internal("a violation was not noted"));
    };
    let price = priced(service, request.price_msat)?;
    if rail == Rail::HoldInvoice {
        cltv_blocks(open, work, review)
            .map_err(|needed| Error::HoldInvoice(NoHoldInvoice::too_long(needed)))?;
    }
    let fee_bps = quoted(service, principal.account_id, price).await?;
    let terms = Terms { price, fee_bps, rail, policy, direct_agent, open, work, review, criteria };
    let at = service.now();
    let task = service.env.new_id();
    let escrow = service.env.new_id();
    let (statement, offered) =
        terms.state(service, principal, task, escrow, &request.title, &request.capability, &input, at)?;
    let saga = saga(service, principal, token, &statement, offered, recorded.key.request_id, at);
    Ok(Draft { saga, title: request.title, input, terms: statement.payload().to_vec(), recorded, at })
}

fn priced(service: &Service, price_msat: i64) -> Result<Msat, Error> {
    let prices = &service.config.prices;
    if (prices.min_msat..=prices.max_msat).contains(&price_msat) {
        return Ok(Msat::new(price_msat));
    }
    Err(Error::PriceOutOfRange { min_msat: prices.min_msat, max_msat: prices.max_msat })
}

/// The account's fee, in basis points: escrow alone knows it.
async fn quoted(service: &Service, account: AccountId, price: Msat) -> Result<u32, Error> {
    let asked = Instant::now();
    if let Some(known) = service.quotes.of(account, asked) {
        return Ok(known);
    }
    let unavailable = |why: String| {
        tracing::warn!(%why, "escrow does not say what the fee is");
        Error::Chassis(Chassis::DependencyUnavailable { dependency: "escrow" })
    };
    let quote = service.peers.quote(account, price).await.map_err(|error| match error {
        CallError::Refused(refusal) => unavailable(refusal.detail()),
        CallError::Unknown(why) => unavailable(why),
    })?;
    let fee_bps = u32::try_from(quote.fee_basis_points).map_err(Error::internal)?;
    if price.share_floor(fee_bps).map(Msat::get) != Ok(quote.fee_msat) {
        return Err(Error::internal("escrow quoted a fee that is not the price's share, rounded down"));
    }
    let valid = u64::try_from(quote.valid_ms).map(Duration::from_millis).unwrap_or_default();
    service.quotes.remember(account, fee_bps, valid, asked);
    Ok(fee_bps)
}

/// Runs what takes processor time away from the runtime, a bounded number at once. A caller who stops waiting does not make
/// room: what was begun goes on.
pub(super) async fn off_thread<T: Send + 'static>(
    service: &Service,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let turn = std::sync::Arc::clone(&service.checks).acquire_owned().await.map_err(Error::internal)?;
    let counted = move || {
        let _turn = turn;
        work()
    };
    Ok(poa_chassis::off_thread(counted).await?)
}

/// What the terms say.
struct Terms {
    price: Msat,
    fee_bps: u32,
    rail: Rail,
    policy: ReleasePolicy,
    direct_agent: Option<AgentId>,
    open: u32,
    work: u32,
    review: u32,
    criteria: Vec<proof_of_agent::Criterion>,
}

// === impl Terms ===

impl Terms {
    /// The TermsOffered statement, which the platform will sign for the requester.
    #[expect(clippy::too_many_arguments, reason = "each is a field of the statement")]
    fn state(
        self,
        service: &Service,
        principal: &Principal,
        task: TaskId,
        escrow: EscrowId,
        title: &str,
        capability: &str,
        input: &Body,
        at: Moment,
    ) -> Result<(Statement, TermsOffered), Error> {
        let fee = self.price.share_floor(self.fee_bps).map_err(Error::internal)?;
        let offered = TermsOffered {
            requester: principal.account_id,
            title: title.to_owned(),
            capability: Some(capability.to_owned()),
            input: input.content(),
            criteria: self.criteria,
            price_msat: self.price,
            fee_bps: self.fee_bps,
            fee_msat: fee,
            payee_net_msat: self.price.checked_sub(fee).map_err(Error::internal)?,
            policy: self.policy,
            expires_in_seconds: self.open,
            claim_seconds: service.config.claims.lease_seconds.min(self.work).max(1),
            work_seconds: self.work,
            review_seconds: self.review,
            rail: self.rail,
            escrow,
            direct_agent: self.direct_agent,
            offered_time: at.wall,
        };
        let (network, origin) = (service.trust.network(), service.trust.origin());
        let statement = Statement::offer(task, network, origin, service.pen.for_requester(), offered.clone());
        match statement {
            Ok(statement) => Ok((statement, offered)),
            Err(StatementError::TooLarge) => {
                Err(Error::field("criteria", "are too long together: the terms would not fit a receipt"))
            }
            Err(error) => Err(Error::internal(error)),
        }
    }
}

fn saga(
    service: &Service,
    principal: &Principal,
    token: &str,
    statement: &Statement,
    offered: TermsOffered,
    request: Uuid,
    at: Moment,
) -> Saga {
    let task = statement.context().task;
    let sealed = service.tokens.seal(service.env.random(), task.uuid().as_bytes(), token.as_bytes());
    Saga {
        offer: Offer {
            task,
            requester: offered.requester,
            capability: offered.capability.unwrap_or_default(),
            price: offered.price_msat,
            fee: offered.fee_msat,
            payee: offered.payee_net_msat,
            policy: offered.policy,
            direct_agent: offered.direct_agent,
            escrow: offered.escrow,
            rail: offered.rail,
            open: parse::seconds(offered.expires_in_seconds),
            work: parse::seconds(offered.work_seconds),
            review: parse::seconds(offered.review_seconds),
            lease: parse::seconds(offered.claim_seconds),
            terms: statement.digest(),
        },
        status: Status {
            version: 1,
            state: State::Funding,
            end: None,
            claim: None,
            claims: 0,
            submissions: 0,
            open_due: None,
            review_due: None,
            resubmit_due: None,
            note: String::new(),
            held: false,
            token: Some(SealedToken { sealed, expires: principal.expire_time }),
            updated: at.wall,
        },
        hold: None,
        statements: vec![Entry {
            seq: 1,
            kind: statement.kind(),
            digest: statement.digest(),
            standing: Standing::Pending,
            paper: Some(Paper::Payload(statement.payload().to_vec())),
            account: Some(principal.account_id),
            request: Some(request),
        }],
        refused: Vec::new(),
    }
}
