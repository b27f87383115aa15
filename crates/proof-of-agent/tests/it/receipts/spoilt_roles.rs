//! Receipts whose last statement is signed in a role that its kind does not allow, or for somebody whom nobody may sign for.

use proof_of_agent::{Decision, DecisionKind, Statement};
use serde_json::{Value, json};

use super::Vector;
use super::spoilt_statements::{last_edited, set};
use crate::fixture::{World, decision};
use crate::plan::{Story, up_to, up_to_decision};

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = of_kinds();
    vectors.extend(of_decisions());
    vectors.extend(for_others());
    vectors
}

fn signed_as(
    name: &'static str,
    class: &'static str,
    statements: &[Statement],
    role: &str,
    behalf: Value,
) -> Vector {
    last_edited(name, class, statements, |it| {
        set(it, "/predicate/signerRole", json!(role));
        set(it, "/predicate/onBehalfOf", behalf);
    })
}

fn wrong(name: &'static str, statements: &[Statement], role: &str) -> Vector {
    signed_as(name, "envelope.statement.wrongRole", statements, role, Value::Null)
}

fn wrong_for_requester(name: &'static str, statements: &[Statement]) -> Vector {
    signed_as(name, "envelope.statement.wrongRole", statements, "platform", json!("requester"))
}

fn of_kinds() -> Vec<Vector> {
    vec![
        wrong("terms-by-an-arbiter", &up_to(1), "arbiter"),
        wrong("claim-by-the-platform", &up_to(2), "platform"),
        wrong("claim-by-a-requester", &up_to(2), "requester"),
        wrong("work-by-the-platform", &up_to(3), "platform"),
        wrong("work-by-an-arbiter", &up_to(3), "arbiter"),
        wrong("receipt-by-an-agent", &up_to(4), "agent"),
        wrong_for_requester("receipt-for-the-requester", &up_to(4)),
        wrong("settlement-by-a-requester", &up_to(6), "requester"),
        wrong("settlement-by-an-arbiter", &up_to(6), "arbiter"),
        wrong_for_requester("settlement-for-the-requester", &up_to(6)),
    ]
}

fn of_decisions() -> Vec<Vector> {
    use DecisionKind as Kind;
    let by = |kind, name, role: &str| wrong(name, &up_to_decision(kind), role);
    let for_requester = |kind, name| wrong_for_requester(name, &up_to_decision(kind));
    let failed = |role: &str, name| {
        let world = World::new();
        let author = world.by_platform();
        let failed = Decision { failed_criterion: Some(1), ..decision(Kind::Rejected) };
        wrong(name, &Story::received(&world).then(author, failed).statements, role)
    };
    vec![
        by(Kind::Accepted, "accepted-by-the-platform-for-itself", "platform"),
        by(Kind::Accepted, "accepted-by-the-agent", "agent"),
        by(Kind::AcceptedInPart, "accepted-in-part-by-the-platform-for-itself", "platform"),
        by(Kind::RevisionRequested, "revision-by-the-platform-for-itself", "platform"),
        by(Kind::RevisionRequested, "revision-by-an-arbiter", "arbiter"),
        by(Kind::Rejected, "rejected-by-the-platform-for-itself", "platform"),
        by(Kind::Rejected, "rejected-by-the-agent", "agent"),
        failed("agent", "failed-a-criterion-says-the-agent"),
        failed("arbiter", "failed-a-criterion-says-an-arbiter"),
        by(Kind::Canceled, "canceled-by-the-agent", "agent"),
        by(Kind::DeadlineExtended, "extended-by-the-agent", "agent"),
        by(Kind::DeadlineExtended, "extended-by-an-arbiter", "arbiter"),
        by(Kind::Disputed, "disputed-by-the-platform-for-itself", "platform"),
        by(Kind::Disputed, "disputed-by-an-arbiter", "arbiter"),
        by(Kind::Verdict, "verdict-by-the-platform", "platform"),
        by(Kind::Verdict, "verdict-by-a-requester", "requester"),
        by(Kind::CriteriaMet, "criteria-met-says-the-agent", "agent"),
        by(Kind::DeadlinePassed, "deadline-passed-says-the-requester", "requester"),
        by(Kind::Expired, "expired-says-the-requester", "requester"),
        for_requester(Kind::CriteriaMet, "criteria-met-for-the-requester"),
        for_requester(Kind::DeadlinePassed, "deadline-passed-for-the-requester"),
        for_requester(Kind::Expired, "expired-for-the-requester"),
        for_requester(Kind::Verdict, "verdict-for-the-requester"),
    ]
}

/// The platform alone signs for another, and for the requester alone.
fn for_others() -> Vec<Vector> {
    use DecisionKind as Kind;
    let invalid = |name, statements: &[Statement], role: &str, behalf: &str| {
        signed_as(name, "envelope.statement.invalid", statements, role, json!(behalf)).about("onBehalfOf")
    };
    vec![
        invalid("terms-by-a-requester-for-a-requester", &up_to(1), "requester", "requester"),
        invalid("terms-by-a-requester-for-the-platform", &up_to(1), "requester", "platform"),
        invalid("claim-by-an-agent-for-the-requester", &up_to(2), "agent", "requester"),
        invalid("claim-by-an-agent-for-an-agent", &up_to(2), "agent", "agent"),
        invalid("work-by-an-agent-for-the-platform", &up_to(3), "agent", "platform"),
        invalid("receipt-for-the-agent", &up_to(4), "platform", "agent"),
        invalid("receipt-for-the-platform", &up_to(4), "platform", "platform"),
        invalid("settlement-for-an-arbiter", &up_to(6), "platform", "arbiter"),
        invalid("canceled-for-the-agent", &up_to_decision(Kind::Canceled), "platform", "agent"),
        invalid("extended-for-the-platform", &up_to_decision(Kind::DeadlineExtended), "platform", "platform"),
        invalid("criteria-met-for-the-agent", &up_to_decision(Kind::CriteriaMet), "platform", "agent"),
        invalid(
            "accepted-by-a-requester-for-the-agent",
            &up_to_decision(Kind::Accepted),
            "requester",
            "agent",
        ),
        invalid(
            "disputed-by-the-agent-for-the-requester",
            &up_to_decision(Kind::Disputed),
            "agent",
            "requester",
        ),
        invalid(
            "verdict-by-an-arbiter-for-the-requester",
            &up_to_decision(Kind::Verdict),
            "arbiter",
            "requester",
        ),
        // Where the platform may not sign for itself, it may not sign for another than the requester either.
        signed_as(
            "accepted-for-the-agent",
            "envelope.statement.wrongRole",
            &up_to_decision(Kind::Accepted),
            "platform",
            json!("agent"),
        ),
        signed_as(
            "for-an-unknown-role",
            "envelope.statement.malformed",
            &up_to(1),
            "platform",
            json!("nobody"),
        ),
        signed_as("in-an-unknown-role", "envelope.statement.malformed", &up_to(2), "broker", Value::Null),
    ]
}
