//! Whether a chain allows the sats to be released: what the escrow asks before it captures.

use poa_common::{AccountId, AgentId, EscrowId, Msat, Network, TaskId};

use super::{Chain, ChainError, Position};
use crate::did::DidKey;
use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::statement::{DecisionKind, Rail};

/// A release that a chain allows: what to move, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The task.
    pub task: TaskId,
    /// The network of the chain: the caller compares it with its own.
    pub network: Network,
    /// The escrow that the terms name.
    pub escrow: EscrowId,
    /// How it was funded.
    pub rail: Rail,
    /// The account that pays.
    pub payer: AccountId,
    /// The account that is paid.
    pub payee: AccountId,
    /// The agent that did the work.
    pub agent: AgentId,
    /// The key that it signed with.
    pub agent_key: DidKey,
    /// All that is still held, in msat: the price, without what was captured.
    pub amount: Msat,
    /// The platform's share, in basis points.
    pub fee_bps: u32,
    /// The platform's share of it, in msat.
    pub fee: Msat,
    /// The payee's part, in msat: `amount - fee`.
    pub payee_net: Msat,
    /// The digest of the terms.
    pub terms: Digest,
    /// SHA-256 of the result.
    pub output: Digest,
    /// The decision that allows the release.
    pub decision: Digest,
    /// Its kind.
    pub decision_kind: DecisionKind,
}

/// Whether these envelopes (statements 1 to 5, in order) allow the release of what is held for the terms with
/// the digest `mandate_terms`, on a platform that signs with `receipt_keys`.
///
/// Every signature is verified, every step held against the grammar. It is for the caller to compare escrow,
/// payer, amount and network with its own row.
pub fn authorises_release(
    envelopes: &[Envelope],
    mandate_terms: &Digest,
    receipt_keys: &[DidKey],
) -> Result<Release, ChainError> {
    Chain::replay(envelopes, receipt_keys)?.authorised_release(mandate_terms)
}

impl Chain {
    /// Whether the chain allows the release of what is held for the terms with the digest `mandate_terms`: see
    /// [`authorises_release`]. After a verdict it does where the arbiter gives the payee all that is still held.
    pub fn authorised_release(&self, mandate_terms: &Digest) -> Result<Release, ChainError> {
        let not_approved = ChainError::NotApproved { position: self.position() };
        if let Some(found) = self.offer().map(|offer| offer.digest()).filter(|found| found != mandate_terms) {
            return Err(ChainError::OtherTerms { found });
        }
        if !matches!(self.position(), Position::Approved | Position::Judged) {
            return Err(not_approved);
        }
        self.release().ok_or(not_approved)
    }

    /// What an approved chain releases. `None` where an arbiter has judged otherwise, or a statement is missing, which the
    /// grammar rules out.
    fn release(&self) -> Option<Release> {
        let (offer, terms) = (self.offer()?, self.terms_offered()?);
        let received = self.work_received()?;
        let amount = self.rest()?;
        if self.decided()?.amount_msat.is_some_and(|awarded| awarded != amount) {
            return None;
        }
        let fee = self.captured().next_fee(amount, terms.fee_bps)?;
        Some(Release {
            task: offer.context().task,
            network: offer.context().network,
            escrow: terms.escrow,
            rail: terms.rail,
            payer: terms.requester,
            payee: received.account,
            agent: received.agent,
            agent_key: received.agent_key,
            amount,
            fee_bps: terms.fee_bps,
            fee,
            payee_net: amount.checked_sub(fee).ok()?,
            terms: offer.digest(),
            output: self.work_submitted()?.output.sha256,
            decision: self.decision()?.digest(),
            decision_kind: self.decided()?.kind,
        })
    }
}
