//! What a verified receipt proves.

use poa_common::{AccountId, AgentId, Msat, Network, TaskId, Timestamp};
use serde::Serialize;

use super::VerifyError;
use super::agent::{Inspected, KeyState, TrustLevel};
use crate::bundle::Bundle;
use crate::chain::{Chain, Position};
use crate::checkpoint::Checkpoint;
use crate::did::DidKey;
use crate::digest::Digest;
use crate::json;
use crate::statement::{Content, Criterion, Decision, ReleasePolicy, Role, SettlementKind};
use crate::trust::TrustRoot;

/// Who signed for the requester.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Requester {
    /// The requester, with a key of its own.
    SelfSigned(DidKey),
    /// The platform, for a requester who was signed in: one trusts the platform for it.
    Platform,
}

/// How the task ended, as far as this receipt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// Not settled yet.
    Open(Position),
    /// The sats were released to the agent's account.
    Paid {
        /// What the requester paid, in msat.
        #[serde(rename = "amountMsat", with = "json::msat")]
        amount: Msat,
        /// What the platform took of it, in msat.
        #[serde(rename = "feeMsat", with = "json::msat")]
        fee: Msat,
        /// What the agent's account got, in msat.
        #[serde(rename = "payeeNetMsat", with = "json::msat")]
        payee_net: Msat,
        /// When.
        #[serde(with = "json::utc")]
        time: Timestamp,
    },
    /// A part was paid to the agent's account, and the rest went back to the requester.
    Split {
        /// What the requester paid in all, in msat.
        #[serde(rename = "amountMsat", with = "json::msat")]
        amount: Msat,
        /// What the platform took of it, in msat.
        #[serde(rename = "feeMsat", with = "json::msat")]
        fee: Msat,
        /// What the agent's account got, in msat.
        #[serde(rename = "payeeNetMsat", with = "json::msat")]
        payee_net: Msat,
        /// What went back, in msat.
        #[serde(rename = "refundMsat", with = "json::msat")]
        refund: Msat,
        /// When.
        #[serde(with = "json::utc")]
        time: Timestamp,
    },
    /// The sats went back to the requester.
    Refunded {
        /// How much, in msat.
        #[serde(rename = "amountMsat", with = "json::msat")]
        amount: Msat,
        /// When.
        #[serde(with = "json::utc")]
        time: Timestamp,
    },
    /// What the hold invoice had locked went back to the requester by itself, although it was to be taken: nobody was paid.
    FundingLost {
        /// How much was to be paid, in msat.
        #[serde(rename = "amountMsat", with = "json::msat")]
        amount: Msat,
        /// When the platform said so.
        #[serde(with = "json::utc")]
        time: Timestamp,
    },
}

/// One thing that was checked, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked, such as `signatures`.
    pub name: &'static str,
    /// What was found, as a sentence without a full stop.
    pub finding: String,
}

/// What a receipt proves. It serialises under the JSON rules of receipts, for scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// The task.
    pub task: TaskId,
    /// Which kind of sats.
    pub network: Network,
    /// The log.
    pub origin: String,
    /// The size of the log as of which this was checked.
    pub as_of_size: u64,
    /// How many of the trust root's witnesses have seen the log at that size.
    pub witnesses: usize,
    /// The root of the log at that size.
    pub log_root: Digest,
    /// The trust root that was used.
    pub trust_root: Digest,
    /// The digest of the terms.
    pub terms: Digest,
    /// The title that the terms give.
    pub title: String,
    /// The input that the terms name.
    pub input: Content,
    /// The criteria that the terms name.
    pub criteria: Vec<Criterion>,
    /// The price in the terms, in msat: what is or was held, not what was paid.
    #[serde(rename = "priceMsat", with = "json::msat")]
    pub price: Msat,
    /// When the terms release the sats.
    pub policy: ReleasePolicy,
    /// The account that offered the task.
    pub requester_account: AccountId,
    /// Who signed for it.
    pub requester: Requester,
    /// What was paid in parts before the end, in msat.
    #[serde(rename = "capturedMsat", with = "json::msat")]
    pub captured: Msat,
    /// The agent that claimed the task.
    pub agent: Option<AgentId>,
    /// The key with which it signed.
    pub agent_key: Option<DidKey>,
    /// What the log says of that key, as of this size.
    pub agent_key_state: Option<KeyState>,
    /// What is shown of the run.
    pub level: TrustLevel,
    /// The version of the agent that it names, where the log has it.
    pub agent_version: Option<String>,
    /// The account that the agent's work is paid to.
    pub account: Option<AccountId>,
    /// The result that the agent signed.
    pub output: Option<Content>,
    /// When the platform received the result.
    #[serde(with = "json::optional_utc")]
    pub received_time: Option<Timestamp>,
    /// How it was decided.
    pub decision: Option<Decision>,
    /// How it ended.
    pub outcome: Outcome,
    /// What was checked, for people.
    pub checks: Vec<Check>,
}

/// What the chain proves, and the inline input and result against it.
pub(super) fn describe(
    chain: &Chain,
    bundle: &Bundle,
    trust_root: &TrustRoot,
    checkpoint: &Checkpoint,
    witnesses: usize,
    agent: Inspected,
) -> Result<Verified, VerifyError> {
    let (Some(offer), Some(terms)) = (chain.offer(), chain.terms_offered()) else {
        return Err(VerifyError::Empty);
    };
    let requester = match offer.context().role {
        Role::Requester => Requester::SelfSigned(offer.context().signer),
        Role::Platform | Role::Agent | Role::Arbiter => Requester::Platform,
    };
    let accepted = chain.terms_accepted();
    let mut verified = Verified {
        task: offer.context().task,
        network: offer.context().network,
        origin: checkpoint.origin.clone(),
        as_of_size: checkpoint.size,
        witnesses,
        log_root: checkpoint.root,
        trust_root: trust_root.digest(),
        terms: offer.digest(),
        title: terms.title.clone(),
        input: terms.input.clone(),
        criteria: terms.criteria.clone(),
        price: terms.price_msat,
        policy: terms.policy,
        requester_account: terms.requester,
        requester,
        captured: chain.captured().amount,
        agent: accepted.map(|accepted| accepted.agent),
        agent_key: chain.acceptance().map(|acceptance| acceptance.context().signer),
        agent_key_state: agent.key_state,
        level: agent.level,
        agent_version: agent.version,
        account: accepted.map(|accepted| accepted.account),
        output: chain.work_submitted().map(|work| work.output.clone()),
        received_time: chain.work_received().map(|received| received.received_time),
        decision: chain.decided().cloned(),
        outcome: outcome(chain),
        checks: checks(chain, trust_root, checkpoint, requester),
    };
    verified.checks.extend(agent.checks);
    if trust_root.trusted().witnesses.quorum > 0 {
        let finding = format!("{witnesses} witnesses have seen the log at this size");
        verified.checks.push(Check { name: "witnesses", finding });
    }
    if let Some(input) = &bundle.input {
        verified.check_input(input)?;
    }
    if let Some(result) = &bundle.result {
        verified.check_result(result)?;
    }
    Ok(verified)
}

fn outcome(chain: &Chain) -> Outcome {
    let Some(settled) = chain.settled() else {
        return Outcome::Open(chain.position());
    };
    let before = chain.captured();
    let (left, time) = (settled.amount_msat, settled.settled_time);
    // All parts together: the rules have held them against the price.
    let sum = |parts: [Msat; 2]| parts[0].checked_add(parts[1]).unwrap_or(parts[0]);
    let fee = sum([before.fee, settled.fee_msat]);
    let refund = match settled.kind {
        SettlementKind::Released | SettlementKind::Captured => Msat::ZERO,
        SettlementKind::Split => settled.refund_msat.unwrap_or(Msat::ZERO),
        SettlementKind::Refunded | SettlementKind::FundingLost => left,
    };
    let amount = sum([before.amount, left]).checked_sub(refund).unwrap_or(Msat::ZERO);
    let payee_net = amount.checked_sub(fee).unwrap_or(Msat::ZERO);
    match settled.kind {
        SettlementKind::Released | SettlementKind::Captured => Outcome::Paid { amount, fee, payee_net, time },
        SettlementKind::Split => Outcome::Split { amount, fee, payee_net, refund, time },
        SettlementKind::Refunded if before.amount > Msat::ZERO => {
            Outcome::Split { amount, fee, payee_net, refund, time }
        }
        SettlementKind::Refunded => Outcome::Refunded { amount: left, time },
        SettlementKind::FundingLost => Outcome::FundingLost { amount: left, time },
    }
}

fn checks(
    chain: &Chain,
    trust_root: &TrustRoot,
    checkpoint: &Checkpoint,
    requester: Requester,
) -> Vec<Check> {
    let requester = match requester {
        Requester::SelfSigned(key) => format!("the requester signed with its own key {key}"),
        Requester::Platform => "the platform signed for the requester, who holds no key".to_owned(),
    };
    let agent = match chain.acceptance() {
        Some(acceptance) => format!("the agent signed with its own key {}", acceptance.context().signer),
        None => "no agent claimed the task".to_owned(),
    };
    vec![
        Check { name: "trust root", finding: format!("SHA-256 {}", trust_root.digest()) },
        Check { name: "network", finding: network_finding(trust_root.network()).to_owned() },
        Check { name: "signatures", finding: format!("all {} statements are signed", chain.len()) },
        Check { name: "requester", finding: requester },
        Check { name: "agent", finding: agent },
        Check {
            name: "chain",
            finding: format!("the statements follow each other, the task is {}", chain.position()),
        },
        Check {
            name: "log",
            finding: format!(
                "all statements are in the log {} as of size {}",
                checkpoint.origin, checkpoint.size
            ),
        },
    ]
}

fn network_finding(network: Network) -> &'static str {
    match network {
        Network::Mainnet => "mainnet: real sats",
        Network::Regtest => "regtest: sats of a private test chain, without value",
        Network::Simulated => "simulated: simulated sats, without value",
    }
}

// === impl Verified ===

impl Verified {
    /// Whether the receipt proves that the agent's account was paid.
    pub fn is_paid(&self) -> bool {
        match self.outcome {
            Outcome::Paid { .. } => true,
            Outcome::Open(_)
            | Outcome::Split { .. }
            | Outcome::Refunded { .. }
            | Outcome::FundingLost { .. } => false,
        }
    }

    /// Checks the bytes of a result against the digest that the agent signed, and notes it.
    pub fn check_result(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        let output = self.output.as_ref().ok_or(VerifyError::NoResult)?;
        if !output.is_of(bytes) {
            return Err(VerifyError::OtherResult);
        }
        let finding = format!("the {} bytes at hand are those that the agent signed", output.size);
        self.checks.push(Check { name: "result", finding });
        Ok(())
    }

    /// Checks the bytes of an input against the digest in the terms, and notes it.
    pub fn check_input(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        if !self.input.is_of(bytes) {
            return Err(VerifyError::OtherInput);
        }
        let finding = format!("the {} bytes at hand are those that the terms name", self.input.size);
        self.checks.push(Check { name: "input", finding });
        Ok(())
    }
}
