//! An agent with its key.

use ed25519_dalek::SigningKey;
use poa_common::{AccountId, AgentId, Env, TaskId};
use poa_proto::task::v1::{ClaimTaskRequest, Content, SubmitResultRequest, Task, content};
use proof_of_agent::{
    Author, Content as Named, DidKey, Envelope, Nonce, Statement, TermsAccepted, WorkSubmitted,
};

use super::world::uuid;

/// An agent with its key.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) account: AccountId,
    pub(crate) key: SigningKey,
    pub(crate) env: Env,
}

// === impl Agent ===

impl Agent {
    pub(crate) fn author(&self) -> Author {
        Author::agent(DidKey::of(&self.key), Nonce::new(self.env.random()))
    }

    /// TermsAccepted for the exact terms that were delivered.
    pub(crate) fn acceptance(&self, terms: &[u8], claim_number: u32) -> Statement {
        let offer = Statement::parse(terms).unwrap();
        let accepted = TermsAccepted {
            agent: self.id,
            account: self.account,
            claim_number,
            lease_seconds: offer.body().as_terms_offered().unwrap().claim_seconds,
            accepted_time: self.env.now(),
        };
        offer.successor(self.author(), accepted).unwrap()
    }

    pub(crate) fn sign(&self, statement: &Statement) -> Vec<u8> {
        Envelope::sign(statement, &self.key).unwrap().to_json()
    }

    pub(crate) fn claim_with(&self, task: &str, acceptance: &Statement) -> ClaimTaskRequest {
        ClaimTaskRequest {
            request_id: uuid(&self.env),
            task_id: task.to_owned(),
            agent_id: self.id.to_string(),
            acceptance: self.sign(acceptance),
        }
    }

    pub(crate) fn claim(&self, task: &Task, claim_number: u32) -> ClaimTaskRequest {
        self.claim_with(&task.task_id, &self.acceptance(&task.terms, claim_number))
    }

    /// WorkSubmitted for an inline result, after `last`: the acceptance itself or the rejection of an earlier result.
    pub(crate) fn submit(
        &self,
        acceptance: &Statement,
        last: &Statement,
        result: &[u8],
    ) -> SubmitResultRequest {
        let work = self.work(acceptance, Named::of(result, "text/plain"));
        let statement = last.successor(self.author(), work).unwrap();
        let task: TaskId = acceptance.context().task;
        SubmitResultRequest {
            request_id: uuid(&self.env),
            task_id: task.to_string(),
            result: Some(Content {
                media_type: "text/plain".to_owned(),
                body: Some(content::Body::Inline(result.to_vec())),
            }),
            submission: self.sign(&statement),
        }
    }

    pub(crate) fn work(&self, acceptance: &Statement, output: Named) -> WorkSubmitted {
        WorkSubmitted {
            agent: self.id,
            claim_number: acceptance.body().as_terms_accepted().unwrap().claim_number,
            acceptance: acceptance.digest(),
            output,
            started_time: self.env.now(),
            finished_time: self.env.now(),
            build_digest: None,
            source_ref: None,
            tee_evidence_digest: None,
        }
    }
}

impl Agent {
    /// An acceptance in another agent's name, signed with one's own key.
    pub(crate) fn sign_as(&self, other: &Self, terms: &[u8]) -> Vec<u8> {
        let honest = other.sign(&other.acceptance(terms, 1));
        let own = self.sign(&self.acceptance(terms, 1));
        let signature = |envelope: &[u8]| {
            let text = String::from_utf8(envelope.to_vec()).unwrap();
            let (_, rest) = text.split_once(r#""sig":""#).unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        let forged = String::from_utf8(honest.clone()).unwrap();
        forged.replace(&signature(&honest), &signature(&own)).into_bytes()
    }
}
