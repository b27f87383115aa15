//! A statement on its way into a chain: read, held to what it can be held to by itself, and signed.

use poa_common::{AccountId, AgentId, TaskId};
use proof_of_agent::tlog::LogEntry;
use proof_of_agent::{Body, DidKey, Digest, Envelope, EnvelopeError, Kind, Role, Statement};

use super::Refusal;
use crate::keys::PlatformKeys;

/// A statement that is signed. Whether it may stand where it wants to stand, its chain decides.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    /// The task whose chain it is for.
    pub(crate) task_id: TaskId,
    /// The statement.
    pub(crate) signed: Signed,
    /// Who signed, where that is not the platform.
    pub(crate) agent: Option<AgentSigner>,
}

/// A statement and its envelope.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    /// What it says.
    pub(crate) statement: Statement,
    /// The DSSE envelope as JSON, with the one signature that counts.
    pub(crate) envelope: Vec<u8>,
    /// Its entry in the log, without a record.
    pub(crate) entry: LogEntry,
}

/// The agent that a statement names, the key that signed it, and the account that the call came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgentSigner {
    /// The agent.
    pub(crate) agent_id: AgentId,
    /// The account that the call came from.
    pub(crate) account_id: AccountId,
    /// The key of the signature, which holds.
    pub(crate) key: DidKey,
}

// === impl Signed ===

impl Signed {
    /// What is in an envelope, whose signature is verified here. Other signatures are dropped, so that one statement has one
    /// form in the log.
    pub(crate) fn open(envelope: &Envelope) -> Result<Self, EnvelopeError> {
        let (statement, signature) = envelope.open_signed()?;
        let entry = LogEntry::of_signed(&statement, signature);
        Ok(Self { statement, envelope: envelope.with_one(signature.clone()).to_json(), entry })
    }
}

// === impl Submission ===

impl Submission {
    /// An agent's statement, in the envelope that it signed.
    pub(crate) fn of_agent(
        task_id: TaskId,
        envelope: &[u8],
        account_id: AccountId,
        keys: &PlatformKeys,
    ) -> Result<Self, Refusal> {
        let refused = |error: EnvelopeError| Refusal::of_envelope("envelope", &error);
        let envelope = Envelope::from_json(envelope).map_err(refused)?;
        let signed = Signed::open(&envelope).map_err(refused)?;
        let statement = &signed.statement;
        belongs_here(statement, task_id, keys)?;
        let key = statement.context().signer;
        let agent_id = match statement.body() {
            Body::TermsAccepted(accepted) if accepted.account != account_id => {
                return Err(Refusal::Signature { problem: "account" });
            }
            Body::TermsAccepted(accepted) => accepted.agent,
            Body::WorkSubmitted(work) => work.agent,
            Body::TermsOffered(_) | Body::WorkReceived(_) | Body::Decision(_) | Body::Settlement(_) => {
                return Err(Refusal::Signature { problem: "role" });
            }
        };
        Ok(Self { task_id, signed, agent: Some(AgentSigner { agent_id, account_id, key }) })
    }

    /// A statement of the platform, which is signed here. The platform's receipt of a submission is made by
    /// the append alone, together with that submission.
    pub(crate) fn of_platform(task_id: TaskId, payload: &[u8], keys: &PlatformKeys) -> Result<Self, Refusal> {
        let statement =
            Statement::parse(payload).map_err(|error| Refusal::of_statement("platform_payload", &error))?;
        belongs_here(&statement, task_id, keys)?;
        if statement.context().role != Role::Platform {
            return Err(Refusal::Signature { problem: "role" });
        }
        if !keys.signs_with(statement.context().signer) {
            return Err(Refusal::Signature { problem: "key" });
        }
        if statement.kind() == Kind::WorkReceived {
            return Err(Refusal::chain("order", "the receipt of a submission is made with the submission"));
        }
        let signed = keys.sign(&statement).and_then(|envelope| Signed::open(&envelope));
        let signed = signed.map_err(|error| Refusal::of_envelope("platform_payload", &error))?;
        Ok(Self { task_id, signed, agent: None })
    }

    /// The digest by which the statement is known.
    pub(crate) fn digest(&self) -> Digest {
        self.signed.statement.digest()
    }
}

/// Of this task, this network and this log.
fn belongs_here(statement: &Statement, task_id: TaskId, keys: &PlatformKeys) -> Result<(), Refusal> {
    let context = statement.context();
    if context.task != task_id {
        return Err(Refusal::chain("task", "it is of another task than the call"));
    }
    if context.network != keys.network() {
        return Err(Refusal::chain("network", "it is of another network than this instance"));
    }
    if !keys.has_origin(&context.origin) {
        return Err(Refusal::chain("logOrigin", "it is for another log than this one"));
    }
    Ok(())
}
