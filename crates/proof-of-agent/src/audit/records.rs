//! Whether an entry's kind may carry its record, and the record say what it says.

use crate::reputation::{Record, Verdict};
use crate::statement::Kind;
use crate::tlog::EntryKind;

/// What is wrong with a record; none where it is well-formed. docs/protocol/reputation.md, section 2.
pub(super) fn problem(kind: EntryKind, record: &Record) -> Option<&'static str> {
    let facts = &record.facts;
    let (carriers, paid): (&[Kind], bool) = match facts.verdict {
        Verdict::Accepted
        | Verdict::DeadlinePassed
        | Verdict::CriteriaMet
        | Verdict::PaidInPart
        | Verdict::Awarded
        | Verdict::Denied => (&[Kind::Settlement], true),
        Verdict::Rejected => (&[Kind::Decision], false),
        Verdict::Lapsed => (&[Kind::Decision, Kind::TermsAccepted], false),
    };
    let carried = match kind {
        EntryKind::Receipt(kind) => carriers.contains(&kind),
        EntryKind::Liabilities | EntryKind::KeyEvent | EntryKind::AgentVersion => false,
    };
    let rules = [
        (carried, "a statement of this kind does not carry this verdict"),
        (
            paid || (facts.amount_bucket == 0 && facts.fee_bucket == 0),
            "it has an amount where nothing is paid",
        ),
        (facts.fee_bucket <= facts.amount_bucket, "its fee is above its amount"),
        (facts.verdict != Verdict::Lapsed || !facts.on_time, "what lapsed was not on time"),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map(|(_, problem)| problem)
}
