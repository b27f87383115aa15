//! Reads in between: each narrows the model, and holds an invariant.

use std::time::Duration;

use poa_proto::escrow::v1::escrow_admin_service_client::EscrowAdminServiceClient;
use poa_proto::escrow::v1::escrow_service_client::EscrowServiceClient;
use poa_proto::escrow::v1::{
    AuditLedgerRequest, GetDepositRequest, GetEscrowRequest, LedgerAudit, deposit, escrow,
};
use poa_proto::task::v1::task::State;
use poa_proto::task::v1::task_service_client::TaskServiceClient;
use poa_proto::task::v1::waiting::Actor;
use poa_proto::task::v1::{GetTaskRequest, ListTasksRequest, Task, list_tasks_request};
use sqlx::PgConnection;
use tonic::Code;

use crate::client::with;
use crate::house::LEASE_SECONDS;
use crate::ops::{OPEN_SECONDS, REVIEW_SECONDS, WORK_SECONDS, creator};
use crate::plan::{Kind, REQUESTERS, Service, What};
use crate::shape::{Clocks, Seen, Shape, Terms, Times};
use crate::world::{Known, World, short};

/// How far a process's own reading of the mesh clock may be from the row: a busy machine, and some ticks. In
/// microseconds; far below the shortest of a task's times.
const SKEW: i64 = 5_000_000;
/// In one page.
const PAGE: i32 = 200;

// === impl World ===

impl World {
    /// Reads all tasks and narrows the model. `false`: the service cannot be asked now.
    ///
    /// # Errors
    /// A promise was broken.
    pub(crate) async fn observe(&mut self, clock: &mut PgConnection) -> Result<bool, String> {
        let began = mesh_now(clock).await;
        for known in self.tasks.values_mut() {
            known.gone = matches!(known.view.state(), State::Canceled | State::Expired);
        }
        let mut views = Vec::new();
        for requester in REQUESTERS {
            let Some(read) = self.list(requester).await else { return Ok(false) };
            views.extend(read.into_iter().map(|view| (requester, view)));
        }
        let before = mesh_now(clock).await + SKEW;
        let known: Vec<String> = self.tasks.keys().cloned().collect();
        for task in &known {
            if !views.iter().any(|(_, view)| view.task_id == *task) {
                return Err(format!("{task} is gone"));
            }
        }
        let clocks = Clocks { after: self.read_at - SKEW, before, unfunded: false };
        for (requester, view) in &views {
            if !self.tasks.contains_key(&view.task_id) && !self.discover(*requester, view).await? {
                return Ok(false);
            }
        }
        for (requester, view) in views {
            self.observe_task(requester, view, clocks)?;
        }
        self.acknowledged_tasks_are_there()?;
        for (task, state, id) in std::mem::take(&mut self.named) {
            if let Some(known) = self.tasks.get(&task)
                && !known.shape.may_have_been(&state)
            {
                return Err(format!("#{id} was refused because {task} is {state}, which it was not"));
            }
        }
        self.read_at = began;
        Ok(true)
    }

    async fn list(&self, requester: usize) -> Option<Vec<Task>> {
        let token = self.house.token(self.accounts[requester]);
        let mut client = TaskServiceClient::new(self.house.look(Service::Task)?);
        let mut views = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListTasksRequest {
                page_size: PAGE,
                page_token,
                role: list_tasks_request::Role::Requester.into(),
                states: Vec::new(),
            };
            let answer = client.list_tasks(with(&token, request)).await.ok()?.into_inner();
            views.extend(answer.tasks);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Some(views);
            }
        }
    }

    fn observe_task(&mut self, requester: usize, view: Task, clocks: Clocks) -> Result<(), String> {
        has_owner(&view)?;
        let seen = self.seen(&view)?;
        let create = self.tasks[&view.task_id].create;
        self.may_stand(create, &view)?;
        let age = self.house.env.now() - self.ops[&create].first_sent;
        let unfunded = self.may_be_short(requester) || age.whole_seconds() > 500;
        let known = self.tasks.get_mut(&view.task_id).ok_or("a task that is not known")?;
        let changed = known.shape.seen().is_none_or(|before| before.state != seen.state);
        known
            .shape
            .narrow(&seen, Clocks { unfunded, ..clocks })
            .map_err(|why| format!("{} (task of #{create}): {why}", view.task_id))?;
        self.figures.narrowed += 1;
        if changed {
            self.history.note(format!(
                "{} (of #{create}) is {} {:?}",
                short(&view.task_id),
                view.state().as_str_name(),
                seen.claim
            ));
        }
        known.claims = known.shape.claims();
        known.view = view;
        Ok(())
    }

    /// Takes a task in that was not known. `false` where its terms cannot be read now.
    async fn discover(&mut self, requester: usize, view: &Task) -> Result<bool, String> {
        let create = creator(&view.title).ok_or_else(|| format!("nobody created {view:?}"))?;
        let op = self.ops.get(&create).ok_or_else(|| format!("nobody created {view:?}"))?;
        let What::Create { requester: by, kind, price_msat } = op.what else {
            return Err(format!("#{create} creates nothing: {view:?}"));
        };
        if by != requester || price_msat != view.price_msat {
            return Err(format!("#{create} is not what was asked for: {view:?}"));
        }
        if view.fee_msat + view.payee_msat != view.price_msat || view.fee_msat != view.price_msat / 20 {
            return Err(format!("the parts of {} are wrong: {view:?}", view.task_id));
        }
        let token = self.house.token(self.accounts[requester]);
        let Some(channel) = self.house.look(Service::Task) else { return Ok(false) };
        let request = GetTaskRequest { task_id: view.task_id.clone() };
        let Ok(whole) = TaskServiceClient::new(channel).get_task(with(&token, request)).await else {
            return Ok(false);
        };
        let terms = whole.into_inner().task.map(|task| task.terms).unwrap_or_default();
        let direct = if let Kind::Direct(agent) = kind { Some(agent) } else { None };
        let micros = |seconds: i64| seconds * 1_000_000;
        let times = Times {
            open: micros(OPEN_SECONDS),
            work: micros(WORK_SECONDS),
            lease: micros(i64::from(LEASE_SECONDS)),
            review: micros(REVIEW_SECONDS),
        };
        let by_word = matches!(kind, Kind::Word | Kind::PatternAndWord);
        let shape = Shape::new(Terms { by_word, direct, times });
        let known = Known {
            create,
            kind,
            requester,
            shape,
            view: view.clone(),
            terms,
            claims: 0,
            gone: false,
            settled: false,
        };
        self.tasks.insert(view.task_id.clone(), known);
        Ok(true)
    }

    fn seen(&self, view: &Task) -> Result<Seen, String> {
        let claim = match &view.claim {
            None => None,
            Some(claim) => {
                let agent = self.agent_numbered(&claim.agent_id);
                let agent = agent.ok_or_else(|| format!("nobody's agent holds {view:?}"))?;
                let number = u32::try_from(claim.claim_number).unwrap_or(0);
                let signed = self.acceptances.get(&claim.acceptance_digest);
                if signed.is_none_or(|(by, under, _)| (*by, *under) != (agent, number)) {
                    return Err(format!(
                        "nobody signed the acceptance that {} shows: {claim:?}",
                        view.task_id
                    ));
                }
                Some((agent, number))
            }
        };
        let result = view.result_summary.as_ref().and_then(|result| result.sha256.clone().try_into().ok());
        let version = u64::from_str_radix(&view.etag, 16).map_err(|error| format!("{error}: {view:?}"))?;
        Ok(Seen { state: view.state(), claim, result, version })
    }

    /// A task of a request that was certainly refused must not hold anything, and of a request there is one task that does.
    fn may_stand(&self, create: usize, view: &Task) -> Result<(), String> {
        let op = &self.ops[&create];
        let is_over = |view: &Task| matches!(view.state(), State::Refunding | State::Canceled);
        if op.is_refused() && !(op.was_refused_for("INSUFFICIENT_FUNDS") && is_over(view)) {
            return Err(format!("#{create} was refused ({:?}), and is there: {view:?}", op.refusal));
        }
        let others = self.tasks.values().filter(|known| known.create == create);
        let alive =
            others.filter(|known| known.view.task_id != view.task_id && !is_over(&known.view)).count();
        if alive > 0 && !is_over(view) {
            return Err(format!("#{create} made several tasks: {view:?}"));
        }
        Ok(())
    }

    /// What was answered is there.
    fn acknowledged_tasks_are_there(&self) -> Result<(), String> {
        for (id, op) in &self.ops {
            if let Some(crate::client::Answer::Task(task)) = &op.done
                && matches!(op.what, What::Create { .. })
                && !self.tasks.contains_key(&task.task_id)
                && op.under_way == 0
            {
                return Err(format!("#{id} was acknowledged as {}, which is not there", task.task_id));
            }
        }
        Ok(())
    }

    /// Looks what became of the deposits that were tried.
    ///
    /// # Errors
    /// One is credited that nobody paid, or with another amount.
    pub(crate) async fn observe_deposits(&mut self) -> Result<bool, String> {
        let open: Vec<String> =
            self.book.deposits.iter().filter(|(_, it)| !it.settled).map(|(id, _)| id.clone()).collect();
        for id in open {
            let Some(channel) = self.house.look(Service::Escrow) else { return Ok(false) };
            let known = self.book.deposits[&id];
            let token = self.house.token(self.accounts[known.account]);
            let request = GetDepositRequest { deposit_id: id.clone() };
            let Ok(answer) = EscrowServiceClient::new(channel).get_deposit(with(&token, request)).await
            else {
                return Ok(false);
            };
            let view = answer.into_inner().deposit.unwrap_or_default();
            if view.state() != deposit::State::Settled {
                continue;
            }
            if !known.tried || view.credited_msat != known.msat {
                return Err(format!("{id} is credited, against {known:?}: {view:?}"));
            }
            if let Some(known) = self.book.deposits.get_mut(&id) {
                known.settled = true;
            }
        }
        Ok(true)
    }

    /// Holds what the ledger says against what was read of tasks before: what is over holds nothing, and ended as it says.
    ///
    /// # Errors
    /// A promise was broken.
    pub(crate) async fn observe_ledger(&mut self) -> Result<bool, String> {
        let over: Vec<(String, usize)> = self
            .tasks
            .iter()
            .filter(|(_, known)| !known.settled && is_end(known.view.state()))
            .map(|(task, known)| (task.clone(), known.requester))
            .collect();
        for (task, requester) in over {
            let Some(channel) = self.house.look(Service::Escrow) else { return Ok(false) };
            let view = self.tasks[&task].view.clone();
            let token = self.house.token(self.accounts[requester]);
            let request = GetEscrowRequest { escrow_id: view.escrow_id.clone() };
            let ended = match EscrowServiceClient::new(channel).get_escrow(with(&token, request)).await {
                Ok(answer) => Some(answer.into_inner().escrow.unwrap_or_default()),
                Err(status) if status.code() == Code::NotFound => None,
                Err(_) => return Ok(false),
            };
            let state = ended.as_ref().map_or(escrow::State::Void, poa_proto::escrow::v1::Escrow::state);
            let fits = match view.state() {
                State::Completed => state == escrow::State::Released,
                _ => matches!(state, escrow::State::Refunded | escrow::State::Void),
            };
            if !fits {
                return Err(format!("{task} is {}, and its escrow {ended:?}", view.state().as_str_name()));
            }
            if let Some(known) = self.tasks.get_mut(&task) {
                known.settled = true;
            }
        }
        let Some(audit) = self.audit().await else { return Ok(false) };
        let inside = audit.user_liabilities_msat + audit.fees_msat;
        let bounds = self.at_least_in()..=self.at_most_in();
        if !bounds.contains(&inside) {
            return Err(format!("{inside} msat are inside, and should be {bounds:?}: {audit:?}"));
        }
        is_clean(&audit)?;
        Ok(true)
    }

    pub(crate) async fn audit(&self) -> Option<LedgerAudit> {
        let token = self.house.operators_token();
        let mut client = EscrowAdminServiceClient::new(self.house.operators()?);
        client.audit_ledger(with(&token, AuditLedgerRequest {})).await.ok()?.into_inner().audit
    }
}

/// Every check of the ledger's own audit holds.
pub(crate) fn is_clean(audit: &LedgerAudit) -> Result<(), String> {
    let broken: Vec<_> = audit.checks.iter().filter(|check| check.violations > 0).collect();
    if audit.clean && broken.is_empty() { Ok(()) } else { Err(format!("the audit finds {broken:#?}")) }
}

/// Nothing follows.
pub(crate) fn is_end(state: State) -> bool {
    matches!(state, State::Completed | State::Canceled | State::Expired)
}

/// What is not over says who must act.
fn has_owner(view: &Task) -> Result<(), String> {
    let actor = view.waiting.as_ref().map_or(Actor::Unspecified, poa_proto::task::v1::Waiting::actor);
    let waits = view.waiting.as_ref().is_some_and(|waiting| !waiting.action.is_empty());
    if is_end(view.state()) || (actor != Actor::Unspecified && waits) {
        return Ok(());
    }
    Err(format!("nobody must act: {view:?}"))
}

/// The mesh clock's row, in microseconds.
pub(crate) async fn mesh_now(clock: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT now_us FROM mesh_clock").fetch_one(clock).await.unwrap()
}

/// Lets business time pass, and waits until the services go by it.
pub(crate) async fn pass(clock: &mut PgConnection, span: Duration) {
    let micros = i64::try_from(span.as_micros()).unwrap();
    let jumped: i64 = sqlx::query_scalar("UPDATE mesh_clock SET now_us = now_us + $1 RETURNING now_us")
        .bind(micros)
        .fetch_one(&mut *clock)
        .await
        .unwrap();
    // Some ticks of every process.
    poa_testkit::eventually(Duration::from_secs(30), "the services go by the new time", async || {
        mesh_now(clock).await > jumped + 100_000
    })
    .await;
}
