//! The end of a run: the network is healed, the clock runs on, and everything must come to rest where the model says.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use poa_chaos::EDGES;
use poa_payment::PaymentHash;
use poa_proto::attestation::v1::attestation_service_client::AttestationServiceClient;
use poa_proto::attestation::v1::{
    Attestation, GetCheckpointRequest, GetReceiptBundleRequest, ListAttestationsRequest, attestation,
};
use poa_proto::escrow::v1::escrow_service_client::EscrowServiceClient;
use poa_proto::escrow::v1::{
    Balance, GetBalanceRequest, LedgerEntry, ListLedgerEntriesRequest, ListWithdrawalsRequest, Withdrawal,
    ledger_entry, withdrawal,
};
use poa_proto::task::v1::task::State;
use proof_of_agent::{Bundle, Checkpoint, Outcome, Policy, verify};
use sqlx::{PgConnection, Row as _};
use tonic::Code;

use crate::client::{Answer, Call, with};
use crate::observe::{is_clean, is_end, pass};
use crate::ops::{digest, task_id};
use crate::plan::{Service, What};
use crate::world::{World, short};

/// How long everything may take to come to rest: generous, because a busy machine is no failure.
const REST_WITHIN: Duration = Duration::from_secs(90);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Business time that is let pass at once: more than any of a task's times.
const LEAP: Duration = Duration::from_secs(4 * 3_600);
/// In one page.
const PAGE: i32 = 200;

// === impl World ===

impl World {
    /// Lets everything come to rest, and holds the end against the model.
    ///
    /// # Errors
    /// A broken promise.
    pub(crate) async fn finish(&mut self, clock: &mut PgConnection) -> Result<(), String> {
        self.house.traffic.heal();
        // From this start on its node has no bad days; then payees take what they held.
        self.restart_escrow().await;
        self.house.resolve(self.held_by_payees().await?);
        self.restart_escrow().await;
        for service in Service::ALL {
            if self.house.running(service) == 0 {
                self.house.start(service).await;
            }
        }
        self.hear_late(true).await?;
        self.until_nothing_is_under_way().await?;
        self.until_all_tasks_are_over(clock).await?;
        let withdrawals = self.until_all_payments_are_over().await?;
        self.traffic_notes();
        if !self.observe_ledger().await? {
            return Err("escrow does not answer at the end".to_owned());
        }
        self.balances_are_right(&withdrawals).await?;
        self.each_task_was_paid_once().await?;
        self.histories_are_legal(clock).await?;
        self.receipts_hold().await
    }

    async fn restart_escrow(&self) {
        while self.house.running(Service::Escrow) > 0 {
            self.house.crash(Service::Escrow);
        }
        self.house.start(Service::Escrow).await;
    }

    async fn held_by_payees(&self) -> Result<Vec<PaymentHash>, String> {
        let mut hashes = Vec::new();
        for account in 0..self.accounts.len() {
            for withdrawal in self.withdrawals(account).await? {
                let hash: [u8; 32] = withdrawal.payment_hash.try_into().map_err(|_| "not a payment hash")?;
                hashes.push(PaymentHash::new(hash));
            }
        }
        Ok(hashes)
    }

    async fn until_nothing_is_under_way(&self) -> Result<(), String> {
        let end = Instant::now() + REST_WITHIN;
        while self.house.traffic.on_their_way.load(Ordering::SeqCst) > 0 {
            if Instant::now() > end {
                return Err("calls between services do not end".to_owned());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Whatever waits, somebody's deadline passes.
    async fn until_all_tasks_are_over(&mut self, clock: &mut PgConnection) -> Result<(), String> {
        let end = Instant::now() + REST_WITHIN;
        loop {
            if self.observe(clock).await? && self.tasks.values().all(|known| is_end(known.view.state())) {
                break;
            }
            if Instant::now() > end {
                let left = self.tasks.iter().filter(|(_, known)| !is_end(known.view.state()));
                let left: Vec<_> =
                    left.map(|(task, known)| (task, known.view.state().as_str_name())).collect();
                return Err(format!("these tasks do not come to an end: {left:?}"));
            }
            pass(clock, LEAP).await;
        }
        for known in self.tasks.values() {
            let name = known.view.state().as_str_name().trim_start_matches("STATE_");
            *self.figures.ends.entry(name).or_default() += 1;
        }
        Ok(())
    }

    /// Deposits that were paid are credited, withdrawals have succeeded or failed.
    async fn until_all_payments_are_over(&mut self) -> Result<Vec<(usize, Withdrawal)>, String> {
        let end = Instant::now() + REST_WITHIN;
        loop {
            self.observe_deposits().await?;
            let unpaid = self.book.deposits.iter().find(|(_, deposit)| deposit.paid && !deposit.settled);
            let mut withdrawals = Vec::new();
            for account in 0..self.accounts.len() {
                let all = self.withdrawals(account).await?;
                withdrawals.extend(all.into_iter().map(|withdrawal| (account, withdrawal)));
            }
            let over = |withdrawal: &Withdrawal| {
                matches!(withdrawal.state(), withdrawal::State::Succeeded | withdrawal::State::Failed)
            };
            let unfinished = withdrawals.iter().find(|(_, withdrawal)| !over(withdrawal));
            if unpaid.is_none() && unfinished.is_none() {
                self.withdrawals_are_known(&withdrawals)?;
                return Ok(withdrawals);
            }
            if Instant::now() > end {
                return Err(format!("money does not come to rest: {unpaid:?}, {unfinished:?}"));
            }
            // Invoices that were never paid end, too.
            self.house.clock.advance(Duration::from_secs(60));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn withdrawals(&self, account: usize) -> Result<Vec<Withdrawal>, String> {
        let mut client = self.escrow()?;
        let token = self.house.token(self.accounts[account]);
        let request = ListWithdrawalsRequest { page_size: PAGE, page_token: String::new() };
        let answer =
            client.list_withdrawals(with(&token, request)).await.map_err(|error| error.to_string())?;
        Ok(answer.into_inner().withdrawals)
    }

    /// Each was asked for, and what was acknowledged is there.
    fn withdrawals_are_known(&self, all: &[(usize, Withdrawal)]) -> Result<(), String> {
        let mut asked: BTreeMap<String, usize> = BTreeMap::new();
        for (id, op) in &self.ops {
            let Call::Withdraw(request) = &op.call else { continue };
            asked.insert(request.invoice.clone(), *id);
            let there = all.iter().filter(|(_, withdrawal)| withdrawal.invoice == request.invoice).count();
            let right = match &op.done {
                Some(Answer::Withdrawal(_)) => there == 1,
                _ if op.is_refused() => there == 0,
                _ => there <= 1,
            };
            if !right {
                return Err(format!("#{id} is there {there} times: {op:?}"));
            }
        }
        let stranger = all.iter().find(|(_, withdrawal)| !asked.contains_key(&withdrawal.invoice));
        stranger.map_or(Ok(()), |stranger| Err(format!("nobody asked for {stranger:?}")))
    }

    /// To the msat.
    async fn balances_are_right(&mut self, withdrawals: &[(usize, Withdrawal)]) -> Result<(), String> {
        let mut all = 0;
        for account in 0..self.accounts.len() {
            let token = self.house.token(self.accounts[account]);
            let answer = self.escrow()?.get_balance(with(&token, GetBalanceRequest {})).await;
            let found = answer.map_err(|error| error.to_string())?.into_inner().balance.unwrap_or_default();
            let out: i64 = withdrawals
                .iter()
                .filter(|(who, it)| *who == account && it.state() == withdrawal::State::Succeeded)
                .map(|(_, it)| it.amount_msat + it.fee_msat)
                .sum();
            let right = Balance { available_msat: self.must_have(account) - out, held_msat: 0 };
            if found != right {
                return Err(format!("account {account} has {found:?}, and must have {right:?}"));
            }
            all += found.available_msat;
        }
        let completed = || self.tasks.values().filter(|known| known.view.state() == State::Completed);
        let fees: i64 = completed().map(|known| known.view.fee_msat).sum();
        let audit = self.audit().await.ok_or("escrow does not answer at the end")?;
        is_clean(&audit)?;
        let (liabilities, kept) = (audit.user_liabilities_msat, audit.fees_msat);
        if (liabilities, kept, audit.open_escrows) != (all, fees, 0) {
            return Err(format!("the audit must find {all} of users, {fees} of fees, no escrow: {audit:?}"));
        }
        self.figures.moved_msat = completed().map(|known| known.view.payee_msat).sum();
        Ok(())
    }

    /// Payees' statements show one capture for each completed task, and none for others.
    async fn each_task_was_paid_once(&self) -> Result<(), String> {
        let mut captures: BTreeMap<String, Vec<(usize, i64)>> = BTreeMap::new();
        for account in 0..self.accounts.len() {
            for entry in self.entries(account).await? {
                if entry.kind() == ledger_entry::Kind::Capture && entry.available_delta_msat > 0 {
                    let paid = captures.entry(entry.subject_id.clone()).or_default();
                    paid.push((account, entry.available_delta_msat));
                }
            }
        }
        for (task, known) in &self.tasks {
            let paid = captures.remove(&known.view.escrow_id).unwrap_or_default();
            let own = known.view.claim.as_ref().map(|claim| claim.account_id.clone()).unwrap_or_default();
            let right = match (known.view.state(), paid.as_slice()) {
                (State::Completed, [(account, msat)]) => {
                    self.accounts[*account].to_string() == own && *msat == known.view.payee_msat
                }
                (State::Completed, _) => false,
                (_, paid) => paid.is_empty(),
            };
            if !right {
                return Err(format!("{task} was paid {paid:?}: {:?}", known.view));
            }
        }
        if captures.is_empty() { Ok(()) } else { Err(format!("paid for nothing: {captures:?}")) }
    }

    async fn entries(&self, account: usize) -> Result<Vec<LedgerEntry>, String> {
        let token = self.house.token(self.accounts[account]);
        let mut client = self.escrow()?;
        let mut entries = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListLedgerEntriesRequest { page_size: PAGE, page_token };
            let answer = client.list_ledger_entries(with(&token, request)).await;
            let answer = answer.map_err(|error| error.to_string())?.into_inner();
            entries.extend(answer.entries);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(entries);
            }
        }
    }

    /// Every change that was ever written of a task follows an edge of the table.
    async fn histories_are_legal(&self, clock: &mut PgConnection) -> Result<(), String> {
        let rows = sqlx::query(
            "SELECT subject, kind, payload FROM events_published WHERE topic = 'tasks' \
             UNION ALL SELECT subject, kind, payload FROM events_pending WHERE topic = 'tasks'",
        )
        .fetch_all(clock)
        .await
        .map_err(|error| error.to_string())?;
        let mut histories: BTreeMap<uuid::Uuid, BTreeMap<i64, String>> = BTreeMap::new();
        for row in rows {
            let payload: Vec<u8> = row.get("payload");
            let payload: serde_json::Value =
                serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
            let version = payload["version"].as_i64().ok_or("an event without a version")?;
            let history = histories.entry(row.get("subject")).or_default();
            if let Some(twice) = history.insert(version, row.get("kind")) {
                return Err(format!("version {version} of {:?} was written twice: {twice}", payload));
            }
        }
        for (task, known) in &self.tasks {
            let history = task_id(task).and_then(|id| histories.remove(&id)).unwrap_or_default();
            let states: Vec<&str> = history.values().map(String::as_str).collect();
            let legal = states.first() == Some(&"FUNDING")
                && states.windows(2).all(|pair| pair[0] == pair[1] || is_edge(pair[0], pair[1]));
            let last = states.last().and_then(|state| State::from_str_name(&format!("STATE_{state}")));
            if !legal || last != Some(known.view.state()) {
                return Err(format!("the history of {task} is not legal: {history:?}"));
            }
        }
        if histories.is_empty() { Ok(()) } else { Err(format!("histories of no task: {histories:?}")) }
    }

    /// Each chain holds what was acknowledged and nothing that was refused, receipts verify offline, the checkpoint covers
    /// them all, and each place of the log is taken once: by a chain, or by a statement of what is owed.
    async fn receipts_hold(&mut self) -> Result<(), String> {
        let mut places: Vec<i64> = Vec::new();
        let tasks: Vec<String> = self.tasks.keys().cloned().collect();
        for task in tasks {
            let chain = self.chain(&task).await?;
            places.extend(chain.iter().map(|paper| paper.log_index));
            self.chain_holds(&task, &chain)?;
            if !chain.is_empty() {
                self.receipt_verifies(&task).await?;
                self.figures.receipts += 1;
            }
        }
        let token = self.house.token(self.accounts[0]);
        let answer = self.attestation()?.get_checkpoint(with(&token, GetCheckpointRequest {})).await;
        let note = answer.map_err(|error| error.to_string())?.into_inner().checkpoint;
        let checkpoint =
            Checkpoint::open(&note, self.house.trust.log_keys()).map_err(|error| error.to_string())?;
        self.figures.log_entries = checkpoint.size;
        let size = i64::try_from(checkpoint.size).unwrap_or(i64::MAX);
        if let Some(uncovered) = places.iter().find(|place| **place >= size) {
            return Err(format!("{size} entries are under the checkpoint, and {uncovered} is in a chain"));
        }
        // They go on: those under the checkpoint are what it covers. What is owed has the kind 7, agents' keys have 8.
        let notices: Vec<(i64, i16)> =
            sqlx::query_as("SELECT log_index, kind FROM notices WHERE log_index < $1")
                .bind(size)
                .fetch_all(&mut self.house.sql(Service::Attestation).await)
                .await
                .map_err(|error| error.to_string())?;
        for (kind, what) in [(7, "what is owed was"), (8, "the keys of agents were")] {
            if notices.iter().all(|(_, found)| *found != kind) {
                return Err(format!("{what} never stated"));
            }
        }
        places.extend(notices.iter().map(|(place, _)| place));
        places.sort_unstable();
        if !places.iter().copied().eq(0..size) {
            return Err(format!("{size} entries are under the checkpoint, and these are known: {places:?}"));
        }
        Ok(())
    }

    async fn chain(&self, task: &str) -> Result<Vec<Attestation>, String> {
        let known = &self.tasks[task];
        let token = self.house.token(self.accounts[known.requester]);
        let request =
            ListAttestationsRequest { task_id: task.to_owned(), page_size: PAGE, page_token: String::new() };
        match self.attestation()?.list_attestations(with(&token, request)).await {
            Ok(answer) => Ok(answer.into_inner().attestations),
            Err(status) if status.code() == Code::NotFound => Ok(Vec::new()),
            Err(status) => Err(status.to_string()),
        }
    }

    fn chain_holds(&self, task: &str, chain: &[Attestation]) -> Result<(), String> {
        let count = |kind| chain.iter().filter(|paper| paper.kind() == kind).count();
        let settlements = count(attestation::Kind::Settlement);
        let state = self.tasks[task].view.state();
        if settlements > 1 || (state == State::Completed && settlements == 0) {
            return Err(format!("{task} is {} with {settlements} settlements", state.as_str_name()));
        }
        for (id, op) in &self.ops {
            let (of, paper) = match &op.call {
                Call::Claim(request) => (&request.task_id, digest(&request.acceptance)),
                Call::Submit(request) => (&request.task_id, digest(&request.submission)),
                _ => continue,
            };
            let Some(paper) = paper.filter(|_| of == task) else { continue };
            let there = chain.iter().filter(|found| found.digest == paper.to_vec()).count();
            // A late copy of an acceptance may reach the log after it was refused for an agent that was not known yet.
            let fresh =
                matches!(op.what, What::Claim { agent, .. } if agent >= crate::plan::FIRST_AGENTS.len());
            let right = match (&op.done, op.is_refused()) {
                (Some(_), _) => there == 1,
                (None, true) => there == 0 || fresh,
                (None, false) => there <= 1,
            };
            if !right {
                let last = short(task);
                return Err(format!("the statement of #{id} is {there} times in the log of {last}: {op:?}"));
            }
        }
        Ok(())
    }

    async fn receipt_verifies(&self, task: &str) -> Result<(), String> {
        let known = &self.tasks[task];
        let completed = known.view.state() == State::Completed;
        let token = self.house.token(self.accounts[known.requester]);
        let end = Instant::now() + REST_WITHIN;
        let bundle = loop {
            let request = GetReceiptBundleRequest { task_id: task.to_owned() };
            let answer = self.attestation()?.get_receipt_bundle(with(&token, request)).await;
            let answer = answer.map_err(|error| error.to_string())?.into_inner();
            if answer.logged {
                break answer.bundle;
            }
            if Instant::now() > end {
                return Err(format!("the receipt of {task} does not get under a checkpoint"));
            }
            // Checkpoints keep their distance by this clock.
            self.house.clock.advance(Duration::from_secs(1));
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let bundle = Bundle::from_json(&bundle).map_err(|error| format!("{task}: {error}"))?;
        let policy = Policy { require_paid: completed, ..Policy::default() };
        let verified = verify(&bundle, &self.house.trust, &policy, self.house.env.now())
            .map_err(|error| format!("the receipt of {task} does not verify: {error:?}"))?;
        if matches!(verified.outcome, Outcome::Paid { .. }) != completed {
            return Err(format!("the receipt of {task} says {:?}", verified.outcome));
        }
        Ok(())
    }

    fn escrow(&self) -> Result<EscrowServiceClient<tonic::transport::Channel>, String> {
        self.house.look(Service::Escrow).map(EscrowServiceClient::new).ok_or("escrow is down".to_owned())
    }

    fn attestation(&self) -> Result<AttestationServiceClient<tonic::transport::Channel>, String> {
        let channel = self.house.look(Service::Attestation);
        channel.map(AttestationServiceClient::new).ok_or("attestation is down".to_owned())
    }
}

fn is_edge(from: &str, to: &str) -> bool {
    let state = |name: &str| State::from_str_name(&format!("STATE_{name}"));
    state(from).zip(state(to)).is_some_and(|edge| EDGES.contains(&edge))
}
