//! Where a task stands in its chain, and the table of what may come next.

use crate::statement::{Body, Deadline, DecisionKind, SettlementKind};

/// Where a task stands, by its last statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Position {
    /// No statement yet.
    Start,
    /// Offered, never claimed.
    Offered,
    /// Claimed. Whether the claim's lease has run out, the chain does not know.
    Accepted,
    /// A result was submitted; the platform's receipt must follow.
    Submitted,
    /// The platform has the result; it must be decided.
    Received,
    /// The result was rejected: another submission, another claim, or the end.
    Rejected,
    /// A part of the work was accepted: a part of the sats may be captured, and nothing else, unless they are lost.
    ApprovedInPart,
    /// An arbiter must judge.
    Disputed,
    /// An arbiter has judged: the sats move as it says, and not otherwise, unless they are lost.
    Judged,
    /// The result counts as accepted: the sats may be released, and nothing else, unless they are lost.
    Approved,
    /// Expired or canceled: the sats may be refunded, and nothing else, unless they are lost.
    Withdrawn,
    /// The sats moved or are lost; nothing follows.
    Settled,
}

// === impl Position ===

impl Position {
    /// The position that a statement leads to, where it may follow.
    pub(super) fn after(self, body: &Body) -> Self {
        match body {
            Body::TermsOffered(_) => Self::Offered,
            Body::TermsAccepted(_) => Self::Accepted,
            Body::WorkSubmitted(_) => Self::Submitted,
            Body::WorkReceived(_) => Self::Received,
            Body::Decision(decision) => match decision.kind {
                DecisionKind::Accepted | DecisionKind::DeadlinePassed | DecisionKind::CriteriaMet => {
                    Self::Approved
                }
                DecisionKind::Rejected => Self::Rejected,
                DecisionKind::AcceptedInPart => Self::ApprovedInPart,
                DecisionKind::RevisionRequested => Self::Accepted,
                DecisionKind::DeadlineExtended => self,
                DecisionKind::Disputed => Self::Disputed,
                DecisionKind::Verdict => Self::Judged,
                DecisionKind::Expired | DecisionKind::Canceled => Self::Withdrawn,
            },
            Body::Settlement(settlement) => match settlement.kind {
                SettlementKind::Captured => Self::Accepted,
                SettlementKind::Released
                | SettlementKind::Refunded
                | SettlementKind::Split
                | SettlementKind::FundingLost => Self::Settled,
            },
        }
    }

    /// Whether `body` may come next: the whole grammar.
    pub fn may_be_followed_by(self, body: &Body) -> bool {
        match body {
            Body::TermsOffered(_) => self == Self::Start,
            Body::TermsAccepted(_) => matches!(self, Self::Offered | Self::Accepted | Self::Rejected),
            Body::WorkSubmitted(_) => matches!(self, Self::Accepted | Self::Rejected),
            Body::WorkReceived(_) => self == Self::Submitted,
            Body::Decision(decision) => match decision.kind {
                DecisionKind::Accepted
                | DecisionKind::DeadlinePassed
                | DecisionKind::CriteriaMet
                | DecisionKind::AcceptedInPart
                | DecisionKind::RevisionRequested
                | DecisionKind::Rejected => self == Self::Received,
                DecisionKind::DeadlineExtended => match decision.deadline {
                    Some(Deadline::Expiry) => self == Self::Offered,
                    Some(Deadline::Work) => matches!(self, Self::Accepted | Self::Rejected),
                    Some(Deadline::Review) => self == Self::Received,
                    None => false,
                },
                DecisionKind::Disputed => matches!(self, Self::Received | Self::Rejected),
                DecisionKind::Verdict => self == Self::Disputed,
                DecisionKind::Expired | DecisionKind::Canceled => {
                    matches!(self, Self::Offered | Self::Accepted | Self::Rejected)
                }
            },
            Body::Settlement(settlement) => match settlement.kind {
                SettlementKind::Captured => self == Self::ApprovedInPart,
                // Whether a verdict gives all, nothing or a part, its amount says: see the rules.
                SettlementKind::Released => matches!(self, Self::Approved | Self::Judged),
                SettlementKind::Split => self == Self::Judged,
                SettlementKind::Refunded => {
                    matches!(self, Self::Offered | Self::Rejected | Self::Withdrawn | Self::Judged)
                }
                // Sats that are locked elsewhere are lost whenever it happens, whatever was decided. A submission is the one
                // statement that nothing but the platform's receipt follows: they are logged together.
                SettlementKind::FundingLost => matches!(
                    self,
                    Self::Offered
                        | Self::Accepted
                        | Self::Received
                        | Self::Rejected
                        | Self::ApprovedInPart
                        | Self::Disputed
                        | Self::Judged
                        | Self::Approved
                        | Self::Withdrawn
                ),
            },
        }
    }

    /// The position as a message and a script name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Submitted => "submitted",
            Self::Received => "received",
            Self::Rejected => "rejected",
            Self::ApprovedInPart => "approvedInPart",
            Self::Disputed => "disputed",
            Self::Judged => "judged",
            Self::Approved => "approved",
            Self::Withdrawn => "withdrawn",
            Self::Settled => "settled",
        }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
