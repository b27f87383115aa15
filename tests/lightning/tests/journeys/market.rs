//! A mesh on our node with two people in it: Alice hires and pays, Bob's agent works and is paid.

use std::time::Duration;

use poa_common::Msat;
use poa_e2e::Deployment;
use poa_lightning::{Exclusive, network};
use poa_payment::lnd::MacaroonFiles;
use poa_sdk::api::auth::{Agent, RegisterAgentRequest, RegisterRequest};
use poa_sdk::api::escrow::{
    CreateDepositRequest, CreateWithdrawalRequest, Escrow, ListLedgerEntriesRequest, Withdrawal, escrow,
    withdrawal,
};
use poa_sdk::api::task::task::State;
use poa_sdk::api::task::{Content, CreateTaskRequest, Funding, ReleasePolicy, Task, content};
use poa_sdk::receipts::{Bundle, Policy, TrustRoot, Verified, verify};
use poa_sdk::worker::{self, Output};
use poa_sdk::{Admin, AgentKey, Client, Error, Session, system_env, to_duration};
use tokio::time::Instant;

/// The price of a task.
pub(crate) const PRICE: Msat = Msat::new(20_000_000);
/// 5 % of it.
pub(crate) const FEE: Msat = Msat::new(1_000_000);
/// How long a task may be open, worked on and reviewed: each of it longer than a test takes.
const EACH_STEP: Duration = Duration::from_secs(600);
/// How long what must come may take, restarts of nodes included.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const CAPABILITY: &str = "text.echo";
const MEDIA_TYPE: &str = "text/plain";
const PASSWORD: &str = "correct horse battery staple";

/// A running mesh and its people. It has the network for itself.
pub(crate) struct Market {
    /// Ends before the network goes to the next test.
    pub(crate) mesh: Deployment,
    pub(crate) network: Exclusive,
    pub(crate) alice: Session,
    pub(crate) bob: Session,
    agent: Agent,
    key: AgentKey,
    trust_root: TrustRoot,
}

/// What a hold invoice asks the payer's wallet for.
pub(crate) struct Asked {
    pub(crate) bolt11: String,
    /// In hex.
    pub(crate) hash: String,
}

/// Looks until what is waited for is there. A look that shows nothing is made again.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

// === impl Market ===

impl Market {
    /// Starts a mesh on our node, in which nothing has happened yet.
    pub(crate) async fn open() -> Self {
        let network = network().await;
        let node = network.options().await;
        let MacaroonFiles { invoices, payouts, reconciliation } = &node.macaroons;
        let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let mesh = Deployment::single_with(&[
            ("POA__NETWORK", "regtest"),
            ("POA__LOG__FILTER", "warn,poa_escrow=info,poa_task=info"),
            ("POA__ESCROW__LIGHTNING__PROVIDER", "lnd"),
            ("POA__ESCROW__LIGHTNING__LND__ENDPOINT", &node.endpoint),
            ("POA__ESCROW__LIGHTNING__LND__TLS_CERT", &path(&node.tls_cert)),
            ("POA__ESCROW__LIGHTNING__LND__INVOICES_MACAROON", &path(invoices)),
            ("POA__ESCROW__LIGHTNING__LND__PAYOUTS_MACAROON", &path(payouts)),
            ("POA__ESCROW__LIGHTNING__LND__RECONCILIATION_MACAROON", &path(reconciliation)),
        ])
        .await;
        let client = Client::connect(mesh.endpoint().as_str()).unwrap();
        let alice = sign_up(&client, "alice").await;
        let bob = sign_up(&client, "bob").await;
        let key = AgentKey::generate(&system_env());
        let request = RegisterAgentRequest {
            name: "echo".to_owned(),
            capabilities: vec![CAPABILITY.to_owned()],
            ..RegisterAgentRequest::default()
        };
        let agent = bob.register_agent(request, &key).await.unwrap();
        let trust_root = std::fs::read(mesh.trust_root_file()).unwrap();
        let trust_root = TrustRoot::from_json(&trust_root).unwrap();
        Self { mesh, network, alice, bob, agent, key, trust_root }
    }

    /// What is available to somebody, and what is held.
    pub(crate) async fn balance(&self, whose: &Session) -> (i64, i64) {
        let balance = until("a balance", async || whose.balance().await.ok()).await;
        (balance.available_msat, balance.held_msat)
    }

    /// Waits until this is available to somebody, and nothing held.
    pub(crate) async fn balance_becomes(&self, whose: &Session, available: i64) {
        let what = format!("{available} msat are available");
        until(&what, async || {
            let balance = whose.balance().await.ok()?;
            ((balance.available_msat, balance.held_msat) == (available, 0)).then_some(())
        })
        .await;
    }

    /// How many movements somebody's balance has seen.
    pub(crate) async fn movements(&self, whose: &Session) -> usize {
        whose.list_ledger_entries(ListLedgerEntriesRequest::default()).await.unwrap().entries.len()
    }

    /// The outside wallet pays somebody's new deposit. Returns when it is credited.
    pub(crate) async fn deposit(&self, whose: &Session, amount: Msat) {
        let (before, _) = self.balance(whose).await;
        let request = CreateDepositRequest { request_id: String::new(), amount_msat: amount.get() };
        let deposit = until("an invoice", async || whose.create_deposit(request.clone()).await.ok()).await;
        self.network.b().pay(&deposit.invoice, self.network.a()).await.unwrap();
        self.balance_becomes(whose, before + amount.get()).await;
    }

    /// Alice offers a task that a hold invoice funds.
    pub(crate) async fn hire(&self) -> (Task, Asked) {
        let request = CreateTaskRequest {
            title: "Say it again".to_owned(),
            capability: CAPABILITY.to_owned(),
            input: Some(Content {
                media_type: MEDIA_TYPE.to_owned(),
                body: Some(content::Body::Inline(b"sats".to_vec())),
            }),
            price_msat: PRICE.get(),
            release_policy: ReleasePolicy::OnAcceptance.into(),
            funding: Funding::HoldInvoice.into(),
            // So short that the sats are locked for the fewest blocks that there are.
            open_duration: Some(to_duration(EACH_STEP)),
            work_duration: Some(to_duration(EACH_STEP)),
            review_duration: Some(to_duration(EACH_STEP)),
            ..CreateTaskRequest::default()
        };
        let task = self.alice.create_task(request).await.unwrap();
        let task = self.task_becomes(&task.task_id, State::AwaitingFunds).await;
        let bolt11 = task.funding_invoice.as_ref().unwrap().invoice.clone();
        let decoded = self.network.a().lncli(&["decodepayreq", &bolt11]).await.unwrap();
        let hash = decoded["payment_hash"].as_str().unwrap().to_owned();
        (task, Asked { bolt11, hash })
    }

    /// The outside wallet pays a hold invoice. Returns when its sats are locked.
    pub(crate) async fn lock(&self, asked: &Asked) {
        self.network.b().pay(&asked.bolt11, self.network.a()).await.unwrap();
    }

    /// Waits until a task is in a state.
    pub(crate) async fn task_becomes(&self, id: &str, state: State) -> Task {
        let what = format!("{id} is {state:?}");
        until(&what, async || {
            let task = self.alice.task(id).await.ok()?;
            (task.state() == state).then_some(task)
        })
        .await
    }

    /// Waits until the escrow of a task is in a state.
    pub(crate) async fn escrow_becomes(&self, task: &Task, state: escrow::State) -> Escrow {
        let what = format!("{} is {state:?}", task.escrow_id);
        until(&what, async || {
            let escrow = self.alice.escrow(&task.escrow_id).await.ok()?;
            (escrow.state() == state).then_some(escrow)
        })
        .await
    }

    /// Bob's agent takes a task, does it, and hands in its result.
    pub(crate) async fn work(&self, id: &str) {
        let claimed = worker::claim(&self.bob, &self.key, &self.agent, &self.trust_root, id).await.unwrap();
        assert_eq!(claimed.unwrap().state(), State::Claimed);
        let output = Output::new(*b"sats", MEDIA_TYPE);
        worker::submit(&self.bob, &self.key, id, output, None, None).await.unwrap();
        self.task_becomes(id, State::Submitted).await;
    }

    /// The receipt of a task, once it is logged, and what it proves to somebody who has it and the trust root.
    pub(crate) async fn receipt(&self, task: &Task, policy: Policy) -> (Bundle, Verified) {
        let logged = until("the receipt is logged", async || {
            self.alice.receipt(&task.task_id).await.ok().filter(|receipt| receipt.logged)
        })
        .await;
        let bundle = Bundle::from_json(&logged.bundle).unwrap();
        let verified = verify(&bundle, &self.trust_root, &policy, system_env().now()).unwrap();
        (bundle, verified)
    }

    /// Somebody withdraws to an invoice of the outside wallet.
    pub(crate) async fn withdraw(&self, whose: &Session, bolt11: &str) -> Result<Withdrawal, Error> {
        let request = CreateWithdrawalRequest { invoice: bolt11.to_owned(), ..Default::default() };
        whose.create_withdrawal(request).await
    }

    /// Waits until a withdrawal is in a state.
    pub(crate) async fn withdrawal_becomes(
        &self,
        whose: &Session,
        id: &str,
        state: withdrawal::State,
    ) -> Withdrawal {
        let what = format!("{id} is {state:?}");
        until(&what, async || {
            let withdrawal = whose.withdrawal(id).await.ok()?;
            (withdrawal.state() == state).then_some(withdrawal)
        })
        .await
    }

    /// What the outside wallet holds in its channels, in msat, with what others hold of it.
    pub(crate) async fn outside_balance(&self) -> i64 {
        let balance = self.network.b().lncli(&["channelbalance"]).await.unwrap();
        let part = |name: &str| -> i64 { balance[name]["msat"].as_str().unwrap().parse().unwrap() };
        part("local_balance") + part("unsettled_local_balance")
    }

    /// Waits until it holds so many msat: a peer learns a moment later that an HTLC has ended.
    pub(crate) async fn outside_balance_becomes(&self, expected: i64) {
        until(&format!("{expected} msat are the outside wallet's"), async || {
            (self.outside_balance().await == expected).then_some(())
        })
        .await;
    }

    /// Waits until one of the invoices of our node is in a state, as lnd calls it.
    pub(crate) async fn our_invoice_becomes(&self, hash: &str, state: &str) {
        until(&format!("our invoice is {state}"), async || {
            self.network.a().invoice_state(hash).await.ok().filter(|found| found == state)
        })
        .await;
    }

    /// Waits until a payment of the outside wallet is in a state, as lnd calls it.
    pub(crate) async fn outside_payment_becomes(&self, hash: &str, status: &str) {
        until(&format!("the outside payment is {status}"), async || {
            self.network.b().payment_status(hash).await.filter(|found| found == status)
        })
        .await;
    }

    /// Every invariant of the ledger holds, and it says what the node says, hash by hash.
    pub(crate) async fn books_are_right(&self) {
        let token = std::fs::read_to_string(self.mesh.admin_token_file()).unwrap();
        let operator = Admin::connect(self.mesh.admin_endpoint().as_str(), &token).unwrap();
        let audit = operator.audit_ledger().await.unwrap();
        assert!(audit.clean, "{audit:#?}");
        for full in [false, true] {
            let found = operator.reconcile(full).await.unwrap();
            assert!(found.clean && found.flow_difference_msat == 0, "{found:#?}");
        }
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.mesh.logs());
        }
    }
}

async fn sign_up(client: &Client, username: &str) -> Session {
    let request = RegisterRequest {
        username: username.to_owned(),
        password: PASSWORD.to_owned(),
        ..RegisterRequest::default()
    };
    let signed_in = client.register(request).await.unwrap();
    client.session(signed_in.tokens, None)
}
